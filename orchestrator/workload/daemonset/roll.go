package daemonset

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"skiff/orchestrator/workload/revision"
)

// templateGenerationLabel is a pod's note of the set's template generation, from
// the time before there were revisions.
const templateGenerationLabel = "pod-template-generation"

// templateGeneration counts the changes of a set's template.
func templateGeneration(ds *appsv1.DaemonSet) (generation string, ok bool) {
	annotation, ok := ds.Annotations[appsv1.DeprecatedTemplateGeneration]
	if !ok {
		return "", false
	}
	n, err := strconv.ParseInt(annotation, 10, 64)
	return strconv.FormatInt(n, 10), err == nil
}

// updated reports whether a pod is of the set's present template.
func (s *snapshot) updated(pod *corev1.Pod) bool {
	generation, ok := templateGeneration(s.set)
	return s.hash != "" && revision.PodLabel(pod) == s.hash || ok && pod.Labels[templateGenerationLabel] == generation
}

// surges reports whether an update puts a second pod on a node for a while.
func (s *snapshot) surges() bool {
	n, err := s.maxSurge(1)
	return err == nil && n > 0
}

// maxSurge is on how many of so many nodes a second pod may be at a time.
func (s *snapshot) maxSurge(nodes int) (int, error) {
	r := s.set.Spec.UpdateStrategy.RollingUpdate
	if s.set.Spec.UpdateStrategy.Type != appsv1.RollingUpdateDaemonSetStrategyType || r == nil || r.MaxSurge == nil {
		return 0, nil
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(r.MaxSurge, nodes, true)
	if err != nil {
		return 0, fmt.Errorf("maxSurge: %w", err)
	}
	return n, nil
}

// maxUnavailable is on how many of so many nodes no pod need be available.
func (s *snapshot) maxUnavailable(nodes int) (int, error) {
	r := s.set.Spec.UpdateStrategy.RollingUpdate
	if r == nil || r.MaxUnavailable == nil {
		return 0, nil
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(r.MaxUnavailable, nodes, true)
	if err != nil {
		return 0, fmt.Errorf("maxUnavailable: %w", err)
	}
	return n, nil
}

// roll goes on with an update.
func (p *planner) roll() error {
	wanted := map[string]bool{} // nodes where a pod is to run
	for _, n := range p.nodes {
		if p.target.of(n).run {
			wanted[n.Name] = true
		}
	}
	surge, err := p.maxSurge(len(wanted))
	if err != nil {
		return err
	}
	unavailable, err := p.maxUnavailable(len(wanted))
	if err != nil {
		return err
	}
	if surge > 0 {
		p.rollSurging(wanted, surge)
		return nil
	}
	p.rollInPlace(wanted, max(1, unavailable))
	return nil
}

// pair is a node's live pods: one of the present template and one of another. It
// is odd when there are more.
type pair struct {
	fresh, old *corev1.Pod
	odd        bool
}

func (p *planner) pair(node string) pair {
	var out pair
	for _, pod := range p.onNode[node] {
		if pod.DeletionTimestamp != nil {
			continue
		}
		slot := &out.old
		if p.updated(pod) {
			slot = &out.fresh
		}
		if *slot != nil {
			return pair{odd: true}
		}
		*slot = pod
	}
	return out
}

// nodesOf are the nodes where a pod is or is to be, by name.
func (p *planner) nodesOf(wanted map[string]bool) []string {
	all := maps.Clone(wanted)
	for node := range p.onNode {
		all[node] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// rollInPlace deletes old pods, for new ones to take their place: those that are
// not available, which nobody will miss, and of the others as many as limit
// allows.
func (p *planner) rollInPlace(wanted map[string]bool, limit int) {
	missing := 0
	var candidates []string
	for _, node := range p.nodesOf(wanted) {
		on := p.pair(node)
		switch {
		case on.odd, (on.fresh == nil) == (on.old == nil):
			missing++ // the next look puts this right
		case on.old == nil:
			if !p.available(on.fresh) {
				missing++
			}
		case !p.available(on.old):
			missing++
			p.delete(node, "update, it is not available", on.old)
		default:
			candidates = append(candidates, node)
		}
	}
	for _, node := range candidates[:max(0, min(limit-missing, len(candidates)))] {
		p.delete(node, "update", p.pair(node).old)
	}
}

// rollSurging creates new pods beside old ones, on as many nodes at a time as limit
// allows, and deletes the old ones when the new ones are available. From nodes
// where none is wanted any more, old ones go when enough are available elsewhere.
func (p *planner) rollSurging(wanted map[string]bool, limit int) {
	surging, available := 0, 0
	var candidates, leaving []string
	for _, node := range p.nodesOf(wanted) {
		on := p.pair(node)
		if on.odd {
			surging++ // the next look puts this right
			continue
		}
		serving := on.old != nil && p.available(on.old)
		if serving || on.old == nil && on.fresh != nil && p.available(on.fresh) {
			available++
		}
		switch {
		case on.old == nil:
		case on.fresh != nil && p.available(on.fresh):
			p.delete(node, "update, the new one is available", on.old)
		case on.fresh != nil:
			surging++
		case !wanted[node] && serving:
			leaving = append(leaving, node)
		case !wanted[node]:
			p.delete(node, "update, it is not available and none is wanted here", on.old)
		case !serving:
			p.create(node, "update, the old one is not available")
		default:
			candidates = append(candidates, node)
		}
	}
	for _, node := range leaving[:max(0, min(available-len(wanted), len(leaving)))] {
		p.delete(node, "update, none is wanted here", p.pair(node).old)
	}
	for _, node := range candidates[:max(0, min(limit-surging, len(candidates)))] {
		p.create(node, "update")
	}
}
