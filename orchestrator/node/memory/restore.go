package memory

import "skiff/docker"

// Restore restores a container as it was before the daemon, and this engine with it, ended. If it
// ran then, it runs now and ends when it would have. If a container of its name exists, that one
// stays.
func (r *Runtime) Restore(before docker.Container, spec docker.ContainerSpec) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.names[before.Name]; taken {
		return
	}
	r.created++
	c := &container{Container: before, ip: spec.Network.IP, behaviour: r.behaviour(spec), dead: make(chan struct{}), life: 1}
	c.Labels = r.labels(before.Labels)
	if !r.o.Lean {
		c.spec = &spec
	}
	r.containers[c.ID], r.names[c.Name] = c, c
	if c.State != docker.Running {
		close(c.dead)
		return
	}
	if c.IP.IsValid() {
		r.addresses[c.IP] = c
	}
	if b := c.behaviour; b.Ends {
		end := before.StartedAt.Add(b.After)
		r.after(end.Sub(r.clock.Now()), func() { r.exitLife(c, 1, b.ExitCode, end) })
	}
}
