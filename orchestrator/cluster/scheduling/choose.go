package scheduling

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
)

// choose finds the best node for a pod, or says why there is none. Equally good
// nodes take turns.
func choose(p *pod, c *cache, turn int) (string, *unfit) {
	if len(c.list) == 0 {
		return "", &unfit{}
	}
	failure := &unfit{pod: p, nodes: len(c.list), rejected: map[*node]*rejection{}}
	candidates := c.list
	if names, restricted := namedNodes(p); restricted {
		if len(names) == 0 {
			failure.pre = "pod affinity terms conflict"
			return "", failure
		}
		candidates = candidatesOf(c, names)
		failure.skipped = "node(s) didn't satisfy plugin(s) [NodeAffinity]"
	}
	fitting := sift(p, candidates, failure)
	switch len(fitting) {
	case 0:
		return "", failure
	case 1:
		return fitting[0].Name, nil
	}
	totals := rate(p, fitting)
	highest := slices.Max(totals)
	equals := fitting[:0]
	for i, n := range fitting {
		if totals[i] == highest {
			equals = append(equals, n)
		}
	}
	return equals[turn%len(equals)].Name, nil
}

// sift keeps the nodes that can have the pod, and notes why the others can not.
func sift(p *pod, nodes []*node, failure *unfit) []*node {
	var tests []func(*node) *rejection
	for _, f := range filters {
		if test := f(p); test != nil {
			tests = append(tests, test)
		}
	}
	fitting := make([]*node, 0, len(nodes))
next:
	for _, n := range nodes {
		for _, test := range tests {
			if r := test(n); r != nil {
				failure.rejected[n] = r
				continue next
			}
		}
		fitting = append(fitting, n)
	}
	return fitting
}

// namedNodes are the nodes to which a pod's required affinity restricts it by
// name, as that of a DaemonSet's pods does: with many nodes it would be a waste
// to ask all of them.
func namedNodes(p *pod) (names sets.Set[string], restricted bool) {
	names = sets.New[string]()
	terms := requiredTerms(p)
	for _, term := range terms {
		var ofTerm sets.Set[string]
		for _, r := range term.MatchFields {
			if r.Key != metav1.ObjectNameField || r.Operator != corev1.NodeSelectorOpIn {
				continue
			}
			if values := sets.New(r.Values...); ofTerm == nil {
				ofTerm = values
			} else {
				ofTerm = ofTerm.Intersection(values)
			}
		}
		if ofTerm == nil {
			return nil, false // this term alone lets any node in
		}
		names = names.Union(ofTerm)
	}
	return names, len(terms) > 0
}

func candidatesOf(c *cache, names sets.Set[string]) []*node {
	var nodes []*node
	for _, name := range sets.List(names) {
		if n := c.nodes[name]; n != nil && n.Node != nil {
			nodes = append(nodes, n)
		}
	}
	return nodes
}
