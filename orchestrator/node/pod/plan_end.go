package pod

import (
	"slices"
	"time"

	"skiff/manifests/podfacts"
)

const deadlineCause = "activeDeadlineSeconds are over"

// end plans for a pod that has ended or must end but whose object stays: what still runs is
// stopped, and the containers stay for their logs.
func (p *planner) end(cause string) {
	p.stopAll(p.Grace(), cause)
	if len(p.live()) > 0 || len(p.Operations) > 0 {
		return
	}
	p.prune()
	if sandbox := p.Latest(SandboxName); sandbox != nil && !sandbox.Removed {
		p.remove(sandbox, cause)
		return
	}
	if p.Addr.IsValid() {
		p.others = append(p.others, Step{Do: DoRelease, cause: cause})
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
	if len(left) > 0 || len(p.Operations) > 0 {
		return
	}
	if p.deletionConfirmed() {
		if p.Addr.IsValid() {
			p.others = append(p.others, Step{Do: DoRelease, cause: cause})
		}
		return
	}
	p.others = append(p.others, Step{Do: DoDelete, cause: "every container has ended"})
}

// deletionConfirmed reports whether nothing but finalizers holds the object. Its grace period is
// then zero, which this node has set or somebody who deleted it by force, and its status says that
// it has ended.
func (v *View) deletionConfirmed() bool {
	grace := v.Pod.DeletionGracePeriodSeconds
	return grace != nil && *grace == 0 && len(v.Pod.Finalizers) > 0 && podfacts.Terminal(v.Pod)
}

// gone plans for containers whose pod is no longer in the store: it was deleted by force, or while
// no daemon ran.
func (p *planner) gone() {
	const cause = "its pod is gone"
	p.cancelStarts(cause)
	for _, a := range p.live() {
		p.kill(a, 0, Step{cause: cause, StopCause: "was stopped"})
	}
	if len(p.live()) > 0 || p.working() {
		return
	}
	left := p.onEngine()
	for _, a := range left {
		p.remove(a, cause)
	}
	if len(left) == 0 && len(p.Operations) == 0 {
		p.others = append(p.others, Step{Do: DoForget, cause: "neither the store nor the engine has it"})
	}
}

// stopAll stops what runs: sidecars after all others, in reverse order, and the sandbox last.
func (p *planner) stopAll(grace time.Duration, cause string) {
	p.cancelStarts(cause)
	for i, names := range p.stopOrder() {
		left := grace
		if i > 0 {
			left = p.graceLeft(grace)
		}
		if names[0] == SandboxName {
			left = 0
		}
		if p.stopThese(names, left, cause) {
			return
		}
	}
}

// stopThese stops what runs of the named containers, and reports whether anything did.
func (p *planner) stopThese(names []string, grace time.Duration, cause string) bool {
	any := false
	for _, name := range names {
		for _, a := range p.Attempts[name] {
			if a.Running() {
				p.kill(a, grace, Step{cause: cause, StopCause: "was stopped"})
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
		case name == SandboxName:
		case podfacts.HasSidecar(p.Pod, name):
			sidecars = append(sidecars, []string{name})
		default:
			first = append(first, name)
		}
	}
	slices.Reverse(sidecars)
	return append(append([][]string{append(first, "")}, sidecars...), []string{SandboxName})
}

// deletionGrace is the grace period of the pod's deletion.
func (v *View) deletionGrace() time.Duration {
	if g := v.Pod.DeletionGracePeriodSeconds; g != nil {
		return seconds(*g)
	}
	return v.Grace()
}

// MinGrace is the least time that a container has to shut down, even when others have used up the
// grace period.
const MinGrace = 2 * time.Second

// graceLeft is what is left of a deletion's grace period for the containers that are stopped after
// others.
func (v *View) graceLeft(grace time.Duration) time.Duration {
	if v.Pod.DeletionTimestamp == nil || grace == 0 {
		return grace
	}
	return min(grace, max(v.Pod.DeletionTimestamp.Sub(v.Now), MinGrace))
}

// working reports whether an operation is under way that may change what runs. Removing dead
// containers and deleting the pod don't.
func (v *View) working() bool {
	for _, w := range v.Operations {
		if w.Task != TaskRemove && w.Task != TaskDelete {
			return true
		}
	}
	return false
}
