package node

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"skiff/docker"
	"skiff/manifests/podfacts"
	"skiff/orchestrator/node/pod"
	"skiff/orchestrator/node/spec"
)

// allocate decides about a pod that asks for other resources than are allocated, and reports whether
// that changes the view (k8s.io/kubernetes/pkg/kubelet/allocation/allocation_manager.go,
// handlePodResourcesResize).
func (a *Agent) allocate(r *record, v *pod.View) bool {
	if v.Pod == nil || v.EngineDown != "" || v.Rejected != nil || v.Pod.DeletionTimestamp != nil || podfacts.Terminal(v.Pod) {
		return false
	}
	if !r.recallAllocation(v.Pod) {
		a.records.deferResize(r.uid, false)
		return r.withdrawResize() || a.completeResize(r, v)
	}
	// One pod at a time, as for admission.
	a.admission.Lock()
	defer a.admission.Unlock()
	why := a.refusedResize(v.Pod)
	if why == nil {
		a.records.deferResize(r.uid, false)
		r.acceptResize(v.Pod)
		a.emit(v.Pod, "", corev1.EventTypeNormal, "ResizeStarted", "Pod resize started: %s", pod.ResizeSummary(v.Pod, v.Pod.Generation, ""))
		a.retryDeferred() // it may have given something back
		return true
	}
	a.records.deferResize(r.uid, why.Reason == corev1.PodReasonDeferred)
	if r.postponeResize(*why) {
		a.emit(v.Pod, "", corev1.EventTypeWarning, "Resize"+why.Reason, "Pod resize %s: %s", why.Reason, pod.ResizeSummary(v.Pod, why.Generation, why.Message))
	}
	return v.Resize.Pending == nil || *v.Resize.Pending != *why
}

// completeResize ends a resize whose containers have what is allocated.
func (a *Agent) completeResize(r *record, v *pod.View) bool {
	if v.Resize.Started == 0 || v.Resizing() {
		return false
	}
	if generation := r.endResize(); generation != 0 {
		a.emit(v.Pod, "", corev1.EventTypeNormal, "ResizeCompleted", "Pod resize completed: %s", pod.ResizeSummary(v.Pod, generation, ""))
	}
	return true
}

// refusedResize returns why the node can't give a pod what it asks for, nil if it can.
func (a *Agent) refusedResize(p *corev1.Pod) *pod.PendingResize {
	refuse := func(reason, format string, args ...any) *pod.PendingResize {
		return &pod.PendingResize{Reason: reason, Message: fmt.Sprintf(format, args...), Generation: p.Generation}
	}
	for _, c := range pod.AllContainers(&p.Spec) {
		limits := pod.Limits(p, c)
		if limit := limits.Memory().Value(); limit > 0 && limit < docker.MinMemory {
			return refuse(corev1.PodReasonInfeasible, "set memory limit %d too low; should be at least %d bytes", limit, docker.MinMemory)
		}
	}
	switch s := a.shortOf(p); {
	case s == nil:
		return nil
	case s.requested > s.capacity:
		return refuse(corev1.PodReasonInfeasible, "Node didn't have enough capacity: %s, requested: %d, capacity: %d", s.resource, s.requested, s.capacity)
	default:
		return refuse(corev1.PodReasonDeferred, "%s", s)
	}
}

// retryDeferred looks again at the pods whose resize waits for room.
func (a *Agent) retryDeferred() {
	for _, uid := range a.records.deferredResizes() {
		a.toPlan.add(uid)
	}
}

// resize gives a running container what is allocated for it.
func (a *Agent) resize(ctx context.Context, r *record, v *pod.View, s pod.Step) {
	p := v.Allocated()
	c := pod.FindContainer(&p.Spec, s.Container)
	want := pod.Effective(p, c)
	err := a.checkUsage(ctx, v.Latest(c.Name), want)
	if err == nil {
		err = a.Runtime.Update(ctx, s.ID, spec.Resources(p, c, a.machine.memory()))
	}
	switch {
	case ctx.Err() != nil:
	case err == nil:
		r.given(s.ID, want)
	case isOutage(err):
		a.engineDown(err)
	case errors.Is(err, docker.ErrNotFound), errors.Is(err, docker.ErrNotRunning):
		a.inspectLater(r, s.ID) // it has died meanwhile, and the next one is created with what is allocated
	default:
		message := withoutID(err.Error(), s.ID, c.Name)
		if news, generation := r.resizeFailed(message, a.Clock.Now().Add(pod.RetryPeriod)); news {
			a.emit(v.Pod, "", corev1.EventTypeWarning, "ResizeError", "Pod resize error: %s", pod.ResizeSummary(v.Pod, generation, message))
		}
	}
}

// checkUsage returns an error if a container uses more memory than its new limit: the kernel would kill
// it (k8s.io/kubernetes/pkg/kubelet/kuberuntime/kuberuntime_manager.go, validateMemoryResizeAction).
func (a *Agent) checkUsage(ctx context.Context, run *pod.Attempt, want corev1.ResourceRequirements) error {
	limit := want.Limits.Memory().Value()
	if limit == 0 || run == nil || run.Resources == nil {
		return nil
	}
	if before := run.Resources.Limits.Memory().Value(); before != 0 && before <= limit {
		return nil
	}
	used, err := a.Runtime.MemoryUsage(ctx, run.ID)
	if err == nil && used >= limit {
		err = fmt.Errorf("cannot decrease memory limits: attempting to set container %q memory limit (%d) below current usage (%d)", run.ContainerName(), limit, used)
	}
	return err
}
