package streams

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

// overSPDY serves the command over SPDY, with the subprotocols up to v4.
func (c *command) overSPDY(w *takenOver, r *http.Request) {
	remotecommand.ServeExec(w, r, spdyExecutor{c, w}, "", "", "", nil,
		&remotecommand.Options{Stdin: c.in, Stdout: c.out, Stderr: c.err, TTY: c.tty},
		idleTimeout, creationTimeout, remotecommand.SupportedStreamingProtocols)
}

// spdyExecutor is the command in the terms of cri-streaming.
type spdyExecutor struct {
	command *command
	taken   *takenOver
}

// ExecInContainer implements remotecommand.Executor.
func (e spdyExecutor) ExecInContainer(ctx context.Context, _, _, _ string, _ []string, in io.Reader, out, errOut io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize, _ time.Duration) error {
	e.taken.serving()
	s := Streams{In: in, TTY: tty}
	if out != nil {
		s.Out = out
	}
	if errOut != nil {
		s.Err = errOut
	}
	if resize != nil {
		s.Resize = sizes(ctx, resize)
	}
	return exitError(e.command.do(ctx, s))
}

// exitError digs a command's exit code out of a chain of errors: cri-streaming does not look into
// chains.
func exitError(err error) error {
	var exit utilexec.ExitError
	if errors.As(err, &exit) {
		return exit
	}
	return err
}

// sizes translates a terminal's sizes until there are no more or ctx ends.
func sizes(ctx context.Context, from <-chan remotecommand.TerminalSize) <-chan Size {
	to := make(chan Size)
	go func() {
		defer close(to)
		for {
			select {
			case s, ok := <-from:
				if !ok || !send(ctx, to, Size{Width: s.Width, Height: s.Height}) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return to
}

func send(ctx context.Context, to chan<- Size, s Size) bool {
	select {
	case to <- s:
		return true
	case <-ctx.Done():
		return false
	}
}
