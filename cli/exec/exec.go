// Package exec runs a command in a container, or attaches to the one that runs there: skiff exec
// and skiff attach.
package exec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/streaming/pkg/httpstream"
	utilexec "k8s.io/utils/exec"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/compose"
	"skiff/cli/pods"
	"skiff/cli/terminal"
	"skiff/manifests/podfacts"
)

func flags(patience time.Duration) []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "stdin", Aliases: []string{"i"}, Usage: "pass standard input to the container"},
		&cli.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "standard input is a terminal"},
		&cli.StringFlag{Name: "container", Aliases: []string{"c"}, Usage: "the `CONTAINER` of the pod (default: its first)"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print only what the container prints"},
		&cli.DurationFlag{Name: "pod-running-timeout", Value: patience, Usage: "how long to wait for a controller's first pod"},
	}
}

// Exec is skiff exec.
func Exec(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "exec", Usage: "Execute a command in a container", ArgsUsage: "(POD | TYPE/NAME) [-c CONTAINER] -- COMMAND [ARGUMENTS…]",
		Flags:  flags(time.Minute),
		Action: func(c *cli.Context) error { return runExec(c, env) },
	},
		"skiff exec kubia-dssvz -- date",
		"skiff exec -it rc/kubia -- sh",
		"skiff exec kubia-dssvz -c main -i -- tar xf - < files.tar")
}

// Attach is skiff attach.
func Attach(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "attach", Usage: "Attach to a running container", ArgsUsage: "(POD | TYPE/NAME) [-c CONTAINER]",
		Flags:  flags(time.Minute),
		Action: func(c *cli.Context) error { return runAttach(c, env) },
	},
		"skiff attach kubia-dssvz",
		"skiff attach kubia-dssvz -c main -it",
		"skiff attach rs/kubia")
}

// session is one connection to a container.
type session struct {
	env        *command.Env
	client     *client.Client
	pod        *corev1.Pod
	container  string
	stdin, tty bool
	quiet      bool
}

// open finds the container that the flags and the first argument name.
func open(c *cli.Context, env *command.Env, verb string) (*session, error) {
	cl, err := compose.Connect(c, env)
	if err != nil {
		return nil, err
	}
	o, err := pods.Named(c.Context, cl, c.Args().First())
	if err != nil {
		return nil, err
	}
	f := pods.Finder{Client: cl, Clock: env.Clock, Err: env.Err, Patience: c.Duration("pod-running-timeout")}
	s := &session{env: env, client: cl, stdin: c.Bool("stdin"), tty: c.Bool("tty"), quiet: c.Bool("quiet")}
	if s.pod, _, err = f.One(c.Context, o, pods.ForWork); err != nil {
		return nil, err
	}
	if podfacts.Terminal(s.pod) {
		return nil, fmt.Errorf("cannot %s a container in a completed pod; current phase is %s", verb, s.pod.Status.Phase)
	}
	var note string
	if s.container, note, err = pods.Container(s.pod, c.String("container")); err != nil {
		return nil, err
	}
	if !s.quiet {
		fmt.Fprint(env.Err, note)
	}
	return s, nil
}

func runExec(c *cli.Context, env *command.Env) error {
	switch {
	case c.NArg() == 0 || env.Dash == 0:
		return errors.New("pod, type/name or --filename must be specified")
	case env.Dash < 0 && c.NArg() > 1:
		return command.UsageErrorf("exec", "exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead")
	case env.Dash < 0 || c.NArg() == env.Dash:
		return errors.New("you must specify at least one command for the container")
	}
	s, err := open(c, env, "exec into")
	if err != nil {
		return err
	}
	words := url.Values{"command": c.Args().Slice()[env.Dash:]}
	s.useTerminal()
	return s.run(c.Context, "exec", words)
}

