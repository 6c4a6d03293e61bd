package docker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"golang.org/x/sync/errgroup"
)

// detachKeys are typed by nobody. The engine's own, ctrl-p ctrl-q, hold each ctrl-p back until the
// next key.
const detachKeys = "ctrl-^,ctrl-@,ctrl-^,ctrl-@,ctrl-^,ctrl-@"

// Exec runs a process in a running container, with the given streams, until its output ends, and
// gives its exit code. A program that cannot be started is no error but exit code 126 or 127 with
// the engine's reason on Out. Errors: ErrNotRunning, ErrNotFound; ErrTimeout when x.Timeout has
// passed, or ctx's. The engine cannot end such a process: it is killed where this daemon may do so
// (same machine, enough rights) and else lives until it or its container ends. Exec does not wait
// for a Read of In that blocks: the caller closes In.
func (e *Engine) Exec(ctx context.Context, id string, x ExecSpec) (exitCode int, err error) {
	bounded, cancel := ctx, context.CancelFunc(func() {})
	if x.Timeout > 0 {
		bounded, cancel = context.WithTimeout(ctx, x.Timeout)
	}
	defer cancel()
	began := e.clock.Now()
	exitCode, err = e.exec(bounded, id, &x)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		err = &Error{Op: "exec", Name: id, Kind: ErrTimeout, Err: fmt.Errorf("command timed out after %s", x.Timeout)}
	}
	e.metrics.observe("exec", err, e.clock.Since(began))
	return exitCode, err
}

func (e *Engine) exec(ctx context.Context, id string, x *ExecSpec) (int, error) {
	exec, err := e.execCreate(ctx, id, x)
	if err != nil {
		return 0, err
	}
	code := 0
	err = e.execRun(ctx, exec, id, x)
	if err == nil {
		code, err = e.execResult(ctx, exec, id)
	}
	if ctx.Err() != nil {
		e.killExec(ctx, exec, id)
	}
	return code, err
}

func (e *Engine) execCreate(ctx context.Context, id string, x *ExecSpec) (exec string, err error) {
	err = e.call(ctx, "exec_create", id, func(ctx context.Context, c *client.Client) error {
		made, err := c.ContainerExecCreate(ctx, id, container.ExecOptions{
			User: x.User, Cmd: x.Cmd, Tty: x.Streams.TTY, DetachKeys: detachKeysFor(x.Streams),
			AttachStdin: x.Streams.In != nil, AttachStdout: x.Streams.Out != nil, AttachStderr: x.Streams.Err != nil,
		})
		exec = made.ID
		return err
	})
	return exec, err
}

// detachKeysFor is empty without a terminal, where the engine does not look for any.
func detachKeysFor(s Streams) string {
	if !s.TTY {
		return ""
	}
	return detachKeys
}

// execRun starts the process and stays with it until its output ends.
func (e *Engine) execRun(ctx context.Context, exec, id string, x *ExecSpec) error {
	return e.stream(ctx, "exec_start", id, func(ctx context.Context, c *client.Client) error {
		s, err := e.hijack(ctx, c, "/exec/"+exec+"/start", nil, container.ExecStartOptions{Tty: x.Streams.TTY})
		if err != nil {
			return err
		}
		defer s.close()
		return s.serve(ctx, x.Streams, func(ctx context.Context, size Size) error {
			return c.ContainerExecResize(ctx, exec, container.ResizeOptions{Height: uint(size.Height), Width: uint(size.Width)})
		})
	})
}

// serve carries the streams and, beside them, the terminal's sizes. A size the engine refuses is
// not worth the session.
func (s *session) serve(ctx context.Context, streams Streams, to func(context.Context, Size) error) error {
	sizing, done := context.WithCancel(ctx)
	var group errgroup.Group
	if streams.TTY && streams.Resize != nil {
		group.Go(func() error { _ = resize(sizing, streams.Resize, to); return nil })
	}
	err := s.carry(ctx, streams)
	done()
	_ = group.Wait()
	return err
}

// execResult is the exit code. The output may end before the engine has seen the process's end.
func (e *Engine) execResult(ctx context.Context, exec, id string) (int, error) {
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		state, err := e.execInspect(ctx, exec, id)
		if err != nil {
			return 0, err
		}
		if !state.Running {
			return state.ExitCode, nil
		}
		if err := e.pause(ctx, pause); err != nil {
			return 0, &Error{Op: "exec", Name: id, Err: err}
		}
	}
}

func (e *Engine) execInspect(ctx context.Context, exec, id string) (state container.ExecInspect, err error) {
	err = e.call(ctx, "exec_inspect", id, func(ctx context.Context, c *client.Client) (err error) {
		state, err = c.ContainerExecInspect(ctx, exec)
		return err
	})
	return state, err
}

// A process that nobody waits for is looked for so often, after such pauses, until it has begun.
const (
	execTries = 20
	execPause = 50 * time.Millisecond
)

// killExec ends a process that nobody waits for any longer because ctx has ended, as far as that is
// possible.
func (e *Engine) killExec(ctx context.Context, exec, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	state, err := e.execInspect(ctx, exec, id)
	// An engine that is busy may begin it only now, though nobody waits for it any longer.
	for try := 0; err == nil && state.Pid == 0 && try < execTries && e.pause(ctx, execPause) == nil; try++ {
		state, err = e.execInspect(ctx, exec, id)
	}
	if err == nil && state.Running {
		err = killIn(state.ContainerID, state.Pid)
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, ErrNotFound) {
		e.log.Warn("abandoned exec may still run", "container", id, "pid", state.Pid, "error", err)
	}
}
