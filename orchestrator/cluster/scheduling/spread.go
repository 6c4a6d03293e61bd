package scheduling

import (
	"math"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/utils/ptr"
)

// constraint is a topology spread constraint, ready to be used. The labels that
// matchLabelKeys names are in its selector since the pod was created.
type constraint struct {
	topology      string
	maxSkew       int
	minDomains    int
	selector      labels.Selector
	anyAffinity   bool // nodes that the pod's affinity excludes count, too
	untaintedOnly bool // nodes whose taints keep the pod out do not count
	// on are the pods it is about.
	on perNode
}

// constraintsOf are a pod's constraints of a sort.
func constraintsOf(p *pod, c *cache, sort corev1.UnsatisfiableConstraintAction) []*constraint {
	var out []*constraint
	for i := range p.Spec.TopologySpreadConstraints {
		given := &p.Spec.TopologySpreadConstraints[i]
		if given.WhenUnsatisfiable != sort {
			continue
		}
		selector := selectorOf(given.LabelSelector)
		out = append(out, &constraint{
			topology: given.TopologyKey, maxSkew: int(given.MaxSkew), selector: selector,
			minDomains:    int(ptr.Deref(given.MinDomains, 1)),
			anyAffinity:   ptr.Deref(given.NodeAffinityPolicy, corev1.NodeInclusionPolicyHonor) == corev1.NodeInclusionPolicyIgnore,
			untaintedOnly: ptr.Deref(given.NodeTaintsPolicy, corev1.NodeInclusionPolicyIgnore) == corev1.NodeInclusionPolicyHonor,
			on:            staying(p.Namespace, selector, c),
		})
	}
	return out
}

// staying counts the pods of a namespace that a selector selects and that are not
// about to go. Upstream has an empty selector count none.
func staying(namespace string, selector labels.Selector, c *cache) perNode {
	if selector.Empty() {
		return nil
	}
	return c.tally("staying "+describe(selector)+" in "+namespace, func(other *pod) bool {
		return other.Namespace == namespace && other.DeletionTimestamp == nil && selector.Matches(labels.Set(other.Labels))
	})
}

// electorate tells which nodes count for a pod's constraints.
type electorate struct {
	pod         *pod
	required    nodeaffinity.RequiredNodeAffinity
	constraints []*constraint
}

func newElectorate(p *pod, constraints []*constraint) *electorate {
	return &electorate{pod: p, required: nodeaffinity.GetRequiredNodeAffinity(p.Pod), constraints: constraints}
}

// labelled reports whether a node is in a domain of every constraint.
func (e *electorate) labelled(n *node) bool {
	for _, k := range e.constraints {
		if _, ok := n.Labels[k.topology]; !ok {
			return false
		}
	}
	return true
}

// counts reports whether a node counts for a constraint.
func (e *electorate) counts(k *constraint, n *node) bool {
	if !k.anyAffinity {
		if matches, _ := e.required.Match(n.Node); !matches {
			return false
		}
	}
	return !k.untaintedOnly || toleratesAll(e.pod, n)
}

// sums are how many pods there are in each domain of a constraint.
func (e *electorate) sums(k *constraint, nodes []*node) map[string]int {
	sums := map[string]int{}
	for _, n := range nodes {
		if e.labelled(n) && e.counts(k, n) {
			sums[n.Labels[k.topology]] += k.on[n]
		}
	}
	return sums
}

// spread keeps a pod out of the domains that have too many like it already.
func spread(p *pod, c *cache) func(*node) *rejection {
	constraints := constraintsOf(p, c, corev1.DoNotSchedule)
	if len(constraints) == 0 {
		return nil
	}
	e := newElectorate(p, constraints)
	type bound struct {
		sums map[string]int
		most int // how many there may be before the pod comes
	}
	bounds := make([]bound, len(constraints))
	for i, k := range constraints {
		sums := e.sums(k, c.list)
		bounds[i] = bound{sums: sums, most: fewest(sums, k.minDomains) + k.maxSkew}
		if k.selector.Matches(labels.Set(p.Labels)) {
			bounds[i].most--
		}
	}
	const reason = "node(s) didn't match pod topology spread constraints"
	uneven := &rejection{reasons: []string{reason}, social: true}
	unlabelled := &rejection{reasons: []string{reason + " (missing required label)"}, final: true, social: true}
	return func(n *node) *rejection {
		for i, k := range constraints {
			value, ok := n.Labels[k.topology]
			if !ok {
				return unlabelled
			}
			if bounds[i].sums[value] > bounds[i].most {
				return uneven
			}
		}
		return nil
	}
}

