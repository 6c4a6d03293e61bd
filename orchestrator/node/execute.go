package node

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"

	"skiff/docker"
	"skiff/manifests/podfacts"
	"skiff/orchestrator/node/pod"
)

// execute carries out a plan; it decides nothing. What takes time goes on after it has returned,
// and requeues the pod when it is over.
func (a *Agent) execute(r *record, v *pod.View, p pod.Plan) {
	rewritten := false
	for _, s := range p {
		switch s.Do {
		case pod.DoStartSandbox:
			a.begin(r, pod.SandboxName, pod.Operation{Task: pod.TaskStart, Attempt: s.Attempt}, func(ctx context.Context) { a.startSandbox(ctx, r, v, s) })
		case pod.DoStart:
			o := pod.Operation{Task: pod.TaskStart, Attempt: s.Attempt, Immediate: a.Immediate && !pod.HasPostStart(v.Pod, s.Container)}
			a.begin(r, s.Container, o, func(ctx context.Context) { a.startContainer(ctx, r, v, s) })
		case pod.DoKill:
			r.stopping(s.ID, s.StopCause)
			o := pod.Operation{Task: pod.TaskStop, Attempt: s.Attempt, Grace: s.Grace, Deadline: v.Now.Add(s.Grace)}
			a.begin(r, s.Container, o, func(ctx context.Context) { a.stop(ctx, r, v, s) })
		case pod.DoCancel:
			r.cancel(s.Container)
		case pod.DoPull:
			a.begin(r, s.Container, pod.Operation{Task: pod.TaskPull}, func(ctx context.Context) { a.pull(ctx, r, v, s) })
		case pod.DoLook:
			a.toPlan.add(r.uid) // the engine should have been asked before this plan was made
		case pod.DoResize:
			o := pod.Operation{Task: pod.TaskResize, Attempt: s.Attempt}
			a.begin(r, pod.ResizeKey(s.Container), o, func(ctx context.Context) { a.resize(ctx, r, v, s) })
		case pod.DoRefuse:
			a.refuse(r, v, s)
		case pod.DoRemove:
			a.begin(r, s.ID, pod.Operation{Task: pod.TaskRemove, Attempt: s.Attempt}, func(ctx context.Context) { a.remove(ctx, r, v, s) })
		case pod.DoWait:
			a.emitBackoff(r, v, s)
		case pod.DoRewrite:
			if !rewritten {
				a.rewriteVolumes(r, v)
				rewritten = true
			}
		case pod.DoRelease:
			r.releaseAddress(a.Addresses)
		case pod.DoDelete:
			a.begin(r, "", pod.Operation{Task: pod.TaskDelete}, func(ctx context.Context) { a.deletePod(ctx, r) })
		case pod.DoForget:
			a.begin(r, "", pod.Operation{Task: pod.TaskDelete}, func(ctx context.Context) { a.forgetPod(ctx, r) })
		}
	}
	a.emitDeadline(r, v)
	a.emitOutage(r, v)
}

// begin starts an operation under a name. An operation that is under way under that name is
// cancelled.
func (a *Agent) begin(r *record, name string, o pod.Operation, do func(ctx context.Context)) {
	whole := func(current *operation) func(context.Context) {
		return func(ctx context.Context) {
			do(ctx)
			r.end(name, current)
			a.toPlan.add(r.uid)
		}
	}
	if o.Immediate {
		whole(r.begin(name, o, nil))(a.background.ctx)
		return
	}
	r.begin(name, o, func(current *operation) context.CancelFunc { return a.background.start(whole(current)) })
}

// refuse records that a container can't be started now, and why.
func (a *Agent) refuse(r *record, v *pod.View, s pod.Step) {
	r.startFailed(s.Container, s.StartFailure)
	a.toPlan.add(r.uid)
	for _, e := range s.Events {
		a.emit(v.Pod, s.Container, e.Type, e.Reason, "%s", e.Message)
	}
}

// emitBackoff records an event when a container's back-off begins.
func (a *Agent) emitBackoff(r *record, v *pod.View, s pod.Step) {
	if len(s.Events) == 0 || !r.firstBackoffEvent(s.Container, s.Attempt) {
		return
	}
	for _, e := range s.Events {
		a.emit(v.Pod, s.Container, e.Type, e.Reason, "%s", e.Message)
	}
}

// emitDeadline records, once, that the pod has exceeded its deadline.
func (a *Agent) emitDeadline(r *record, v *pod.View) {
	if v.Pod == nil || v.EngineDown != "" || podfacts.Terminal(v.Pod) || v.Pod.DeletionTimestamp != nil || !v.PastDeadline() {
		return
	}
	if r.firstDeadlineEvent() {
		a.emit(v.Pod, "", corev1.EventTypeNormal, pod.DeadlineReason, "%s", pod.DeadlineMessage)
	}
}

// remove removes a container from the engine.
func (a *Agent) remove(ctx context.Context, r *record, v *pod.View, s pod.Step) {
	a.keepLog(ctx, v, s)
	select {
	case a.removals <- struct{}{}:
		defer func() { <-a.removals }()
	case <-ctx.Done():
		return
	}
	err := a.Runtime.Remove(ctx, s.ID)
	switch {
	case ctx.Err() != nil:
		return
	case isOutage(err):
		a.engineDown(err)
		return
	case err != nil && !errors.Is(err, docker.ErrNotFound):
		a.log.Error("container not removed, will retry", "pod", r.name, "namespace", r.namespace, "container", s.Container, "error", err)
		a.pause(ctx, retryDelay)
		return
	}
	r.removed(s.ID, a.Clock.Now())
}

// rewriteVolumes brings the files up to date that were written from objects.
func (a *Agent) rewriteVolumes(r *record, v *pod.View) {
	versions := a.volumes.Versions(v.Pod)
	if err := a.volumes.Rewrite(v.Pod, a.facts(v.Pod, v.Addr)); err != nil {
		a.emit(v.Pod, "", corev1.EventTypeWarning, "FailedMount", "%s", err)
	}
	// What could not be written is not tried again before something else changes: the files stay as
	// they were.
	r.volumesWritten(versions)
}
