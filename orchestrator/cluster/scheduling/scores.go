package scheduling

import (
	"math"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// best is the highest score of a node.
const best = 100

// score says how good each node is for a pod, among those that can have it.
// Like a filter it looks at the pod once; nil means it has no preference.
type score struct {
	weight int64
	of     func(p *pod) func(n *node) int64
	// scaled stretches the scores so that the highest is best; lowest turns them
	// round after that.
	scaled, lowest bool
}

// scores have upstream's weights.
var scores = []score{
	{weight: 3, of: dislikedTaints, scaled: true, lowest: true},
	{weight: 2, of: preferredAffinity, scaled: true},
	{weight: 1, of: leastAllocated},
	{weight: 1, of: balancedAllocation},
}

// dislikedTaints counts the taints that ask for a pod to stay away if it can.
func dislikedTaints(p *pod) func(*node) int64 {
	return func(n *node) int64 {
		var count int64
		for i := range n.taints {
			t := &n.taints[i]
			if t.Effect == corev1.TaintEffectPreferNoSchedule && !tolerates(p, t) {
				count++
			}
		}
		return count
	}
}

func preferredAffinity(p *pod) func(*node) int64 {
	a := p.Spec.Affinity
	if a == nil || a.NodeAffinity == nil || len(a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution) == 0 {
		return nil
	}
	terms, err := nodeaffinity.NewPreferredSchedulingTerms(a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	if err != nil {
		return nil // validation lets no such term through
	}
	return func(n *node) int64 { return terms.Score(n.Node) }
}

// leastAllocated prefers the node with the largest part of its processor time
// and memory left.
func leastAllocated(p *pod) func(*node) int64 {
	return func(n *node) int64 {
		var sum, count int64
		left := func(used, has int64) {
			if has > 0 {
				count++
				sum += max(has-used, 0) * best / has
			}
		}
		left(n.usage.milliCPU+p.usage.milliCPU, n.allocatable.milliCPU)
		left(n.usage.memory+p.usage.memory, n.allocatable.memory)
		if count == 0 {
			return 0
		}
		return sum / count
	}
}

// balancedAllocation prefers the node where the pod brings the used parts of
// processor time and memory closer to each other. A pod that asks for nothing
// has no part in that.
func balancedAllocation(p *pod) func(*node) int64 {
	if p.requests.milliCPU == 0 && p.requests.memory == 0 {
		return nil
	}
	return func(n *node) int64 {
		with := balance(n, n.requests.milliCPU+p.requests.milliCPU, n.requests.memory+p.requests.memory)
		without := balance(n, n.requests.milliCPU, n.requests.memory)
		return best/2 + (best/2+with-without)/2
	}
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

// rate adds up the scores of nodes.
func rate(p *pod, nodes []*node) []int64 {
	totals := make([]int64, len(nodes))
	values := make([]int64, len(nodes))
	for _, s := range scores {
		of := s.of(p)
		if of == nil {
			continue
		}
		var highest int64
		for i, n := range nodes {
			values[i] = of(n)
			highest = max(highest, values[i])
		}
		for i, v := range values {
			totals[i] += s.weight * s.scale(v, highest)
		}
	}
	return totals
}

func (s score) scale(value, highest int64) int64 {
	if s.scaled && highest > 0 {
		value = value * best / highest
	}
	if s.lowest {
		value = best - value
	}
	return value
}
