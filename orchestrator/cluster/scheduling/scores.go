package scheduling

import (
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// best is the highest score of a node.
const best = 100

// score says how good each node is for a pod, among those that can have it, from
// 0 to best. It returns false when all are the same to it.
type score struct {
	weight int64
	rate   func(p *pod, c *cache, nodes []*node, values []int64) bool
}

// scores have upstream's weights.
var scores = []score{
	{weight: 3, rate: dislikedTaints},
	{weight: 2, rate: preferredAffinity},
	{weight: 2, rate: evenly},
	{weight: 2, rate: likedPods},
	{weight: 1, rate: leastAllocated},
	{weight: 1, rate: balancedAllocation},
}

// rate adds up the scores of nodes.
func rate(p *pod, c *cache, nodes []*node) []int64 {
	totals := make([]int64, len(nodes))
	values := make([]int64, len(nodes))
	for _, s := range scores {
		if !s.rate(p, c, nodes, values) {
			continue
		}
		for i, v := range values {
			totals[i] += s.weight * v
		}
	}
	return totals
}

// share scales values so that the highest is best.
func share(values []int64) {
	if highest := slices.Max(values); highest > 0 {
		for i, v := range values {
			values[i] = v * best / highest
		}
	}
}

// stretch scales values so that the lowest is 0 and the highest is best.
func stretch(values []int64) {
	lowest, highest := slices.Min(values), slices.Max(values)
	for i, v := range values {
		values[i] = 0
		if highest > lowest {
			values[i] = int64(best * (float64(v-lowest) / float64(highest-lowest)))
		}
	}
}

// dislikedTaints prefers the nodes with the fewest taints that ask for a pod to
// stay away if it can.
func dislikedTaints(p *pod, _ *cache, nodes []*node, values []int64) bool {
	some := false
	for i, n := range nodes {
		values[i] = 0
		for j := range n.taints {
			t := &n.taints[j]
			if t.Effect == corev1.TaintEffectPreferNoSchedule && !tolerates(p, t) {
				values[i]++
				some = true
			}
		}
	}
	share(values)
	for i, v := range values {
		values[i] = best - v
	}
	return some
}

func preferredAffinity(p *pod, _ *cache, nodes []*node, values []int64) bool {
	a := p.Spec.Affinity
	if a == nil || a.NodeAffinity == nil || len(a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution) == 0 {
		return false
	}
	terms, err := nodeaffinity.NewPreferredSchedulingTerms(a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	if err != nil {
		return false // validation lets no such term through
	}
	for i, n := range nodes {
		values[i] = terms.Score(n.Node)
	}
	share(values)
	return true
}

// leastAllocated prefers the node with the largest part of its processor time
// and memory left.
func leastAllocated(p *pod, _ *cache, nodes []*node, values []int64) bool {
	for i, n := range nodes {
		var sum, count int64
		left := func(used, has int64) {
			if has > 0 {
				count++
				sum += max(has-used, 0) * best / has
			}
		}
		left(n.usage.milliCPU+p.usage.milliCPU, n.allocatable.milliCPU)
		left(n.usage.memory+p.usage.memory, n.allocatable.memory)
		values[i] = sum / max(count, 1)
	}
	return true
}

// balancedAllocation prefers the node where the pod brings the used parts of
// processor time and memory closer to each other. A pod that asks for nothing
// has no part in that.
func balancedAllocation(p *pod, _ *cache, nodes []*node, values []int64) bool {
	if p.requests.milliCPU == 0 && p.requests.memory == 0 {
		return false
	}
	for i, n := range nodes {
		with := balance(n, n.requests.milliCPU+p.requests.milliCPU, n.requests.memory+p.requests.memory)
		without := balance(n, n.requests.milliCPU, n.requests.memory)
		values[i] = best/2 + (best/2+with-without)/2
	}
	return true
}

func balance(n *node, milliCPU, memory int64) int64 {
	if n.allocatable.milliCPU == 0 || n.allocatable.memory == 0 {
		return best
	}
	cpu := min(float64(milliCPU)/float64(n.allocatable.milliCPU), 1)
	mem := min(float64(memory)/float64(n.allocatable.memory), 1)
	deviation := math.Abs(cpu-mem) / 2
	return int64((1 - deviation) * best)
}
