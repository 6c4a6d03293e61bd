package docker

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
)

// defaultStarts is how many containers start at once where Options does not say: three a CPU. On
// two CPUs four to eight are equally good; fewer leave them idle, fifty at once take a fifth longer
// and every one of them waits for the rest.
func defaultStarts() int { return min(max(3*runtime.NumCPU(), 4), 16) }

// A dead container's address gets free 20 to 50 ms after its die event (Engine 20.10, two cores):
// Start tries again after the first of these pauses, twice that, and so on to the last.
const (
	minAddressPause = 5 * time.Millisecond
	maxAddressPause = 80 * time.Millisecond
)

// Start runs a created container. It waits first for a place among Options.Starts: more starts at
// once only slow each other down. It waits some 150 ms more for an address that a dead container is
// about to give back. Starting one that runs is no error. Errors: ErrAddressInUse, ErrPortInUse,
// ErrNoNetwork, ErrNotFound; ErrNotRunning when the container it joins does not run; what the image
// or the command is to blame for (no such program, not executable) is ErrInvalid. After a failed
// start State stays Created, ExitCode is 126 to 128 and Error says why. When ctx ends while the engine
// starts the container, Start returns once the engine has answered.
func (e *Engine) Start(ctx context.Context, id string) error {
	if err := e.starts.Acquire(ctx, 1); err != nil {
		return &Error{Op: "start", Name: id, Err: err}
	}
	defer e.starts.Release(1)
	for pause := minAddressPause; ; pause *= 2 {
		err := e.change(ctx, "start", id, func(ctx context.Context, c *client.Client) error {
			return c.ContainerStart(ctx, id, container.StartOptions{})
		})
		if !errors.Is(err, ErrAddressInUse) || pause > maxAddressPause {
			return err
		}
		if e.pause(ctx, pause) != nil {
			return err
		}
	}
}

// Stop ends a container and returns when it is dead and its address free: signal first (empty: the
// container's own stop signal), SIGKILL when grace has passed; a grace of zero or less is SIGKILL
// at once. Ending one that does not run, or is gone, is no error. On Engine 20.10 the signal may wait
// for other containers to end, and grace counts from the signal. When ctx ends Stop returns its error
// and sends nothing more.
func (e *Engine) Stop(ctx context.Context, id string, grace time.Duration, signal string) error {
	if grace <= 0 {
		return e.end(ctx, id)
	}
	signal, err := e.stopSignal(ctx, id, signal)
	if err != nil {
		return unlessDead(err)
	}
	done, err := e.turn(ctx, signalTurn)
	if err != nil {
		return &Error{Op: "kill", Name: id, Err: err}
	}
	defer done()
	dead, abandon := e.awaitDeath(ctx, id)
	defer abandon()
	if err := unlessDead(e.Kill(ctx, id, signal)); err != nil {
		return err
	}
	timer := e.clock.NewTimer(grace)
	defer timer.Stop()
	select {
	case err := <-dead:
		return err
	case <-timer.C():
		done()
		return e.end(ctx, id)
	}
}

// end kills and waits.
func (e *Engine) end(ctx context.Context, id string) error {
	done, err := e.turn(ctx, killTurn)
	if err != nil {
		return &Error{Op: "kill", Name: id, Err: err}
	}
	defer done()
	if err := unlessDead(e.Kill(ctx, id, "SIGKILL")); err != nil {
		return err
	}
	return e.wait(ctx, id, container.WaitConditionNotRunning)
}

// unlessDead passes an error on that says more than that there is nothing to end.
func unlessDead(err error) error {
	if errors.Is(err, ErrNotRunning) || errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// stopSignal is what to send first. The engine's own stop knows, but takes whole seconds only, and
// before API 1.42 no signal; so skiff sends it.
func (e *Engine) stopSignal(ctx context.Context, id, signal string) (string, error) {
	if signal != "" {
		return signal, nil
	}
	found, err := e.inspect(ctx, id)
	if err != nil {
		return "", err
	}
	if found.Config != nil {
		signal = found.Config.StopSignal // the image's, where the container named none
	}
	return cmp.Or(signal, "SIGTERM"), nil
}

// awaitDeath waits beside the caller, who calls abandon in the end.
func (e *Engine) awaitDeath(ctx context.Context, id string) (dead <-chan error, abandon func()) {
	ctx, cancel := context.WithCancel(ctx)
	result, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		result <- e.wait(ctx, id, container.WaitConditionNotRunning)
	}()
	return result, func() { cancel(); <-ended }
}

// wait returns when the container does not run or, as until has it, is removed; one that is gone is
// both.
func (e *Engine) wait(ctx context.Context, id string, until container.WaitCondition) error {
	err := e.stream(ctx, "wait", id, func(ctx context.Context, c *client.Client) error {
		// The client sends exactly one answer on one of the two, and soon after ctx has ended.
		answer, failed := c.ContainerWait(ctx, id, until)
		select {
		case <-answer:
			return nil
		case err := <-failed:
			return err
		}
	})
	return unlessDead(err)
}

// Kill sends signal ("SIGTERM", "TERM" or a number; empty is SIGKILL) to the container's main
// process. ErrNotRunning when it has none.
func (e *Engine) Kill(ctx context.Context, id, signal string) error {
	return e.call(ctx, "kill", id, func(ctx context.Context, c *client.Client) error {
		return c.ContainerKill(ctx, id, signal)
	})
}

// awaitRemoval waits until a removal under way has ended, for as long as any call may take: one
// that hangs in the engine must not hang here too. Then refused, the engine's answer, stands.
func (e *Engine) awaitRemoval(ctx context.Context, id string, refused error) error {
	bounded, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	err := e.wait(bounded, id, container.WaitConditionRemoved)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return refused
	}
	return err
}

// Remove takes a container away with its anonymous volumes, killing it if it runs, and returns when
// it is gone. One that is gone already is no error.
func (e *Engine) Remove(ctx context.Context, id string) error {
	err := e.call(ctx, "remove", id, func(ctx context.Context, c *client.Client) error {
		return c.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
	})
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case errors.Is(err, ErrConflict): // somebody is removing it already
		return e.awaitRemoval(ctx, id, err)
	}
	return err
}
