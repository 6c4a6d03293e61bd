package node

import (
	"cmp"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/docker"
	"skiff/orchestrator/node/pod"
)

// created records a container that the agent has just created.
func (r *record) created(c docker.Container, id pod.Identity) {
	r.mu.Lock()
	defer r.mu.Unlock()
	image := r.imageID(id)
	a := r.attempts.Observe(c, id)
	a.StatusImageID = cmp.Or(image, a.StatusImageID)
}

// imageID is the image of a new attempt as a status shows it: what the engine said when it was last
// asked, or what another attempt with the same image has.
func (r *record) imageID(id pod.Identity) string {
	if known := r.images[id.Container].ID; known != "" {
		return known
	}
	for _, a := range r.attempts[id.Container] {
		if a.Hash == id.Hash && a.StatusImageID != "" {
			return a.StatusImageID
		}
	}
	return ""
}

// observed records what the engine says of a container. A container that is new to the agent, and
// that it is not starting, counts as adopted.
func (r *record) observed(c docker.Container, id pod.Identity, message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	adopted := r.attempts.Find(c.ID) == nil && !r.starting(id.Container)
	a := r.attempts.Observe(c, id)
	a.Adopted = a.Adopted || adopted
	a.Message = cmp.Or(message, a.Message)
}

// listed records what the engine's list says of a container that can't be inspected: a broken one
// must not keep the others from running.
func (r *record) listed(c docker.Container, id pod.Identity) {
	r.mu.Lock()
	defer r.mu.Unlock()
	adopted := r.attempts.Find(c.ID) == nil && !r.starting(id.Container)
	a := r.attempts.Observe(c, id)
	a.Adopted, a.Settled = a.Adopted || adopted, true
}

// removed records that the engine no longer has a container.
func (r *record) removed(id string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := r.attempts.Find(id); a != nil {
		r.attempts.Removed(a, now)
	}
}

// forgetAttempt drops a container that was created but will not be started.
func (r *record) forgetAttempt(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := r.attempts.Find(id); a != nil {
		r.attempts.Forget(a)
	}
}

// discard marks a created container as not to be started, as if an earlier daemon had left it.
func (r *record) discard(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := r.attempts.Find(id); a != nil {
		a.Adopted = true
	}
}

// settle accepts what is known about an attempt when the engine can't tell the rest.
func (r *record) settle(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := r.attempts.Find(id); a != nil {
		a.Settled = true
	}
}

// stopping records why the agent is about to stop an attempt.
func (r *record) stopping(id, cause string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := r.attempts.Find(id); a != nil && a.StopCause == "" {
		a.StopCause = cause
	}
}

// signalling notes that n signals more are sent to an attempt at a client's request.
func (r *record) signalling(id string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := r.attempts.Find(id); a != nil {
		a.Signals += n
	}
}

// signalledElsewhere returns the container of an attempt that runs and was sent a signal, if neither the
// agent is about to stop it nor a client of the API has asked for the signal.
func (r *record) signalledElsewhere(id string) (container string, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.attempts.Find(id)
	if a == nil || !a.Running() || a.StopCause != "" || a.ContainerName() == pod.SandboxName {
		return "", false
	}
	if a.Signals > 0 {
		a.Signals--
		return "", false
	}
	return a.ContainerName(), true
}

// seed adds what the pod's status says about attempts to what the engine says.
func (r *record) seed(p *corev1.Pod) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempts.Seed(p)
}

// event records what an event of the engine says of a container. It returns whether the container
// is known, and whether the engine must be asked for more. Events of a container that the agent
// itself is starting are no news, except for its end.
func (r *record) event(e docker.Event) (known, ask bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.attempts.Find(e.ID)
	if a == nil {
		// Either a start by the agent is about to record it, or somebody has created it by hand.
		return false, e.Action != docker.ActionDestroy && !r.starting(e.Labels[pod.LabelContainer])
	}
	switch e.Action {
	case docker.ActionStart:
		return true, !a.Running() && !r.starting(a.ContainerName())
	case docker.ActionOOM:
		a.OOMKilled = true
	case docker.ActionDie:
		a.Died(e.ExitCode, e.At)
		r.stopped(a)
		return true, true
	case docker.ActionDestroy:
		r.attempts.Removed(a, e.At)
	}
	return true, false
}

// upToDate reports whether a container is known to be in the listed state.
func (r *record) upToDate(c docker.Container) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.attempts.Find(c.ID)
	return a != nil && a.State == c.State && a.Settled && !a.Removed
}

// onEngine lists the IDs of the containers that the engine had when it was last asked.
func (r *record) onEngine() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []string
	for _, attempts := range r.attempts {
		for _, a := range attempts {
			if !a.Removed {
				ids = append(ids, a.ID)
			}
		}
	}
	return ids
}

// ended reports whether a container has ended, which includes that the engine could not start it.
func (r *record) ended(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.attempts.Find(id).Ended()
}

// hasMessage reports whether a container's termination message is known.
func (r *record) hasMessage(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.attempts.Find(id)
	return a != nil && a.Message != ""
}

// running returns a copy of the attempt of a container that runs now.
func (r *record) running(container string) (a pod.Attempt, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.attempts[container] {
		if a.Running() {
			return *a, true
		}
	}
	return pod.Attempt{}, false
}

// runningAddress is the address of a container of the pod that runs, invalid if none does.
func (r *record) runningAddress() netip.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, attempts := range r.attempts {
		for _, a := range attempts {
			if a.Running() && a.IP.IsValid() {
				return a.IP
			}
		}
	}
	return netip.Addr{}
}
