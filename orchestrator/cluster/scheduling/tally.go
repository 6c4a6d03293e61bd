package scheduling

// maxTallies is how many tallies are kept up to date. One that is asked for
// again after it was dropped costs a look at every pod.
const maxTallies = 256

// census is how many pods of which sort each node has, kept up to date as pods
// come and go, so that to ask costs the same however many pods there are.
type census struct {
	// tallies count pods that somebody asked about, by what was asked.
	tallies map[string]*tally
	asked   uint64
	// shunned are what the pods on nodes do not want near them, liked what they
	// would like there or, with a negative weight, not.
	shunned, liked claims
}

// tally counts the pods that match.
type tally struct {
	matches func(*pod) bool
	on      perNode
	last    uint64
}

// perNode are counts; a node without any is not in it.
type perNode map[*node]int

func (c perNode) add(n *node, by int) {
	if c[n] += by; c[n] == 0 {
		delete(c, n)
	}
}

// claims count the pods that bear a term, by its key.
type claims map[string]*claim

type claim struct {
	*term
	on perNode
}

func (c claims) add(t *term, n *node, by int) {
	known := c[t.key]
	if known == nil {
		known = &claim{term: t, on: perNode{}}
		c[t.key] = known
	}
	if known.on.add(n, by); len(known.on) == 0 {
		delete(c, t.key)
	}
}

func newCensus() census {
	return census{tallies: map[string]*tally{}, shunned: claims{}, liked: claims{}}
}

// count adds by times a pod on a node.
func (c *census) count(p *pod, n *node, by int) {
	for _, t := range c.tallies {
		if t.matches(p) {
			t.on.add(n, by)
		}
	}
	if p.ties == nil {
		return
	}
	for _, t := range p.ties.shuns {
		c.shunned.add(t, n, by)
	}
	for _, t := range p.ties.attracts {
		c.liked.add(t, n, by)
	}
}

// tally counts the pods on each node that match. The key must be the same only
// when what matches is.
func (c *cache) tally(key string, matches func(*pod) bool) perNode {
	c.census.asked++
	t := c.census.tallies[key]
	if t == nil {
		t = &tally{matches: matches, on: perNode{}}
		for _, n := range c.nodes {
			for _, p := range n.pods {
				if matches(p) {
					t.on[n]++
				}
			}
		}
		c.census.makeRoom()
		c.census.tallies[key] = t
	}
	t.last = c.census.asked
	return t.on
}

// makeRoom drops the tally that was not asked for for the longest time.
func (c *census) makeRoom() {
	if len(c.tallies) < maxTallies {
		return
	}
	oldest := ""
	for key, t := range c.tallies {
		if oldest == "" || t.last < c.tallies[oldest].last {
			oldest = key
		}
	}
	delete(c.tallies, oldest)
}

// domains adds counts up over the nodes that have the same value of a label.
func (c perNode) domains(topology string) map[string]int {
	sums := map[string]int{}
	for n, count := range c {
		if n.Node == nil {
			continue
		}
		if value, ok := n.Labels[topology]; ok {
			sums[value] += count
		}
	}
	return sums
}
