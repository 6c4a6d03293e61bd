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
	candidates, failure := candidatesOf(p, c)
	if failure.pre != "" {
		return "", failure
	}
	s := newSieve(p, c)
	// Others make room there for this pod, it is the most likely one to fit.
	if n := c.nominated[p.UID]; n != nil && n.Node != nil && s.try(n) == nil {
		return n.key, nil
	}
	fitting := s.sift(candidates, failure)
	switch len(fitting) {
	case 0:
		return "", failure
	case 1:
		return fitting[0].key, nil
	}
	totals := rate(p, c, fitting)
	highest := slices.Max(totals)
	equals := fitting[:0]
	for i, n := range fitting {
		if totals[i] == highest {
			equals = append(equals, n)
		}
	}
	return equals[turn%len(equals)].key, nil
}

// fitsSomewhere reports whether any node can have a pod.
func fitsSomewhere(p *pod, c *cache) bool {
	s := newSieve(p, c)
	return slices.ContainsFunc(c.list, func(n *node) bool { return s.try(n) == nil })
}

// candidatesOf are the nodes to ask, with a failure that says why the others are
// not asked, or why none is.
func candidatesOf(p *pod, c *cache) ([]*node, *unfit) {
	failure := &unfit{pod: p, nodes: len(c.list), rejected: map[*node]*rejection{}}
	names, restricted := namedNodes(p)
	switch {
	case !restricted:
		return c.list, failure
	case len(names) == 0:
		failure.pre = "pod affinity terms conflict"
		return nil, failure
	}
	failure.skipped = "node(s) didn't satisfy plugin(s) [NodeAffinity]"
	var nodes []*node
	for _, name := range sets.List(names) {
		if n := c.nodes[name]; n != nil && n.Node != nil {
			nodes = append(nodes, n)
		}
	}
	return nodes, failure
}

// sieve tells which nodes can have a pod, as things are when it is made.
type sieve struct {
	pod   *pod
	cache *cache
	tests []func(*node) *rejection
}

func newSieve(p *pod, c *cache) *sieve {
	s := &sieve{pod: p, cache: c, tests: make([]func(*node) *rejection, 0, len(filters))}
	for _, f := range filters {
		if test := f(p, c); test != nil {
			s.tests = append(s.tests, test)
		}
	}
	return s
}

// sift keeps the nodes that can have the pod, and notes why the others can not.
func (s *sieve) sift(nodes []*node, failure *unfit) []*node {
	fitting := make([]*node, 0, len(nodes))
	for _, n := range nodes {
		if r := s.try(n); r != nil {
			failure.rejected[n] = r
			continue
		}
		fitting = append(fitting, n)
	}
	return fitting
}

// try tells why a node can not have the pod, nil if it can: both with the pods of
// no lower priority for which others make room there, and, should one of those be
// what the pod needs near it, without.
func (s *sieve) try(n *node) *rejection {
	if len(n.nominated) > 0 {
		if rivals := n.rivals(s.pod); len(rivals) > 0 {
			if r := s.cache.with(n, rivals, func() *rejection { return newSieve(s.pod, s.cache).test(n) }); r != nil {
				return r
			}
		}
	}
	return s.test(n)
}

func (s *sieve) test(n *node) *rejection {
	for _, test := range s.tests {
		if r := test(n); r != nil {
			return r
		}
	}
	return nil
}

// with asks what would be if pods were on a node.
func (c *cache) with(n *node, pods []*pod, what func() *rejection) *rejection {
	for _, p := range pods {
		c.enter(p, n)
	}
	defer func() {
		for _, p := range pods {
			c.leave(p, n)
		}
	}()
	return what()
}

// namedNodes are the nodes to which a pod's required affinity restricts it by
// name, as that of a DaemonSet's pods does: with many nodes it would be a waste
// to ask all of them.
func namedNodes(p *pod) (names sets.Set[string], restricted bool) {
	terms := requiredTerms(p)
	if len(terms) == 0 {
		return nil, false
	}
	names = sets.New[string]()
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
	return names, true
}
