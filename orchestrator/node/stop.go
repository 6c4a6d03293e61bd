package node

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/docker"
)

// stopping notes, before a stop begins, that it is the agent's own doing.
func (a *Agent) stopping(r *record, s step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if run := r.find(s.id); run != nil && run.stopped == "" {
		run.stopped = s.stopped
	}
}

// stop ends a container: preStop hook, SIGTERM, and SIGKILL when the grace period, which counts for all of it, is over.
func (a *Agent) stop(ctx context.Context, r *record, v *view, s step) {
	a.tellKilling(v.pod, s)
	grace := s.grace
	if grace > 0 && v.pod != nil {
		grace = a.preStop(ctx, v, s)
	}
	if ctx.Err() != nil {
		return
	}
	err := a.Runtime.Stop(ctx, s.id, grace, "")
	switch {
	case ctx.Err() != nil:
		return
	case isOutage(err):
		a.engineFailed(err)
		return
	case err != nil && !errors.Is(err, docker.ErrNotFound):
		a.log.Error("container not stopped, will retry", "pod", r.name, "namespace", r.namespace, "container", s.container, "error", err)
		a.pause(ctx, failedRetry)
	}
	// The event of its end may be late or lost.
	if err := a.look(ctx, r, s.id); err != nil && ctx.Err() == nil {
		a.log.Error("stopped container not inspected", "pod", r.name, "namespace", r.namespace, "container", s.container, "error", err)
	}
}

func (a *Agent) tellKilling(pod *corev1.Pod, s step) {
	if pod == nil || s.container == sandboxName {
		return
	}
	message := s.message
	if message == "" {
		message = "Stopping container " + s.container
	}
	a.tell(pod, s.container, corev1.EventTypeNormal, "Killing", "%s", message)
}

// preStop runs the container's preStop hook, if it has one, and returns what is left of the grace period. A container
// always gets a moment to shut down.
func (a *Agent) preStop(ctx context.Context, v *view, s step) time.Duration {
	c := findContainer(&v.pod.Spec, s.container)
	if c == nil || c.Lifecycle == nil || c.Lifecycle.PreStop == nil {
		return s.grace
	}
	begun := a.Clock.Now()
	limited, cancel := a.within(ctx, s.grace)
	defer cancel()
	if _, err := a.runHook(limited, v, c, s.id, c.Lifecycle.PreStop); err != nil && ctx.Err() == nil && limited.Err() == nil {
		a.tell(v.pod, c.Name, corev1.EventTypeWarning, "FailedPreStopHook", "PreStopHook failed")
	}
	return max(s.grace-a.Clock.Since(begun), min(minGrace, s.grace))
}

// within is a context that ends after a time by the agent's clock.
func (a *Agent) within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	timer := a.Clock.NewTimer(d)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		defer timer.Stop()
		select {
		case <-timer.C():
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(); <-stopped }
}
