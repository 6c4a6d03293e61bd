package memory

import (
	"errors"
	"maps"

	"skiff/docker"
)

// The methods below are what no real engine has: with them a test decides what happens.

// Behave sets the behaviour of containers that are created from an image from now on.
func (r *Runtime) Behave(image string, b Behaviour) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.behaviours[image] = b
}

// Exit ends a container by its ID or name, as if its process had done so.
func (r *Runtime) Exit(id string, code int) error { return r.exit(id, code, false) }

// OOM ends a container as the kernel does when memory runs out.
func (r *Runtime) OOM(id string) error { return r.exit(id, exitKill, true) }

func (r *Runtime) exit(id string, code int, oom bool) error {
	now := r.clock.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	c, err := r.find(id)
	if err != nil {
		return err
	}
	if c.State != docker.Running {
		return errors.New("container " + id + " does not run")
	}
	if oom {
		c.OOMKilled = true
		r.emit(docker.Event{Action: docker.ActionOOM, ID: c.ID, Labels: c.Labels, At: now})
	}
	r.end(c, code, now)
	return nil
}

// Lose removes a container without an event.
func (r *Runtime) Lose(id string) error {
	now := r.clock.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	c, err := r.find(id)
	if err != nil {
		return err
	}
	streams := r.streams
	r.streams = nil
	r.end(c, exitKill, now)
	r.streams = streams
	delete(r.containers, c.ID)
	delete(r.names, c.Name)
	return nil
}

// Outage makes every call fail with err and suppresses events until Recover.
func (r *Runtime) Outage(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outage = err
}

// Recover ends an outage.
func (r *Runtime) Recover() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outage = nil
	r.emit(docker.Event{Action: docker.ActionResync})
}

// Fail makes one kind of call fail with err (create, start, stop, remove, inspect, list, image,
// pull). If err is nil, the call succeeds again.
func (r *Runtime) Fail(call string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		delete(r.faults, call)
		return
	}
	r.faults[call] = err
}

// Calls is how many calls of each kind there have been.
func (r *Runtime) Calls() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.calls)
}

// Answer sets the results of commands that are run with Exec. Without it all succeed without
// output.
func (r *Runtime) Answer(exec func(c docker.Container, command []string) (exitCode int, output string)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.exec = exec
}

// Print adds a line to a container's log.
func (r *Runtime) Print(id, text string) error {
	now := r.clock.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	c, err := r.find(id)
	if err != nil {
		return err
	}
	c.log = append(c.log, line{now, text})
	return nil
}

// Spec is what a container was created from.
func (r *Runtime) Spec(id string) (docker.ContainerSpec, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, err := r.find(id)
	if err != nil {
		return docker.ContainerSpec{}, err
	}
	if c.spec == nil {
		return docker.ContainerSpec{}, errors.New("this engine does not keep what containers are made from")
	}
	return *c.spec, nil
}

// Use sets how much memory a container uses, in bytes.
func (r *Runtime) Use(id string, bytes int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, err := r.find(id)
	if err == nil {
		c.used = bytes
	}
	return err
}
