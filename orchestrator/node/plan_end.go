package node

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const deadlineCause = "activeDeadlineSeconds are over"

// end plans for a pod that has ended or must end, but whose object stays: what still runs is stopped, and its containers
// stay for their logs.
func (p *planner) end(cause string) {
	p.stopAll(p.grace(), cause)
	if len(p.live()) > 0 || len(p.works) > 0 {
		return
	}
	p.prune()
	if sandbox := p.latest(sandboxName); sandbox != nil && !sandbox.removed {
		p.remove(sandbox, cause)
		return
	}
	if p.addr.IsValid() {
		p.others = append(p.others, step{do: doRelease, cause: cause})
	}
}

// terminate plans for a pod that is being deleted: stop, remove, delete.
func (p *planner) terminate() {
	const cause = "the pod is being deleted"
	grace := p.deletionGrace()
	p.stopAll(grace, cause)
	if len(p.live()) > 0 || p.working() {
		return
	}
	left := p.onEngine()
	for _, a := range left {
		p.remove(a, cause)
	}
	if len(left) > 0 || len(p.works) > 0 {
		return
	}
	if p.deletionConfirmed() {
		if p.addr.IsValid() {
			p.others = append(p.others, step{do: doRelease, cause: cause})
		}
		return
	}
	p.others = append(p.others, step{do: doDelete, cause: "every container has ended"})
}

// deletionConfirmed tells whether all that holds the object is its finalizers: the grace period of zero says that this
// node, or somebody by force, has given it up, and its status that it has ended.
func (v *view) deletionConfirmed() bool {
	grace := v.pod.DeletionGracePeriodSeconds
	return grace != nil && *grace == 0 && len(v.pod.Finalizers) > 0 && isTerminal(v.pod.Status.Phase)
}

// gone plans for containers whose pod the store no longer has: deleted by force, or while no daemon ran.
func (p *planner) gone() {
	const cause = "its pod is gone"
	p.cancelStarts(cause)
	for _, a := range p.live() {
		p.kill(a, 0, step{cause: cause, stopped: "was stopped"})
	}
	if len(p.live()) > 0 || p.working() {
		return
	}
	left := p.onEngine()
	for _, a := range left {
		p.remove(a, cause)
	}
	if len(left) == 0 && len(p.works) == 0 {
		p.others = append(p.others, step{do: doForget, cause: "neither the store nor the engine has it"})
	}
}

// stopAll stops what runs: sidecars after all others, the last of them first, and the sandbox at the very end.
func (p *planner) stopAll(grace time.Duration, cause string) {
	p.cancelStarts(cause)
	for i, names := range p.stopOrder() {
		left := grace
		if i > 0 {
			left = p.graceLeft(grace)
		}
		if names[0] == sandboxName {
			left = 0
		}
		if p.stopThese(names, left, cause) {
			return
		}
	}
}

// stopThese stops what runs of the named containers, and tells whether anything did.
func (p *planner) stopThese(names []string, grace time.Duration, cause string) bool {
	any := false
	for _, name := range names {
		for _, a := range p.attempts[name] {
			if a.running() {
				p.kill(a, grace, step{cause: cause, stopped: "was stopped"})
				any = true
			}
		}
	}
	return any
}

// stopOrder groups containers in the order in which they are stopped.
func (p *planner) stopOrder() [][]string {
	var first []string
	var sidecars [][]string
	for _, name := range p.names() {
		switch {
		case name == sandboxName:
		case p.isSidecarName(name):
			sidecars = append(sidecars, []string{name})
		default:
			first = append(first, name)
		}
	}
	slices.Reverse(sidecars)
	return append(append([][]string{append(first, "")}, sidecars...), []string{sandboxName})
}

func (v *view) isSidecarName(name string) bool {
	for i := range v.pod.Spec.InitContainers {
		if c := &v.pod.Spec.InitContainers[i]; c.Name == name {
			return isSidecar(c)
		}
	}
	return false
}

// deletionGrace is the grace period of the pod's deletion.
func (v *view) deletionGrace() time.Duration {
	if g := v.pod.DeletionGracePeriodSeconds; g != nil {
		return seconds(*g)
	}
	return v.grace()
}

// minGrace is what a sidecar is left with when the others have used up the grace period.
const minGrace = 2 * time.Second

// graceLeft is what the containers stopped first have left of a deletion's grace period to those behind them.
func (v *view) graceLeft(grace time.Duration) time.Duration {
	if v.pod.DeletionTimestamp == nil || grace == 0 {
		return grace
	}
	return min(grace, max(v.pod.DeletionTimestamp.Sub(v.now), minGrace))
}

// working tells whether anything is under way that may change what runs: all but removals.
func (v *view) working() bool {
	for _, w := range v.works {
		if w.task != taskRemove {
			return true
		}
	}
	return false
}

// isTerminal tells whether a pod in this phase never runs again.
func isTerminal(phase corev1.PodPhase) bool {
	return phase == corev1.PodSucceeded || phase == corev1.PodFailed
}
