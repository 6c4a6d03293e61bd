package scheduling

import "strings"

// neededPods keeps a pod to the nodes near which there is a pod that is all that
// its required affinity asks for. The first of pods that need each other may go
// anywhere.
func neededPods(p *pod, c *cache) func(*node) *rejection {
	if p.ties == nil || len(p.ties.needs) == 0 {
		return nil
	}
	needs := p.ties.needs
	found := c.tally(keyOf(needs), func(other *pod) bool { return matchesAll(needs, other, c.spaces) })
	near := make([]map[string]int, len(needs))
	none := true
	for i, t := range needs {
		near[i] = found.domains(t.topology)
		none = none && len(near[i]) == 0
	}
	first := none && matchesAll(needs, p, c.spaces)
	mismatch := &rejection{reasons: []string{"node(s) didn't match pod affinity rules"}, final: true, social: true}
	return func(n *node) *rejection {
		for i, t := range needs {
			if value, ok := n.Labels[t.topology]; !ok || near[i][value] == 0 && !first {
				return mismatch
			}
		}
		return nil
	}
}

func keyOf(terms []*term) string {
	keys := make([]string, len(terms))
	for i, t := range terms {
		keys[i] = t.key
	}
	return strings.Join(keys, " and ")
}

// shunnedPods keeps a pod away from the pods that its required anti-affinity is
// about.
func shunnedPods(p *pod, c *cache) func(*node) *rejection {
	if p.ties == nil || len(p.ties.shuns) == 0 {
		return nil
	}
	a := newArea()
	for _, t := range p.ties.shuns {
		a.add(t.topology, c.tally(t.key, func(other *pod) bool { return t.matches(other, c.spaces) }), 1)
	}
	return a.avoid("node(s) didn't match pod anti-affinity rules")
}

// shunningPods keeps a pod away from the pods whose required anti-affinity is
// about it.
func shunningPods(p *pod, c *cache) func(*node) *rejection {
	a := newArea()
	for _, t := range c.census.shunned {
		if t.matches(p, c.spaces) {
			a.add(t.topology, t.on, 1)
		}
	}
	if len(a) == 0 {
		return nil
	}
	return a.avoid("node(s) didn't satisfy existing pods anti-affinity rules")
}

// area is how much there is by the values of nodes' labels.
type area map[string]map[string]int64

func newArea() area { return area{} }

// add adds weight for each of the pods in the domain that its node is in.
func (a area) add(topology string, on perNode, weight int64) {
	for value, count := range on.domains(topology) {
		if a[topology] == nil {
			a[topology] = map[string]int64{}
		}
		a[topology][value] += weight * int64(count)
	}
}

// at is how much there is where a node is.
func (a area) at(n *node) int64 {
	var sum int64
	for topology, values := range a {
		if value, ok := n.Labels[topology]; ok {
			sum += values[value]
		}
	}
	return sum
}

// avoid rejects the nodes that are in the area.
func (a area) avoid(reason string) func(*node) *rejection {
	inside := &rejection{reasons: []string{reason}, social: true}
	return func(n *node) *rejection {
		if a.at(n) > 0 {
			return inside
		}
		return nil
	}
}

// likedPods prefers the nodes near the pods that a pod would like near it and
// that would like it near them, and those far from the others.
func likedPods(p *pod, c *cache, nodes []*node, values []int64) bool {
	a := newArea()
	if p.ties != nil {
		for _, t := range p.ties.likes {
			a.add(t.topology, c.tally(t.key, func(other *pod) bool { return t.matches(other, c.spaces) }), t.weight)
		}
	}
	for _, t := range c.census.liked {
		if t.matches(p, c.spaces) {
			a.add(t.topology, t.on, t.weight)
		}
	}
	if len(a) == 0 {
		return false
	}
	for i, n := range nodes {
		values[i] = a.at(n)
	}
	stretch(values)
	return true
}
