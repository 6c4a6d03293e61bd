package scheduling

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// preemption is a plan to make room for a pod: the pods that are to leave a
// node, the most important first.
type preemption struct {
	node    *node
	victims []*pod
	// violations is how many of them a disruption budget would keep.
	violations int
}

// minCandidates and candidatesPercent bound how many nodes are looked at for one
// pod (upstream's DefaultPreemptionArgs).
const (
	minCandidates     = 100
	candidatesPercent = 10
)

// preempt finds the node where the least important pods have to leave for a pod
// that fits nowhere, nil if there is none, and notes what came of it in the
// failure. The rules and words are upstream's (k8s.io/kubernetes
// pkg/scheduler/framework/preemption and plugins/defaultpreemption).
func preempt(c *cache, u *unfit, turn int) *preemption {
	if u.nodes == 0 {
		return nil
	}
	if policy := u.pod.Spec.PreemptionPolicy; policy != nil && *policy == corev1.PreemptNever {
		u.preemption = "not eligible due to preemptionPolicy=Never."
		return nil
	}
	if u.leaving = awaits(u, c); u.leaving {
		u.preemption = "not eligible due to a terminating pod on the nominated node."
		return nil
	}
	found, why := candidates(c, u, turn)
	if len(found) == 0 {
		u.preemption = unavailable(u.nodes, why)
		return nil
	}
	p := slices.MinFunc(found, gentler)
	u.preemption = fmt.Sprintf("found a potential placement for pod on node %s, preempting %d victims", p.node.key, len(p.victims))
	return p
}

// awaits reports whether pods that were preempted for this one are about to leave
// the node on which it will fit.
func awaits(u *unfit, c *cache) bool {
	n := c.nominated[u.pod.UID]
	if n == nil || n.Node == nil {
		return false
	}
	r := u.rejected[n]
	return r != nil && !r.final && slices.ContainsFunc(n.outranked(u.pod), makesRoom)
}

// makesRoom reports whether a pod is about to leave because it was preempted.
func makesRoom(p *pod) bool {
	return p.DeletionTimestamp != nil && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue && c.Reason == corev1.PodReasonPreemptionByScheduler
	})
}

// stranded reports whether a pod waits for a node that is of no use to it any more.
func (c *cache) stranded(e *entry) bool {
	n := c.nominated[e.uid]
	if n == nil {
		return false
	}
	return n.Node == nil || c.wasted(e, n, newSieve(e.pod, c).try(n))
}

// wasted reports whether a pod waits in vain for the node that rejects it: it would
// not fit there either once those have left that make room, or they have left.
// Upstream tries to preempt others again then, and not before
// (PodEligibleToPreemptOthers). A victim counts from when it was chosen, because
// that it is about to leave is told only after it was written.
func (c *cache) wasted(e *entry, n *node, r *rejection) bool {
	if r == nil {
		return false
	}
	return r.final || !slices.ContainsFunc(n.outranked(e.pod), func(other *pod) bool {
		return makesRoom(other) || slices.Contains(e.victims, other.UID)
	})
}

// candidates are the nodes where it helps to take pods off, or why it helps on
// none.
func candidates(c *cache, u *unfit, turn int) ([]*preemption, map[string]int) {
	var nodes []*node
	for i := range c.list {
		n := c.list[(i+turn)%len(c.list)]
		if r := u.rejected[n]; r != nil && !r.final {
			nodes = append(nodes, n)
		}
	}
	enough := max(minCandidates, len(nodes)*candidatesPercent/100)
	var found []*preemption
	harmless := 0
	why := map[string]int{}
	for _, n := range nodes {
		p, r := victimsOn(n, u.pod, c)
		if r != nil {
			for _, reason := range r.reasons {
				why[reason]++
			}
			continue
		}
		found = append(found, p)
		if p.violations == 0 {
			harmless++
		}
		if harmless > 0 && len(found) >= enough {
			break
		}
	}
	if hopeless := u.nodes - len(nodes); hopeless > 0 {
		why["Preemption is not helpful for scheduling"] += hopeless
	}
	return found, why
}

var noVictims = &rejection{reasons: []string{"No preemption victims found for incoming pod"}}

// victimsOn finds which pods have to leave a node: it lets all of a lower
// priority go and takes back, the most important first, those that the pod fits
// beside. Those that a disruption budget would keep come before the others. The
// node is as it was when it returns.
func victimsOn(n *node, p *pod, c *cache) (*preemption, *rejection) {
	lesser := n.outranked(p)
	if len(lesser) == 0 {
		return nil, noVictims
	}
	slices.SortFunc(lesser, byImportance)
	for _, other := range lesser {
		c.leave(other, n)
	}
	victims := lesser
	defer func() {
		for _, v := range victims {
			c.enter(v, n)
		}
	}()
	if r := newSieve(p, c).try(n); r != nil {
		return nil, r
	}
	victims = nil
	plan := &preemption{node: n}
	protected, others := protect(lesser, c.budgets)
	for i, other := range append(protected, others...) {
		c.enter(other, n)
		if newSieve(p, c).try(n) == nil {
			continue
		}
		c.leave(other, n)
		victims = append(victims, other)
		if i < len(protected) {
			plan.violations++
		}
	}
	plan.victims = slices.SortedFunc(slices.Values(victims), byImportance)
	return plan, nil
}

// byImportance puts the pods of a higher priority first, and of those the ones
// that have run for longer.
func byImportance(a, b *pod) int {
	return cmp.Or(cmp.Compare(b.priority, a.priority), started(a).Compare(started(b)), cmp.Compare(a.UID, b.UID))
}

// started is when a pod started; one that has not yet is the newest.
func started(p *pod) time.Time {
	if p.Status.StartTime == nil {
		return time.Unix(math.MaxInt32, 0)
	}
	return p.Status.StartTime.Time
}

// gentler puts first the plan that violates fewer budgets; then the one whose
// most important victim is the least, whose victims are together less important,
// which has fewer of them, and whose most important ones have run the shortest.
func gentler(a, b *preemption) int {
	return cmp.Or(
		cmp.Compare(a.violations, b.violations),
		cmp.Compare(a.victims[0].priority, b.victims[0].priority),
		cmp.Compare(a.sum(), b.sum()),
		cmp.Compare(len(a.victims), len(b.victims)),
		b.since().Compare(a.since()),
	)
}

// sum is that of the victims' priorities, made positive so that several of a
// negative priority are more than one.
func (p *preemption) sum() int64 {
	var sum int64
	for _, v := range p.victims {
		sum += int64(v.priority) + math.MaxInt32 + 1
	}
	return sum
}

// since is when the first of the victims of the highest priority started.
func (p *preemption) since() time.Time { return started(p.victims[0]) }