func runAttach(c *cli.Context, env *command.Env) error {
	if c.NArg() == 0 {
		return errors.New("at least 1 argument is required for attach")
	}
	if c.NArg() > 1 {
		return command.UsageErrorf("attach", "expected 'attach (POD | TYPE/NAME) [-c CONTAINER]'")
	}
	s, err := open(c, env, "attach")
	if err != nil {
		return err
	}
	s.useTerminal()
	if s.tty && !s.containerHasTTY() {
		s.tty = false
		if !s.quiet {
			fmt.Fprintf(env.Err, "error: Unable to use a TTY - container %s did not allocate one\n", s.container)
		}
	}
	if !s.quiet {
		fmt.Fprintln(env.Err, "If you don't see a command prompt, try pressing enter.")
	}
	return s.run(c.Context, "attach", url.Values{})
}

func (s *session) containerHasTTY() bool {
	for _, c := range s.pod.Spec.Containers {
		if c.Name == s.container {
			return c.TTY
		}
	}
	return false
}

// useTerminal turns the TTY off when there is no terminal.
func (s *session) useTerminal() {
	if s.tty && !s.stdin {
		s.tty = false
	}
	if s.tty && s.env.Terminal.Raw == nil {
		s.tty = false
		if !s.quiet {
			fmt.Fprintln(s.env.Err, "Unable to use a TTY - input is not a terminal or the right kind of file")
		}
	}
}

// run connects the streams until the command ends; its exit code becomes the program's.
func (s *session) run(ctx context.Context, subresource string, q url.Values) error {
	executor, err := s.executor(subresource, q)
	if err != nil {
		return err
	}
	o := remotecommand.StreamOptions{Stdout: s.env.Out, Tty: s.tty}
	if s.stdin {
		o.Stdin = s.env.In
	}
	if !s.tty {
		o.Stderr = s.env.Err
	}
	if s.tty {
		restore, err := s.env.Terminal.Raw()
		if err != nil {
			return fmt.Errorf("setting the terminal up: %w", err)
		}
		defer restore()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		queue, stop := newSizes(ctx, s.env.Terminal)
		defer stop()
		o.TerminalSizeQueue = queue
	}
	return exitCode(executor.StreamWithContext(ctx, o))
}

func exitCode(err error) error {
	var exit utilexec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return command.Verbatim{Message: "command terminated with exit code " + strconv.Itoa(exit.ExitStatus()), Code: exit.ExitStatus()}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// executor returns a WebSocket executor that falls back to SPDY for servers without WebSockets.
func (s *session) executor(subresource string, q url.Values) (remotecommand.Executor, error) {
	r, err := pods.Ref(s.client, s.pod.Namespace, s.pod.Name)
	if err != nil {
		return nil, err
	}
	q.Set("container", s.container)
	for name, on := range map[string]bool{"stdin": s.stdin, "stdout": true, "stderr": !s.tty, "tty": s.tty} {
		if on {
			q.Set(name, "true")
		}
	}
	u := s.client.Request("GET", r.WithSubresource(subresource)).URL()
	u.RawQuery = q.Encode()
	spdy, err := remotecommand.NewSPDYExecutor(s.client.Config, "POST", u)
	if err != nil {
		return nil, err
	}
	ws, err := remotecommand.NewWebSocketExecutor(s.client.Config, "GET", u.String())
	if err != nil {
		return nil, err
	}
	return remotecommand.NewFallbackExecutor(ws, spdy, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
}

// sizes passes the terminal's extent on, once at the beginning and after each change.
type sizes struct {
	ctx     context.Context
	size    func() (terminal.Size, bool)
	changed <-chan os.Signal
	first   bool
}

// newSizes returns no queue when there is no terminal. stop ends the notifications.
func newSizes(ctx context.Context, t terminal.Terminal) (queue remotecommand.TerminalSizeQueue, stop func()) {
	if t.Size == nil || t.Resized == nil {
		return nil, func() {}
	}
	changed, stop := t.Resized()
	return &sizes{ctx: ctx, size: t.Size, changed: changed, first: true}, stop
}

// Next returns the extent after the next change; nil when the session is over.
func (s *sizes) Next() *remotecommand.TerminalSize {
	if !s.first {
		select {
		case <-s.ctx.Done():
			return nil
		case <-s.changed:
		}
	}
	s.first = false
	size, ok := s.size()
	if !ok {
		return nil
	}
	return &remotecommand.TerminalSize{Width: uint16(size.Width), Height: uint16(size.Height)}
}
