package node

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/docker"
	"skiff/orchestrator/node/pod"
)

// stop ends a container: preStop hook, SIGTERM, and SIGKILL when the grace period, which covers all
// of it, is over.
func (a *Agent) stop(ctx context.Context, r *record, v *pod.View, s pod.Step) {
	a.emitKilling(v.Pod, s)
	grace := s.Grace
	if grace > 0 && v.Pod != nil {
		grace = a.preStop(ctx, v, s)
	}
	if ctx.Err() != nil {
		return
	}
	err := a.Runtime.Stop(ctx, s.ID, grace, "")
	switch {
	case ctx.Err() != nil:
		return
	case isOutage(err):
		a.engineDown(err)
		return
	case err != nil && !errors.Is(err, docker.ErrNotFound):
		a.log.Error("container not stopped, will retry", "pod", r.name, "namespace", r.namespace, "container", s.Container, "error", err)
		a.pause(ctx, retryDelay)
	}
	// The event of its end may be late or lost.
	if err := a.inspect(ctx, r, s.ID); err != nil && ctx.Err() == nil {
		a.log.Error("stopped container not inspected", "pod", r.name, "namespace", r.namespace, "container", s.Container, "error", err)
	}
}

func (a *Agent) emitKilling(object *corev1.Pod, s pod.Step) {
	if object == nil || s.Container == pod.SandboxName {
		return
	}
	message := s.Message
	if message == "" {
		message = "Stopping container " + s.Container
	}
	a.emit(object, s.Container, corev1.EventTypeNormal, "Killing", "%s", message)
}

// preStop runs the container's preStop hook, if it has one, and returns what is left of the grace
// period. A container always has a moment left to shut down.
func (a *Agent) preStop(ctx context.Context, v *pod.View, s pod.Step) time.Duration {
	c := pod.FindContainer(&v.Pod.Spec, s.Container)
	if c == nil || c.Lifecycle == nil || c.Lifecycle.PreStop == nil {
		return s.Grace
	}
	begun := a.Clock.Now()
	limited, cancel := a.withTimeout(ctx, s.Grace)
	defer cancel()
	if _, err := a.runHook(limited, v, c, s.ID, c.Lifecycle.PreStop); err != nil && ctx.Err() == nil && limited.Err() == nil {
		a.emit(v.Pod, c.Name, corev1.EventTypeWarning, "FailedPreStopHook", "PreStopHook failed")
	}
	return max(s.Grace-a.Clock.Since(begun), min(pod.MinGrace, s.Grace))
}
