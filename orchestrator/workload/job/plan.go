package job

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"skiff/manifests/podfacts"
	"skiff/orchestrator/workload"
)

// burst is the most pods one look creates or deletes (upstream's figure); the
// next look does the rest, if it is still wanted.
const burst = 500

// plan is what is to be done about a job's pods.
type plan struct {
	adopt, release []*corev1.Pod
	verdict        *verdict
	// delete are pods that are too many; they are taken off the books first when
	// they are to count as if they had never been.
	delete    []workload.Victim
	uncounted bool
	// create is how many pods are missing, of which indexes if they have any.
	// active and wanted are the cause. held are the failed pods they replace.
	create         int
	indexes        []int
	active, wanted int
	held           map[int]*corev1.Pod
	// after is when time alone will make another plan, 0 for never; cause is why.
	after time.Duration
	cause string
}

// claims reports whether the plan changes which pods are the job's.
func (p *plan) claims() bool { return len(p.adopt)+len(p.release) > 0 }

// String is the plan's steps, one a line, each with its cause.
func (p *plan) String() string {
	var lines []string
	for _, pod := range p.release {
		lines = append(lines, fmt.Sprintf("release pod %s: labels no longer match", pod.Name))
	}
	for _, pod := range p.adopt {
		lines = append(lines, fmt.Sprintf("adopt pod %s: matches selector, no controller", pod.Name))
	}
	if p.verdict != nil {
		lines = append(lines, fmt.Sprintf("end %s: %s", p.verdict.final(), p.verdict.reason))
	}
	for _, v := range p.delete {
		how := "delete"
		if p.uncounted {
			how = "take off the books and delete"
		}
		lines = append(lines, fmt.Sprintf("%s pod %s: %s", how, v.Pod.Name, v.Cause))
	}
	switch {
	case p.create > 0 && p.indexes != nil:
		lines = append(lines, fmt.Sprintf("create pods of indexes %s: %d active, %d wanted", indexesOf(p.indexes), p.active, p.wanted))
	case p.create > 0:
		lines = append(lines, fmt.Sprintf("create %d pods: %d active, %d wanted", p.create, p.active, p.wanted))
	}
	if p.after > 0 {
		lines = append(lines, fmt.Sprintf("look again in %s: %s", p.after, p.cause))
	}
	return strings.Join(lines, "\n")
}

// wait asks for another look, unless there is one before.
func (p *plan) wait(after time.Duration, cause string) {
	if after > 0 && (p.after == 0 || after < p.after) {
		p.after, p.cause = after, cause
	}
}

// makePlan compares what a job wants with what there is. Like a ReplicaSet's it
// needs no memory of what it ordered before: see the package comment of replicas.
func makePlan(f *facts) *plan {
	p := &plan{adopt: f.claims.Adopt, release: f.claims.Release, active: len(f.active), held: f.held}
	if p.claims() {
		return p // once they are carried out there is another plan
	}
	if p.verdict = f.verdict(); p.verdict != nil {
		p.remove(f.active, "the job ends: "+p.verdict.reason)
		return p
	}
	if f.job.DeletionTimestamp != nil {
		return p
	}
	if left, limited := f.timeLeft(); limited {
		p.wait(left, "activeDeadlineSeconds")
	}
	if f.suspended() {
		p.uncounted = true
		p.remove(f.active, "the job is suspended")
		return p
	}
	p.wanted = f.wanted()
	if p.shrink(f); len(p.delete) == 0 {
		p.grow(f)
	}
	return p
}

func (p *plan) remove(pods []*corev1.Pod, cause string) {
	for _, pod := range pods[:min(len(pods), burst-len(p.delete))] {
		p.delete = append(p.delete, workload.Victim{Pod: pod, Cause: cause})
	}
}

