package node

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/probe"
)

// podChanged takes in a change of a pod in the store.
func (a *Agent) podChanged(now, before *corev1.Pod, add func(types.UID)) {
	for _, pod := range []*corev1.Pod{now, before} {
		if pod != nil && pod.Spec.NodeName == a.Name {
			a.record(pod.UID, pod.Namespace, pod.Name)
			add(pod.UID)
		}
	}
}

func (a *Agent) configMapChanged(now, before *corev1.ConfigMap, add func(types.UID)) {
	for _, m := range []*corev1.ConfigMap{now, before} {
		if m != nil {
			a.sourceChanged(objectRef{"configmap", m.Namespace, m.Name}, add)
			return
		}
	}
}

func (a *Agent) secretChanged(now, before *corev1.Secret, add func(types.UID)) {
	for _, s := range []*corev1.Secret{now, before} {
		if s != nil {
			a.sourceChanged(objectRef{"secret", s.Namespace, s.Name}, add)
			return
		}
	}
}

func (a *Agent) claimChanged(now, before *corev1.PersistentVolumeClaim, add func(types.UID)) {
	for _, c := range []*corev1.PersistentVolumeClaim{now, before} {
		if c != nil {
			a.sourceChanged(objectRef{"claim", c.Namespace, c.Name}, add)
			return
		}
	}
}

// sourceChanged has pods looked at that use an object. What failed for want of it is tried again at once.
func (a *Agent) sourceChanged(ref objectRef, add func(types.UID)) {
	for _, uid := range a.usersOf(ref) {
		if r := a.known(uid); r != nil {
			r.retry()
			add(uid)
		}
	}
}

// retry ends the wait after failures that a changed object may have put right.
func (r *record) retry() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, f := range r.failures {
		if f.reason == reasonConfigError || f.unmounted {
			f.until = time.Time{}
			r.failures[name] = f
		}
	}
}

// podOf is the record's pod as the store has it; nil if it is gone, another of its name has taken its place, or it is
// not this node's.
func (a *Agent) podOf(r *record) *corev1.Pod {
	pod, err := a.pods.Get(r.namespace, r.name)
	if err != nil || pod.UID != r.uid || pod.Spec.NodeName != a.Name {
		return nil
	}
	return pod
}

// observe takes a view of a pod.
func (a *Agent) observe(r *record) *view {
	pod := a.podOf(r)
	if pod != nil {
		a.uses(r, pod)
	}
	v := &view{
		now: a.Clock.Now(), pod: pod, uid: r.uid, namespace: r.namespace, name: r.name,
		policy: a.crashPolicy, hostIP: a.hostIP(),
	}
	v.engineGone, v.outage = a.engine.outage()
	r.mu.Lock()
	r.copyTo(v)
	v.verdicts = a.verdicts(r)
	if pod != nil {
		v.stale = a.staleSources(r, pod)
	}
	r.mu.Unlock()
	if pod != nil {
		v.refused = a.admit(r, v) // which looks at other pods' records
	}
	return v
}

// copyTo fills a view with what the record holds now.
func (r *record) copyTo(v *view) {
	v.addr = r.addr
	v.attempts = make(map[string][]*attempt, len(r.attempts))
	for name, runs := range r.attempts {
		copies := make([]*attempt, len(runs))
		for i, run := range runs {
			c := *run
			copies[i] = &c
		}
		v.attempts[name] = copies
	}
	for name, w := range r.works {
		put(&v.works, name, w.work)
	}
	v.failures = cloned(r.failures)
	v.crashes = cloned(r.crashes)
	v.images = cloned(r.images)
	for name, p := range r.pulls {
		put(&v.pulls, name, p.pullFailure)
	}
}

func cloned[V any](m map[string]V) map[string]V {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]V, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

// verdicts are what the prober has decided about the containers it asks.
func (a *Agent) verdicts(r *record) map[string]probe.State {
	if len(r.probed) == 0 {
		return nil
	}
	out := make(map[string]probe.State, len(r.probed))
	for name, p := range r.probed {
		if state, ok := a.Prober.State(p.key); ok {
			out[name] = state
		}
	}
	return out
}

// staleSources names what has changed since the volumes were written.
func (a *Agent) staleSources(r *record, pod *corev1.Pod) []string {
	if isTerminal(pod.Status.Phase) || pod.DeletionTimestamp != nil || len(r.attempts) == 0 {
		return nil
	}
	var stale []string
	for what, version := range a.volumes.versions(pod) {
		if r.written[what] != version {
			stale = append(stale, what)
		}
	}
	slices.Sort(stale)
	return stale
}

// unsettled tells whether a run has ended about which not all is known yet; that takes the engine a moment.
func (v *view) unsettled() bool {
	for _, runs := range v.attempts {
		for _, a := range runs {
			if !a.settled && !a.removed {
				return true
			}
		}
	}
	return false
}

// maxLooks bounds how often a plan is made anew for what the engine says about images. One look is enough for all that a
// plan asks about; what still asks after so many is planned for once more, like everything.
const maxLooks = 3

// reconcile looks at a pod, plans and has the plan carried out.
func (a *Agent) reconcile(ctx context.Context, uid types.UID) (time.Duration, error) {
	r := a.known(uid)
	if r == nil {
		return 0, nil
	}
	v := a.observe(r)
	a.tendProbes(r, v)
	p := makePlan(v)
	for range maxLooks {
		if !a.lookForImages(ctx, r, v, p) {
			break
		}
		v = a.observe(r)
		p = makePlan(v)
	}
	if len(p) > 0 && a.log.Enabled(ctx, slog.LevelDebug) {
		a.log.Debug("plan", "pod", r.name, "namespace", r.namespace, "steps", strings.ReplaceAll(p.String(), "\n", "; "))
	}
	a.execute(r, v, p)
	a.publish(r)
	return p.wake(), nil
}
