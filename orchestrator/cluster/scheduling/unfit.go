package scheduling

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	schedulinghelper "k8s.io/component-helpers/scheduling/corev1"
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
}

// Error says it in upstream's words: how many nodes for which reason, and
// whether to preempt other pods would help (k8s.io/kubernetes
// pkg/scheduler/framework/types.go and framework/preemption/preemption.go).
func (u *unfit) Error() string {
	if u.nodes == 0 {
		return "no nodes available to schedule pods"
	}
	text := fmt.Sprintf("0/%d nodes are available:", u.nodes)
	if u.pre != "" {
		text += " " + u.pre + "."
	} else {
		text += histogram(u.reasons())
	}
	return text + " preemption: " + u.preemption()
}

// room tells whether the pod would fit on some node that other pods left.
func (u *unfit) room() bool {
	for _, r := range u.rejected {
		if !r.final {
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

// preemption says what it would bring to take other pods off their nodes. skiff
// does not do that yet, and says so where upstream would.
func (u *unfit) preemption() string {
	if policy := u.pod.Spec.PreemptionPolicy; policy != nil && *policy == corev1.PreemptNever {
		return "not eligible due to preemptionPolicy=Never."
	}
	counts := map[string]int{}
	for n, r := range u.rejected {
		switch {
		case r.final:
		case u.outranks(n):
			return "skiff does not preempt pods yet."
		default:
			counts["No preemption victims found for incoming pod"]++
		}
	}
	hopeless := u.nodes
	for _, n := range counts {
		hopeless -= n
	}
	if hopeless > 0 {
		counts["Preemption is not helpful for scheduling"] = hopeless
	}
	return fmt.Sprintf("0/%d nodes are available:%s", u.nodes, histogram(counts))
}

// outranks tells whether the pod has a higher priority than one on the node.
func (u *unfit) outranks(n *node) bool {
	for _, other := range n.pods {
		if schedulinghelper.PodPriority(other.Pod) < schedulinghelper.PodPriority(u.pod.Pod) {
			return true
		}
	}
	return false
}

func histogram(counts map[string]int) string {
	var lines []string
	for reason, count := range counts {
		lines = append(lines, fmt.Sprintf("%d %s", count, reason))
	}
	if len(lines) == 0 {
		return ""
	}
	slices.Sort(lines)
	return " " + strings.Join(lines, ", ") + "."
}