// wanted is how many pods should be active.
func (f *facts) wanted() int {
	parallelism := int(ptr.Deref(f.job.Spec.Parallelism, 1))
	switch {
	case f.job.Spec.Completions != nil:
		return max(0, min(f.completions()-f.succeeded, parallelism))
	case f.succeeded > 0:
		return len(f.active) // they may run to their end, but none is added
	}
	return parallelism
}

// shrink removes pods that are no good, and then pods that are too many.
func (p *plan) shrink(f *facts) {
	p.uncounted = true
	var left []*corev1.Pod
	for _, pod := range f.active {
		if tracked(pod) {
			left = append(left, pod)
		} else {
			// An earlier look was cut off before it could delete the pod.
			p.remove([]*corev1.Pod{pod}, "off the books, so it would not count")
		}
	}
	if f.indexed() {
		left = p.removeMisfits(f, left)
	}
	if surplus := len(f.active) - p.wanted - len(p.delete); surplus > 0 {
		for _, v := range workload.Victims(left, nil, min(surplus, burst-len(p.delete)), f.now) {
			p.delete = append(p.delete, workload.Victim{Pod: v.Pod, Cause: "surplus, " + v.Cause})
		}
	}
}

// removeMisfits removes pods without an index, with one that is too high, and of
// several with the same all but one. It returns the others.
func (p *plan) removeMisfits(f *facts, active []*corev1.Pod) (fit []*corev1.Pod) {
	same := map[int][]*corev1.Pod{}
	for _, pod := range active {
		if f.validIndex(pod) {
			same[indexOf(pod)] = append(same[indexOf(pod)], pod)
		} else {
			p.remove([]*corev1.Pod{pod}, "no index of the job")
		}
	}
	for _, pod := range active {
		i := indexOf(pod)
		pods := same[i]
		delete(same, i)
		if len(pods) < 2 {
			fit = append(fit, pods...)
			continue
		}
		going := map[*corev1.Pod]bool{}
		for _, v := range workload.Victims(pods, nil, len(pods)-1, f.now) {
			going[v.Pod] = true
			p.remove([]*corev1.Pod{v.Pod}, fmt.Sprintf("another has index %d, %s", i, v.Cause))
		}
		for _, pod := range pods {
			if !going[pod] {
				fit = append(fit, pod)
			}
		}
	}
	return fit
}

// grow creates pods that are missing, unless it is to be waited: for the end of
// those that are being deleted, for a backoff, or for a node.
func (p *plan) grow(f *facts) {
	missing := p.wanted - len(f.active)
	if f.replacesFailedOnly() {
		missing -= f.terminating
	}
	if missing <= 0 {
		return
	}
	if wait := f.failures.wait(f.now); wait > 0 && !f.perIndex() {
		p.wait(wait, fmt.Sprintf("backoff, failures since the last success: %d", f.failures.count))
		return
	}
	p.create = min(missing, burst, workload.Room(f.active))
	if f.indexed() {
		p.growIndexes(f)
	}
}

// growIndexes chooses the lowest free indexes. One that has failed waits for its
// own backoff.
func (p *plan) growIndexes(f *facts) {
	taken := f.done.with(activeIndexes(f.active))
	if f.lost != nil {
		taken = taken.with(*f.lost)
	}
	if f.replacesFailedOnly() {
		taken = taken.with(activeIndexes(f.ending()))
	}
	p.indexes = []int{}
	for _, i := range taken.missing(p.create, f.completions()) {
		if last := f.held[i]; last != nil {
			had := failuresOf(last)
			if wait := had.wait(f.now); wait > 0 {
				p.wait(wait, fmt.Sprintf("backoff, failures of index %d: %d", i, had.count))
				continue
			}
		}
		p.indexes = append(p.indexes, i)
	}
	p.create = len(p.indexes)
}

// ending are the pods that are told to go and still run.
func (f *facts) ending() []*corev1.Pod {
	var pods []*corev1.Pod
	for _, p := range f.owned {
		if podfacts.Terminating(p) {
			pods = append(pods, p)
		}
	}
	return pods
}