// fewest is the smallest number of pods in a domain, none while there are fewer
// domains than there must be.
func fewest(sums map[string]int, minDomains int) int {
	if len(sums) < minDomains {
		return 0
	}
	least := math.MaxInt32
	for _, n := range sums {
		least = min(least, n)
	}
	return least
}

// What pods of a controller that say nothing of it are spread by (k8s.io/kubernetes
// pkg/scheduler/framework/plugins/podtopologyspread/plugin.go).
const (
	usualHostSkew = 3
	usualZoneSkew = 5
)

// evenly prefers the domains that have fewer pods like this one.
func evenly(p *pod, c *cache, nodes []*node, values []int64) bool {
	var crowd func(*node) (pods float64, ignored bool)
	if len(p.Spec.TopologySpreadConstraints) > 0 {
		crowd = crowdOf(p, c, nodes)
	} else if p.group != "" {
		crowd = groupCrowd(p, c, nodes)
	}
	if crowd == nil {
		return false
	}
	const ignored = -1
	least, most := int64(math.MaxInt64), int64(0)
	for i, n := range nodes {
		pods, ignore := crowd(n)
		if ignore {
			values[i] = ignored
			continue
		}
		values[i] = int64(math.Round(pods))
		least, most = min(least, values[i]), max(most, values[i])
	}
	for i, v := range values {
		switch {
		case v == ignored:
			values[i] = 0
		case most == 0:
			values[i] = best
		default:
			values[i] = best * (most + least - v) / most
		}
	}
	return true
}

// crowdOf is how many pods there are near a node, by the constraints that may be
// broken. The domains of a topology that has many weigh more, so that those of
// one that has few do not outweigh them. A node that is in no domain of one of
// them is ignored.
func crowdOf(p *pod, c *cache, nodes []*node) func(*node) (float64, bool) {
	constraints := constraintsOf(p, c, corev1.ScheduleAnyway)
	if len(constraints) == 0 {
		return nil
	}
	e := newElectorate(p, constraints)
	sums, weights := make([]map[string]int, len(constraints)), make([]float64, len(constraints))
	for i, k := range constraints {
		if k.topology != corev1.LabelHostname {
			sums[i] = e.sums(k, c.list)
		}
		weights[i] = weightOf(k.topology, nodes, e.labelled)
	}
	return func(n *node) (pods float64, ignored bool) {
		if !e.labelled(n) {
			return 0, true
		}
		for i, k := range constraints {
			count := k.on[n]
			if sums[i] != nil {
				count = sums[i][n.Labels[k.topology]]
			}
			pods += float64(count)*weights[i] + float64(k.maxSkew-1)
		}
		return pods, false
	}
}

// weightOf grows with the number of domains that the nodes are in.
func weightOf(topology string, nodes []*node, counts func(*node) bool) float64 {
	domains := map[string]bool{}
	size := 0
	for _, n := range nodes {
		if !counts(n) {
			continue
		}
		if topology == corev1.LabelHostname {
			size++
		} else if value := n.Labels[topology]; !domains[value] {
			domains[value] = true
			size++
		}
	}
	return math.Log(float64(size + 2))
}

// groupCrowd is how many pods of the same controller there are on a node and in
// its zone. Nodes need not have a zone.
func groupCrowd(p *pod, c *cache, nodes []*node) func(*node) (float64, bool) {
	every := func(*node) bool { return true }
	hostWeight := weightOf(corev1.LabelHostname, nodes, every)
	var zones map[string]int
	var zoneWeight float64
	if c.zoned {
		zones, zoneWeight = map[string]int{}, weightOf(corev1.LabelTopologyZone, nodes, every)
		for _, n := range c.list {
			zones[n.Labels[corev1.LabelTopologyZone]] += n.groups[p.group]
		}
	}
	return func(n *node) (pods float64, ignored bool) {
		pods = float64(n.groups[p.group])*hostWeight + usualHostSkew - 1
		if zone, ok := n.Labels[corev1.LabelTopologyZone]; ok {
			pods += float64(zones[zone])*zoneWeight + usualZoneSkew - 1
		}
		return pods, false
	}
}
