package scheduling

import (
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// protect parts pods into those of which a disruption budget allows no more to
// go, and the others, in their order.
func protect(pods []*pod, budgets map[types.NamespacedName]*policyv1.PodDisruptionBudget) (protected, others []*pod) {
	allowed := map[*policyv1.PodDisruptionBudget]int32{}
	for _, b := range budgets {
		allowed[b] = b.Status.DisruptionsAllowed
	}
	for _, p := range pods {
		kept := false
		for b := range allowed {
			if covers(b, p) {
				allowed[b]--
				kept = kept || allowed[b] < 0
			}
		}
		if kept {
			protected = append(protected, p)
		} else {
			others = append(others, p)
		}
	}
	return protected, others
}

// covers reports whether a budget counts a pod. One without a selector counts none,
// nor does it count one twice of which it knows already that it goes.
func covers(b *policyv1.PodDisruptionBudget, p *pod) bool {
	if b.Namespace != p.Namespace || len(p.Labels) == 0 {
		return false
	}
	if _, going := b.Status.DisruptedPods[p.Name]; going {
		return false
	}
	selector := selectorOf(b.Spec.Selector)
	return !selector.Empty() && selector.Matches(labels.Set(p.Labels))
}
