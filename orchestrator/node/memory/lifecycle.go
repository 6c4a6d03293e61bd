package memory

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"skiff/docker"
)

// Exit codes of processes that end by a signal.
const (
	exitTerm = 143
	exitKill = 137
)

// Start runs a container, until its behaviour or somebody ends it.
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

// after runs f in a while, in a goroutine of its own that lasts only for f: a fake clock calls from within its lock.
func (r *Runtime) after(d time.Duration, f func()) {
	if d <= 0 {
		go f()
		return
	}
	r.clock.AfterFunc(d, func() { go f() })
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

// exitLife ends a container unless it has ended, or has been started anew, since.
func (r *Runtime) exitLife(c *container, life, code int, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.life == life {
		r.end(c, code, at)
	}
}

// end is what happens when a process ends. r.mu is held.
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

// Stop ends a container as a real engine would: at once if it heeds the signal, else after the grace period.
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

// Remove takes a container away, killing it if it runs.
func (r *Runtime) Remove(ctx context.Context, id string) error {
	now := r.clock.Now()
	if err := r.enter(ctx, "remove"); err != nil {
		return err
	}
	defer r.mu.Unlock()
	c, err := r.find(id)
	if err != nil {
		return nil //nolint:nilerr // gone is gone
	}
	r.end(c, exitKill, now)
	delete(r.containers, c.ID)
	delete(r.names, c.Name)
	r.emit(docker.Event{Action: docker.ActionDestroy, ID: c.ID, Labels: c.Labels, At: now})
	return nil
}
