package node

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/manifests/podfacts"
	"skiff/orchestrator/node/pod"
	"skiff/probe"
)

// podOf is the record's pod as the store has it. It is nil if the pod is gone, if another pod has
// taken its name, and if it is not this node's.
func (a *Agent) podOf(r *record) *corev1.Pod {
	p, err := a.pods.Get(r.namespace, r.name)
	if err != nil || p.UID != r.uid || p.Spec.NodeName != a.Name {
		return nil
	}
	return p
}

// observe takes a view of a pod.
func (a *Agent) observe(r *record) *pod.View {
	p := a.podOf(r)
	if p != nil {
		a.records.noteReferences(r, p)
	}
	v := &pod.View{
		Now: a.Clock.Now(), Pod: p, UID: r.uid, Namespace: r.namespace, Name: r.name,
		Policy: a.crashPolicy, HostIP: a.hostIP(),
	}
	v.EngineDown, v.Outage = a.engine.outage()
	probed, written := r.observe(v)
	v.Probes = a.probeStates(probed)
	if p != nil {
		v.Stale = a.staleSources(v, written)
		v.Rejected = a.admit(r, v)
	}
	return v
}

// probeStates are what the prober has decided about containers.
func (a *Agent) probeStates(probed map[string]probing) map[string]probe.State {
	if len(probed) == 0 {
		return nil
	}
	out := make(map[string]probe.State, len(probed))
	for name, p := range probed {
		if state, ok := a.Prober.State(p.key); ok {
			out[name] = state
		}
	}
	return out
}

// staleSources names the objects that have changed since the volumes were written from them.
func (a *Agent) staleSources(v *pod.View, written map[string]string) []string {
	if podfacts.Terminal(v.Pod) || v.Pod.DeletionTimestamp != nil || len(v.Attempts) == 0 {
		return nil
	}
	var stale []string
	for what, version := range a.volumes.Versions(v.Pod) {
		if written[what] != version {
			stale = append(stale, what)
		}
	}
	slices.Sort(stale)
	return stale
}

// maxLooks bounds how often a plan is made again for what the engine says about images. Once is
// enough for everything that a plan asks for; if it still asks after that many times, its pod is
// requeued.
const maxLooks = 3

// reconcile observes a pod, makes a plan and carries it out.
func (a *Agent) reconcile(ctx context.Context, uid types.UID) (time.Duration, error) {
	r := a.records.get(uid)
	if r == nil {
		return 0, nil
	}
	v := a.observe(r)
	if a.allocate(r, v) {
		v = a.observe(r)
	}
	a.updateProbes(r, v)
	p := pod.MakePlan(v)
	for range maxLooks {
		if !a.lookForImages(ctx, r, v, p) {
			break
		}
		v = a.observe(r)
		p = pod.MakePlan(v)
	}
	if len(p) > 0 && a.log.Enabled(ctx, slog.LevelDebug) {
		a.log.Debug("plan", "pod", r.name, "namespace", r.namespace, "steps", strings.ReplaceAll(p.String(), "\n", "; "))
	}
	a.execute(r, v, p)
	a.publish(r)
	if v.Pod == nil || podfacts.Terminal(v.Pod) {
		return p.Wake(), nil
	}
	return sooner(p.Wake(), a.volumes.RenewIn(uid)), nil
}

// sooner is the shorter of two waits, of which 0 is none.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return a + b
	}
	return min(a, b)
}
