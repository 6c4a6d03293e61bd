package node

import (
	"context"
	"errors"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/docker"
)

// execute carries a plan out. It decides nothing. What takes time goes on after it has returned, and has the pod looked
// at again when it is over.
func (a *Agent) execute(r *record, v *view, p plan) {
	rewritten := false
	for _, s := range p {
		switch s.do {
		case doStartSandbox:
			a.begin(r, sandboxName, work{task: taskStart, attempt: s.attempt}, func(ctx context.Context) { a.startSandbox(ctx, r, v, s) })
		case doStart:
			w := work{task: taskStart, attempt: s.attempt, immediate: a.Immediate && !hasPostStart(v.pod, s.container)}
			a.begin(r, s.container, w, func(ctx context.Context) { a.startContainer(ctx, r, v, s) })
		case doKill:
			w := work{task: taskStop, attempt: s.attempt, grace: s.grace, deadline: v.now.Add(s.grace)}
			a.stopping(r, s)
			a.begin(r, s.container, w, func(ctx context.Context) { a.stop(ctx, r, v, s) })
		case doCancel:
			r.cancel(s.container)
		case doPull:
			a.begin(r, s.container, work{task: taskPull}, func(ctx context.Context) { a.pull(ctx, r, v, s) })
		case doLook:
			a.toPlan.add(r.uid) // it should have been answered before this plan was made
		case doFail:
			a.refuse(r, v, s)
		case doRemove:
			a.begin(r, s.id, work{task: taskRemove, attempt: s.attempt}, func(ctx context.Context) { a.remove(ctx, r, s) })
		case doWait:
			a.tellOnce(r, v, s)
		case doRewrite:
			if !rewritten {
				a.rewriteVolumes(r, v)
				rewritten = true
			}
		case doRelease:
			a.release(r)
		case doDelete:
			a.begin(r, "", work{task: taskDelete}, func(ctx context.Context) { a.deletePod(ctx, r) })
		case doForget:
			a.begin(r, "", work{task: taskDelete}, func(context.Context) { a.forgetPod(r) })
		}
	}
	a.tellDeadline(r, v)
	a.tellOutage(r, v)
}

// begin starts a work under a name. A work that is under way under that name is given up for it.
func (a *Agent) begin(r *record, name string, w work, run func(ctx context.Context)) {
	current := &running{work: w, cancel: func() {}}
	whole := func(ctx context.Context) {
		run(ctx)
		r.mu.Lock()
		if r.works[name] == current {
			drop(&r.works, name)
		}
		r.mu.Unlock()
		a.toPlan.add(r.uid)
	}
	r.mu.Lock()
	if before, ok := r.works[name]; ok {
		before.cancel()
	}
	put(&r.works, name, current)
	if !w.immediate {
		current.cancel = a.works.start(whole)
	}
	r.mu.Unlock()
	if w.immediate {
		whole(a.works.ctx)
	}
}

// hasPostStart tells whether a container has a hook that its start waits for.
func hasPostStart(pod *corev1.Pod, container string) bool {
	c := findContainer(&pod.Spec, container)
	return c != nil && c.Lifecycle != nil && c.Lifecycle.PostStart != nil
}

func (r *record) cancel(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w, ok := r.works[name]; ok {
		w.cancel()
	}
}

// advance counts a restart after a crash: one that has come as far as a new container.
func (r *record) advance(v *view, container string) {
	ended := v.lastCrash(container)
	if ended.IsZero() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	put(&r.crashes, container, r.crashes[container].next(v.policy, ended, v.now))
}

// fail notes why a container could not be started.
func (r *record) fail(container string, f failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	put(&r.failures, container, f)
	drop(&r.images, container)
}

// refuse notes why a container is not started now, and tells of it.
func (a *Agent) refuse(r *record, v *view, s step) {
	r.fail(s.container, s.failure)
	a.toPlan.add(r.uid)
	for _, e := range s.events {
		a.tell(v.pod, s.container, e.kind, e.reason, "%s", e.message)
	}
}

// tellOnce tells of a container's back-off when it begins.
func (a *Agent) tellOnce(r *record, v *view, s step) {
	if len(s.events) == 0 {
		return
	}
	r.mu.Lock()
	told, ok := r.told[s.container]
	put(&r.told, s.container, s.attempt)
	r.mu.Unlock()
	if ok && told == s.attempt {
		return
	}
	for _, e := range s.events {
		a.tell(v.pod, s.container, e.kind, e.reason, "%s", e.message)
	}
}

