package pod

import (
	"cmp"
	"slices"
	"time"

	"skiff/docker"
)

// Attempts are the attempts of a pod's containers, newest first, by container; those of the sandbox
// are under SandboxName. Attempts that the engine no longer has are among them as long as a status
// shows them.
type Attempts map[string][]*Attempt

// Clone is a copy that shares nothing with all but the containers' labels.
func (all Attempts) Clone() Attempts {
	out := make(Attempts, len(all))
	for name, attempts := range all {
		copies := make([]*Attempt, len(attempts))
		for i, a := range attempts {
			c := *a
			copies[i] = &c
		}
		out[name] = copies
	}
	return out
}

// Latest is a container's newest attempt, nil if it never ran.
func (all Attempts) Latest(name string) *Attempt {
	if attempts := all[name]; len(attempts) > 0 {
		return attempts[0]
	}
	return nil
}

// Find is the attempt whose container has an ID on the engine, nil if there is none.
func (all Attempts) Find(id string) *Attempt {
	for _, attempts := range all {
		for _, a := range attempts {
			if a.ID == id && id != "" {
				return a
			}
		}
	}
	return nil
}

// Observe records what the engine says of a container, unless a later state of it is known already.
func (all Attempts) Observe(c docker.Container, id Identity) *Attempt {
	if a := all.Find(c.ID); a != nil {
		if a.precedes(c) {
			c.OOMKilled = c.OOMKilled || a.OOMKilled
			a.Container, a.Removed, a.Settled = c, false, true
			a.StatusImageID = cmp.Or(a.StatusImageID, c.ImageID)
		}
		return a
	}
	a := newAttempt(c, id)
	all.insert(a)
	return a
}

// Removed records that the engine no longer has an attempt's container. An attempt that never began
// is forgotten.
func (all Attempts) Removed(a *Attempt, now time.Time) {
	if a.NeverStarted() {
		all.Forget(a)
		return
	}
	if a.State == docker.Running {
		a.State, a.ExitCode, a.FinishedAt = docker.Exited, ExitKilled, now
	}
	a.Removed, a.Settled = true, true
	all[a.ContainerName()] = trimmed(all[a.ContainerName()])
}

// Forget drops an attempt.
func (all Attempts) Forget(a *Attempt) {
	name := a.ContainerName()
	all[name] = slices.DeleteFunc(slices.Clone(all[name]), func(b *Attempt) bool { return a == b })
	if len(all[name]) == 0 {
		delete(all, name)
	}
}

// insert keeps a container's attempts newest first.
func (all Attempts) insert(a *Attempt) {
	attempts := all[a.ContainerName()]
	i := slices.IndexFunc(attempts, func(other *Attempt) bool { return other.Number < a.Number })
	if i < 0 {
		i = len(attempts)
	}
	all[a.ContainerName()] = trimmed(slices.Insert(slices.Clone(attempts), i, a))
}

// trimmed leaves out attempts that the engine no longer has and no status shows.
func trimmed(attempts []*Attempt) []*Attempt {
	if len(attempts) <= 2 {
		return attempts
	}
	kept := slices.Clone(attempts[:2])
	for _, a := range attempts[2:] {
		if !a.Removed {
			kept = append(kept, a)
		}
	}
	return kept
}
