package nodelife

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"skiff/manifests/nodefacts"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// snapshot is what one look saw.
type snapshot struct {
	nodes []*corev1.Node
	// heard is when each node was last heard from.
	heard map[string]time.Time
	// grace is how long a node may be silent, startup how long one that has never
	// said anything.
	grace, startup time.Duration
	// rate is how many nodes a second may begin to lose their pods in each zone,
	// and evicted when one last did.
	rate    float64
	evicted map[string]time.Time
	// marked are the nodes whose pods have been marked as not ready.
	marked map[types.UID]bool
	now    time.Time
}

// silence is a node that has not been heard from for too long.
type silence struct {
	node  *corev1.Node
	heard time.Time
	cause string
}

// tainting is a change of a node's taints.
type tainting struct {
	node  *corev1.Node
	ready corev1.ConditionStatus // on which it was decided, empty for none
	add   []cause
	drop  []cause
	evict bool // it begins to evict the node's pods
}

// cause is a taint that comes or goes, and why.
type cause struct {
	taint corev1.Taint
	why   string
}

// plan is what is to be done.
type plan struct {
	silent []silence
	taints []tainting
	// unready are nodes of which nothing is known: nor of their pods.
	unready []*corev1.Node
	// held are nodes whose pods may not be evicted yet.
	held []silence
	// down says that no node is ready, simulated ones aside.
	down bool
	// wake is when to look again if nothing happens, 0 for never.
	wake time.Duration
}

// String is the plan's steps, one a line, each with its cause.
func (p plan) String() string {
	var lines []string
	for _, s := range p.silent {
		lines = append(lines, fmt.Sprintf("mark node %s unknown: %s", s.node.Name, s.cause))
	}
	for _, t := range p.taints {
		for _, c := range t.add {
			lines = append(lines, fmt.Sprintf("taint node %s %s: %s", t.node.Name, c.taint.ToString(), c.why))
		}
		for _, c := range t.drop {
			lines = append(lines, fmt.Sprintf("untaint node %s %s: %s", t.node.Name, c.taint.ToString(), c.why))
		}
	}
	for _, n := range p.unready {
		lines = append(lines, fmt.Sprintf("mark pods on node %s not ready: Ready is Unknown", n.Name))
	}
	for _, h := range p.held {
		lines = append(lines, fmt.Sprintf("keep pods on node %s: %s", h.node.Name, h.cause))
	}
	if p.wake > 0 {
		lines = append(lines, fmt.Sprintf("look again in %s", p.wake))
	}
	return strings.Join(lines, "\n")
}

// makePlan decides which nodes have fallen silent and what taints all nodes bear
// (k8s.io/kubernetes pkg/controller/nodelifecycle).
func makePlan(s snapshot) plan {
	p := planner{snapshot: s, ready: map[string]corev1.ConditionStatus{}}
	p.evicted = make(map[string]time.Time, len(s.evicted))
	maps.Copy(p.evicted, s.evicted)
	for _, n := range s.nodes {
		p.listen(n)
	}
	zones := p.zones()
	p.down = p.allDown()
	for _, n := range s.nodes {
		p.taint(n, zones[zoneOf(n)])
		if p.unknown(n) && !s.marked[n.UID] {
			p.unready = append(p.unready, n)
		}
	}
	return p.plan
}

type planner struct {
	snapshot
	plan
	// ready is each node's Ready condition once the plan has been carried out,
	// empty where it has none.
	ready map[string]corev1.ConditionStatus
}

// allDown reports whether none of the nodes that run containers is ready. A simulated node is ready
// also when the engine can not be reached, which is no failure of the nodes on it: their containers
// run on, and bare pods would be deleted for good.
func (p *planner) allDown() bool {
	down := false
	for _, n := range p.nodes {
		if _, aside := n.Labels[excluded]; aside || nodefacts.Simulated(n) {
			continue
		}
		if p.ready[n.Name] == corev1.ConditionTrue {
			return false
		}
		down = true
	}
	return down
}

// unknown reports whether nothing is known of a node once the plan has been carried
// out.
func (p *planner) unknown(n *corev1.Node) bool { return p.ready[n.Name] == corev1.ConditionUnknown }

func (p *planner) lookAt(t time.Time) {
	if d := t.Sub(p.now); p.wake == 0 || d < p.wake {
		p.wake = max(d, 1)
	}
}

// listen finds out whether a node has been silent for too long.
func (p *planner) listen(n *corev1.Node) {
	c, grace := condition(&n.Status, corev1.NodeReady), p.grace
	if c == nil {
		grace = p.startup
	} else {
		p.ready[n.Name] = c.Status
	}
	if c != nil && c.Status == corev1.ConditionUnknown {
		return
	}
	heard, known := p.heard[n.Name]
	if !known {
		heard = p.now // it is about to be told of
	}
	if due := heard.Add(grace); p.now.Before(due) {
		p.lookAt(due)
		return
	}
	p.ready[n.Name] = corev1.ConditionUnknown
	p.silent = append(p.silent, silence{n, heard, fmt.Sprintf("not heard from for %s", p.now.Sub(heard))})
}