// tellDeadline tells, once, that the pod's time is over.
func (a *Agent) tellDeadline(r *record, v *view) {
	if v.pod == nil || v.engineGone != "" || isTerminal(v.pod.Status.Phase) || v.pod.DeletionTimestamp != nil || !v.pastDeadline() {
		return
	}
	r.mu.Lock()
	told := r.overdue
	r.overdue = true
	r.mu.Unlock()
	if !told {
		a.tell(v.pod, "", corev1.EventTypeNormal, deadlineReason, "%s", deadlineMessage)
	}
}

// tell records an event about a pod, or about one of its containers.
func (a *Agent) tell(pod *corev1.Pod, container, kind, reason, format string, args ...any) {
	a.Recorder.Event(podReference(pod, container), kind, reason, format, args...)
}

// podReference refers to a pod, or to one of its containers as kubelet does
// (k8s.io/kubernetes/pkg/kubelet/container/ref.go).
func podReference(pod *corev1.Pod, container string) *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID,
		ResourceVersion: pod.ResourceVersion, FieldPath: fieldPath(&pod.Spec, container),
	}
}

func fieldPath(spec *corev1.PodSpec, container string) string {
	for i := range spec.Containers {
		if spec.Containers[i].Name == container {
			return "spec.containers{" + container + "}"
		}
	}
	for i := range spec.InitContainers {
		if spec.InitContainers[i].Name == container {
			return "spec.initContainers{" + container + "}"
		}
	}
	for i := range spec.EphemeralContainers {
		if spec.EphemeralContainers[i].Name == container {
			return "spec.ephemeralContainers{" + container + "}"
		}
	}
	return ""
}

// remove takes a container off the engine.
func (a *Agent) remove(ctx context.Context, r *record, s step) {
	select {
	case a.removals <- struct{}{}:
		defer func() { <-a.removals }()
	case <-ctx.Done():
		return
	}
	err := a.Runtime.Remove(ctx, s.id)
	switch {
	case ctx.Err() != nil:
		return
	case isOutage(err):
		a.engineFailed(err)
		return
	case err != nil && !errors.Is(err, docker.ErrNotFound):
		a.log.Error("container not removed, will retry", "pod", r.name, "namespace", r.namespace, "container", s.container, "error", err)
		a.pause(ctx, failedRetry)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if run := r.find(s.id); run != nil {
		r.gone(run, a.Clock.Now())
	}
}

// failedRetry is the wait before something is tried again that should have worked.
const failedRetry = time.Second

// pause waits, or ends with ctx.
func (a *Agent) pause(ctx context.Context, d time.Duration) {
	timer := a.Clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C():
	case <-ctx.Done():
	}
}

// rewriteVolumes brings the files up to date that were made from objects.
func (a *Agent) rewriteVolumes(r *record, v *view) {
	versions := a.volumes.versions(v.pod)
	err := a.volumes.rewrite(v.pod, a.facts(v.pod, v.addr))
	if err != nil {
		a.tell(v.pod, "", corev1.EventTypeWarning, "FailedMount", "%s", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	// What could not be written is not tried again before something else changes: the files stay as they were.
	r.written = versions
}

// release gives back the pod's address.
func (a *Agent) release(r *record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addr = netip.Addr{}
	a.Addresses.Release(string(r.uid))
}

// deletePod writes the last status and deletes the object: it is gone now, unless finalizers hold it.
func (a *Agent) deletePod(ctx context.Context, r *record) {
	err := a.writeLast(ctx, r)
	if err == nil {
		zero := int64(0)
		err = a.pods.Delete(ctx, r.namespace, r.name, metav1.DeleteOptions{
			GracePeriodSeconds: &zero,
			Preconditions:      &metav1.Preconditions{UID: &r.uid},
		})
	}
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) || errors.Is(err, errOtherPod) || ctx.Err() != nil {
		return
	}
	a.log.Error("pod not deleted, will retry", "pod", r.name, "namespace", r.namespace, "error", err)
	a.pause(ctx, failedRetry)
}

// forgetPod takes away the last traces of a pod. A daemon that is not root can't remove what a container's root has
// written: then the directory stays.
func (a *Agent) forgetPod(r *record) {
	a.release(r)
	if err := a.volumes.remove(r.uid); err != nil {
		a.log.Error("volumes of a pod are left behind", "pod", r.name, "namespace", r.namespace, "error", err)
	}
	a.forget(r)
}
