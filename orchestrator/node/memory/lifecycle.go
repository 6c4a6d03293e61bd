package memory

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"skiff/docker"
)

// Exit codes of processes that are ended by a signal.
const (
	exitTerm = 143
	exitKill = 137
)

// Start runs a container until its behaviour or somebody ends it.
func (r *Runtime) Start(ctx context.Context, id string) error {
	now := r.clock.Now()
	if err := r.enter(ctx, "start"); err != nil {
		return err
	}
	defer r.mu.Unlock()
	c, err := r.find(id)
	if err != nil || c.State == docker.Running {
		return err
	}
	if why := c.behaviour.StartError; why != "" {
		c.Error, c.ExitCode = why, 127
		return fmt.Errorf("%s: %w", why, docker.ErrInvalid)
	}
	if err := r.takeAddress(c); err != nil {
		return err
	}
	c.life++
	c.State, c.StartedAt, c.FinishedAt, c.ExitCode = docker.Running, now, time.Time{}, 0
	c.Pid = 1000 + r.created
	c.dead = make(chan struct{})
	r.emit(docker.Event{Action: docker.ActionStart, ID: c.ID, Labels: c.Labels, At: now})
	if b := c.behaviour; b.Ends {
		life := c.life
		r.after(b.After, func() { r.exitLife(c, life, b.ExitCode, now.Add(b.After)) })
	}
	return nil
}

// Update records what a running container may use.
func (r *Runtime) Update(ctx context.Context, id string, resources docker.Resources) error {
	if err := r.enter(ctx, "update"); err != nil {
		return err
	}
	defer r.mu.Unlock()
	c, err := r.find(id)
	if err != nil {
		return err
	}
	if c.State != docker.Running {
		return fmt.Errorf("container %s: %w", c.Name, docker.ErrNotRunning)
	}
	if c.spec != nil {
		c.spec.Resources = resources
	}
	return nil
}

// MemoryUsage is what Use has said.
func (r *Runtime) MemoryUsage(ctx context.Context, id string) (int64, error) {
	if err := r.enter(ctx, "usage"); err != nil {
		return 0, err
	}
	defer r.mu.Unlock()
	c, err := r.find(id)
	if err != nil {
		return 0, err
	}
	return c.used, nil
}

// after calls f after d, in a goroutine: a fake clock calls what waits for it while it holds its
// own lock.
func (r *Runtime) after(d time.Duration, f func()) {
	if d <= 0 {
		r.goroutines.Go(f)
		return
	}
	r.clock.AfterFunc(d, func() { r.goroutines.Go(f) })
}

func (r *Runtime) takeAddress(c *container) error {
	ip := c.ip
	if !ip.IsValid() {
		return nil
	}
	if other, taken := r.addresses[ip]; taken && other != c {
		return fmt.Errorf("address %s: %w", ip, docker.ErrAddressInUse)
	}
	r.addresses[ip] = c
	c.IP = ip
	return nil
}

// exitLife ends a container unless it has ended or been started again since.
func (r *Runtime) exitLife(c *container, life, code int, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.life == life {
		r.end(c, code, at)
	}
}

// end records that a container's process has ended. r.mu is held.
func (r *Runtime) end(c *container, code int, at time.Time) {
	if c.State != docker.Running {
		return
	}
	c.State, c.ExitCode, c.FinishedAt, c.Pid = docker.Exited, code, at, 0
	if c.IP.IsValid() {
		delete(r.addresses, c.IP)
		c.IP = netip.Addr{}
	}
	close(c.dead)
	r.emit(docker.Event{Action: docker.ActionDie, ID: c.ID, Labels: c.Labels, ExitCode: code, At: at})
}

// Stop ends a container as a real engine would: at once if it reacts to the signal, otherwise after
// the grace period.
func (r *Runtime) Stop(ctx context.Context, id string, grace time.Duration, _ string) error {
	now := r.clock.Now()
	if err := r.enter(ctx, "stop"); err != nil {
		return err
	}
	c, err := r.find(id)
	if err != nil || c.State != docker.Running {
		r.mu.Unlock()
		return err
	}
	switch {
	case grace <= 0:
		r.end(c, exitKill, now)
	case !c.behaviour.IgnoresTerm:
		r.end(c, c.behaviour.TermCode, now)
	}
	dead := c.dead
	r.mu.Unlock()
	return r.awaitOrKill(ctx, c, dead, grace)
}

// Kill ends a container that does not ignore the signal; SIGKILL always does.
func (r *Runtime) Kill(ctx context.Context, id, signal string) error {
	now := r.clock.Now()
	if err := r.enter(ctx, "kill"); err != nil {
		return err
	}
	defer r.mu.Unlock()
	c, err := r.find(id)
	switch {
	case err != nil:
		return err
	case c.State != docker.Running:
		return fmt.Errorf("container %s: %w", id, docker.ErrNotRunning)
	case signal == "SIGKILL" || signal == "KILL" || signal == "9":
		r.end(c, exitKill, now)
	case !c.behaviour.IgnoresTerm:
		r.end(c, c.behaviour.TermCode, now)
	}
	return nil
}

func (r *Runtime) awaitOrKill(ctx context.Context, c *container, dead <-chan struct{}, grace time.Duration) error {
	select {
	case <-dead:
		return nil
	default:
	}
	timer := r.clock.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-dead:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C():
	}
	now := r.clock.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.outage != nil {
		return fmt.Errorf("stop: %w", r.outage)
	}
	r.end(c, exitKill, now)
	return nil
}

// Remove removes a container and kills it if it runs.
func (r *Runtime) Remove(ctx context.Context, id string) error {
	now := r.clock.Now()
	if err := r.enter(ctx, "remove"); err != nil {
		return err
	}
	defer r.mu.Unlock()
	c, err := r.find(id)
	if err != nil {
		return nil //nolint:nilerr // it is gone already
	}
	r.end(c, exitKill, now)
	delete(r.containers, c.ID)
	delete(r.names, c.Name)
	r.emit(docker.Event{Action: docker.ActionDestroy, ID: c.ID, Labels: c.Labels, At: now})
	return nil
}
