package scheduling

import (
	"fmt"
	"slices"
	"strings"
)

// unfit is why no node can have a pod.
type unfit struct {
	pod   *pod
	nodes int
	// pre is a reason that has nothing to do with any node.
	pre      string
	rejected map[*node]*rejection
	// skipped is why the nodes that are not in rejected were not asked.
	skipped string
	// preemption is what came of the thought to take other pods off a node.
	preemption string
	// leaving: pods that were preempted for it are about to leave.
	leaving bool
}

// Error says it in upstream's words: how many nodes for which reason, and
// whether to preempt other pods would help (k8s.io/kubernetes
// pkg/scheduler/framework/types.go and framework/preemption/preemption.go).
// Then it says what to do, where that is known.
func (u *unfit) Error() string {
	if u.nodes == 0 {
		return "no nodes available to schedule pods"
	}
	text := unavailable(u.nodes, u.reasons())
	if u.pre != "" {
		text = fmt.Sprintf("0/%d nodes are available: %s.", u.nodes, u.pre)
	}
	return text + " preemption: " + u.preemption + u.surging()
}

// social reports whether where other pods are is why some node can not have it.
func (u *unfit) social() bool {
	for _, r := range u.rejected {
		if r.social {
			return true
		}
	}
	return false
}

func (u *unfit) reasons() map[string]int {
	counts := map[string]int{}
	for _, r := range u.rejected {
		for _, reason := range r.reasons {
			counts[reason]++
		}
	}
	if u.skipped != "" && len(u.rejected) < u.nodes {
		counts[u.skipped] += u.nodes - len(u.rejected)
	}
	return counts
}

// unavailable says for how many of some nodes there is which reason.
func unavailable(nodes int, reasons map[string]int) string {
	lines := make([]string, 0, len(reasons))
	for reason, count := range reasons {
		lines = append(lines, fmt.Sprintf("%d %s", count, reason))
	}
	slices.Sort(lines)
	text := fmt.Sprintf("0/%d nodes are available:", nodes)
	if len(lines) > 0 {
		text += " " + strings.Join(lines, ", ") + "."
	}
	return text
}
