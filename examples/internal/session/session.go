// Package session runs an example before a reader's eyes: on a daemon of its own, each command as one
// would type it, and in the end everything is removed.
package session

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/docker/docker/client"

	"skiff/examples/internal/gobuild"
	"skiff/examples/internal/image"
)

// Example is what is shown.
type Example struct {
	Name    string
	Program image.Program
	Images  []image.Spec
	Show    func(*Session) error
}

// Main is the whole of an example's command. With -keep the daemon and what runs on it stay.
func (e Example) Main() {
	keep := flag.Bool("keep", false, "leave the daemon and the pods running")
	root := flag.String("root", ".", "the `directory` of the clone")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := e.run(ctx, *root, *keep)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", e.Name, err)
		os.Exit(1)
	}
}

func (e Example) run(ctx context.Context, root string, keep bool) (err error) {
	engine, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return err
	}
	defer engine.Close()
	if _, err := engine.Ping(ctx); err != nil {
		return fmt.Errorf("reaching the Docker Engine (is it running, and may you use it?): %w", err)
	}
	s := &Session{ctx: ctx, root: root, engine: engine, made: image.Missing(ctx, engine, e.Images)}
	if err := e.build(s); err != nil {
		return err
	}
	if s.data, err = os.MkdirTemp("", "skiff-"+e.Name+"-"); err != nil {
		return err
	}
	defer func() {
		if !keep {
			err = errors.Join(err, s.cleanUp())
			return
		}
		fmt.Printf("\nThe daemon keeps running. In this clone:\n  export SKIFF_DATA_DIR=%s\n  bin/skiff ps\n  bin/skiff daemon reset --yes    # removes it all\n", s.data)
	}()
	return e.Show(s)
}

func (e Example) build(s *Session) error {
	fmt.Println("# building bin/skiff: the first time takes some minutes")
	if err := gobuild.Generate(s.ctx, s.root); err != nil {
		return fmt.Errorf("building skiff: %w", err)
	}
	if err := gobuild.Run(s.ctx, s.root, os.Stdout, "-tags", "netgo,osusergo,sqlite_omit_load_extension,grpcnotrace,urfave_cli_no_docs,kustomize_disable_go_plugin_support", "-o", "bin/skiff", "."); err != nil {
		return fmt.Errorf("building skiff: %w", err)
	}
	fmt.Println("# making the images of", e.Name)
	return e.Program.Build(s.ctx, s.engine, e.Images)
}

// Session runs commands on a daemon of its own.
type Session struct {
	ctx        context.Context
	root, data string
	engine     *client.Client
	// made are the images that were not there before.
	made []string
}

// Context ends when the reader has seen enough.
func (s *Session) Context() context.Context { return s.ctx }

// Say prints a remark.
func (s *Session) Say(format string, a ...any) { fmt.Printf("\n# "+format+"\n", a...) }

// Skiff shows a command of skiff's, and what it prints.
func (s *Session) Skiff(args ...string) error { return s.Visible("skiff", args...) }

// Visible prints the command as a reader would type it, and what it prints.
func (s *Session) Visible(name string, args ...string) error {
	fmt.Printf("\n$ %s %s\n", name, quote(args))
	cmd := s.command(name, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, args[0], err)
	}
	return nil
}

func (s *Session) command(name string, args ...string) *exec.Cmd {
	if name == "skiff" {
		name = filepath.Join(s.root, "bin", "skiff")
	}
	cmd := exec.CommandContext(s.ctx, name, args...)
	cmd.Dir = s.root
	cmd.Env = append(os.Environ(), "SKIFF_DATA_DIR="+s.data, "SKIFF_LISTEN=127.0.0.1:0", "KUBECONFIG=")
	return cmd
}

// Output is what a command of skiff's prints.
func (s *Session) Output(args ...string) (string, error) {
	cmd := s.command("skiff", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("skiff %s: %w", args[0], err)
	}
	return string(out), nil
}

// Until asks until the answer is want.
func (s *Session) Until(limit time.Duration, want string, args ...string) error {
	ctx, cancel := context.WithTimeout(s.ctx, limit)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := s.Output(args...)
		if err != nil || got == want {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s to print %q: %w", quote(args), want, ctx.Err())
		}
	}
}

// patience is how long a busy engine may take to remove everything.
const patience = 5 * time.Minute

// cleanUp removes the containers, the daemon and its data. It has its own context: Ctrl-C is a
// reason to clean up. What tells a later reset what to remove is kept until all is gone.
func (s *Session) cleanUp() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), patience)
	defer cancel()
	s.ctx = ctx
	s.Say("removing it all again")
	if err := s.Skiff("daemon", "reset", "--yes"); err != nil {
		return fmt.Errorf("%w\nnot all is removed: bin/skiff daemon reset --yes --data-dir %s goes on with it", err, s.data)
	}
	return errors.Join(image.Remove(ctx, s.engine, s.made), os.RemoveAll(s.data))
}

func quote(args []string) string {
	shown := make([]string, len(args))
	for i, a := range args {
		if strings.ContainsAny(a, " {}\t'$") {
			a = "'" + a + "'"
		}
		shown[i] = a
	}
	return strings.Join(shown, " ")
}
