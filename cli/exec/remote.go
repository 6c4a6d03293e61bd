package exec

import (
	"context"
	"fmt"
	"io"
	"net/url"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/remotecommand"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/pods"
	"skiff/manifests/podfacts"
)

// Remote is a program to run in a container for another command of skiff's, without a terminal.
type Remote struct {
	Client    *client.Client
	Pod       *corev1.Pod
	Container string
	Command   []string
	// In may be nil.
	In       io.Reader
	Out, Err io.Writer
}

// Run runs the program until it ends. An exit code other than 0 is an error.
func (r Remote) Run(ctx context.Context) error {
	s := &session{client: r.Client, pod: r.Pod, container: r.Container, stdin: r.In != nil}
	executor, err := s.executor("exec", url.Values{"command": r.Command})
	if err != nil {
		return err
	}
	return exitCode(executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: r.In, Stdout: r.Out, Stderr: r.Err}))
}

// Terminal connects a person's terminal, or what stands for it, with a container.
type Terminal struct {
	Env        *command.Env
	Client     *client.Client
	Pod        *corev1.Pod
	Container  string
	Stdin, TTY bool
	Quiet      bool
}

// Attach connects with the container's main process until that ends. Where that fails, and for a
// container that has ended already, it prints what the container has written.
func (t Terminal) Attach(ctx context.Context) error {
	if podfacts.Terminal(t.Pod) || terminated(t.Pod, t.Container) {
		return t.log(ctx)
	}
	s := &session{env: t.Env, client: t.Client, pod: t.Pod, container: t.Container, stdin: t.Stdin, tty: t.TTY, quiet: t.Quiet}
	s.useTerminal()
	if !s.quiet {
		fmt.Fprintln(t.Env.Err, "If you don't see a command prompt, try pressing enter.")
	}
	heard := &counter{to: t.Env.Out}
	env := *t.Env
	env.Out = heard
	s.env = &env
	err := s.run(ctx, "attach", url.Values{})
	switch {
	case ctx.Err() != nil:
		return err
	case err == nil && heard.n == 0 && !s.tty:
		return t.log(ctx) // it had written all it had to say before it was attached to
	case err == nil:
		return nil
	}
	fmt.Fprintf(t.Env.Err, "warning: couldn't attach to pod/%s, falling back to streaming logs: %v\n", t.Pod.Name, err)
	return t.log(ctx)
}

// counter counts what it passes on.
type counter struct {
	to io.Writer
	n  int64
}

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += int64(n)
	return n, err
}

// log prints what the container has written so far.
func (t Terminal) log(ctx context.Context) error {
	r, err := pods.Ref(t.Client, t.Pod.Namespace, t.Pod.Name)
	if err != nil {
		return err
	}
	text, err := t.Client.Request("GET", r.WithSubresource("log")).Param("container", t.Container).Stream(ctx)
	if err != nil {
		return err
	}
	defer text.Close()
	_, err = io.Copy(t.Env.Out, text)
	return err
}

// terminated reports whether a container, ephemeral ones included, has ended.
func terminated(pod *corev1.Pod, container string) bool {
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses, pod.Status.EphemeralContainerStatuses} {
		for i := range list {
			if list[i].Name == container {
				return list[i].State.Terminated != nil
			}
		}
	}
	return false
}
