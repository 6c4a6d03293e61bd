package scheduling

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// town is what the invariants are checked against: which pod is where, told by
// the lines that pods and nodes are made of and not by the cache.
type town struct {
	*rapid.T
	c     *cache
	zones map[string]string
	cores map[string]int64
	on    map[string]string // pod: node
	pods  map[string]*pod
	count int
}

func drawTown(r *rapid.T) *town {
	t := &town{T: r, c: newCache(), zones: map[string]string{}, cores: map[string]int64{}, on: map[string]string{}, pods: map[string]*pod{}}
	for i := range rapid.IntRange(1, 5).Draw(r, "nodes") {
		name, zone, cores := fmt.Sprint("n", i), fmt.Sprint(rapid.IntRange(1, 3).Draw(r, "zone")), rapid.IntRange(1, 4).Draw(r, "cores")
		t.zones[name], t.cores[name] = zone, int64(cores)
		t.c.setNode(makeNode(fmt.Sprintf("%s zone=%s cpu=%d", name, zone, cores)))
	}
	return t
}

// drawPod draws a pod's line.
func (t *town) drawPod() *pod {
	t.count++
	line := fmt.Sprintf("p%d cpu=%d priority=%d label=app:%s", t.count, rapid.IntRange(0, 2).Draw(t.T, "cpu"),
		rapid.IntRange(0, 3).Draw(t.T, "priority"), rapid.SampledFrom([]string{"x", "y"}).Draw(t.T, "app"))
	line += rapid.SampledFrom([]string{
		"", "", " apart=app:x@zone", " apart=app:y@name", " near=app:x@zone", " port=/80",
		" spread=1/zone/app:x", " spread=2/name/app:y",
	}).Draw(t.T, "more")
	p := newPod(makePod(line))
	t.pods[p.Name] = p
	return p
}

func (t *town) domain(node, topology string) string {
	if topology == "zone" {
		return t.zones[node]
	}
	return node
}

// settle puts a pod where it was decided, after a look at all that must hold.
func (t *town) settle(p *pod, node string) {
	t.on[p.Name] = node
	t.c.put(p, node, true)
	var cores int64
	for name, at := range t.on {
		other := t.pods[name]
		if at == node {
			cores += other.requests.milliCPU / 1000
			if other != p && len(other.ports)+len(p.ports) == 2 {
				t.Fatalf("%s and %s have the same port of node %s", p.Name, name, node)
			}
		}
		if other != p && (t.shuns(p, other) || t.shuns(other, p)) {
			t.Fatalf("%s on %s and %s on %s are to be apart", p.Name, node, name, at)
		}
	}
	if cores > t.cores[node] {
		t.Fatalf("node %s: %d of %d cores", node, cores, t.cores[node])
	}
	t.checkSpread(p, node)
}

// shuns reports whether a pod's anti-affinity forbids where another is.
func (t *town) shuns(p, other *pod) bool {
	if p.Spec.Affinity == nil || p.Spec.Affinity.PodAntiAffinity == nil {
		return false
	}
	for _, term := range p.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
		if term.LabelSelector.MatchLabels["app"] == other.Labels["app"] &&
			t.domain(t.on[p.Name], term.TopologyKey) == t.domain(t.on[other.Name], term.TopologyKey) {
			return true
		}
	}
	return false
}

func (t *town) checkSpread(p *pod, node string) {
	for _, k := range p.Spec.TopologySpreadConstraints {
		app := k.LabelSelector.MatchLabels["app"]
		sums := map[string]int{}
		for name := range t.cores {
			sums[t.domain(name, k.TopologyKey)] += 0
		}
		for name, at := range t.on {
			if t.pods[name].Labels["app"] == app {
				sums[t.domain(at, k.TopologyKey)]++
			}
		}
		least := 1 << 30
		for _, n := range sums {
			least = min(least, n)
		}
		// A pod that the constraint is not about may go where others are too many.
		if here := sums[t.domain(node, k.TopologyKey)]; p.Labels["app"] == app && here-least > int(k.MaxSkew) {
			t.Fatalf("%s on %s: %d there and %d elsewhere, may differ by %d", p.Name, node, here, least, k.MaxSkew)
		}
	}
}

// evict carries a plan out, after a look at whom it hits.
func (t *town) evict(p *pod, plan *preemption) {
	if len(plan.victims) == 0 {
		t.Fatalf("a plan without victims for %s", p.Name)
	}
	for _, v := range plan.victims {
		if v.priority >= p.priority {
			t.Fatalf("%s of priority %d is to go for %s of priority %d", v.Name, v.priority, p.Name, p.priority)
		}
		if t.on[v.Name] != plan.node.key {
			t.Fatalf("%s is not on node %s", v.Name, plan.node.key)
		}
		t.leave(v.Name)
	}
	t.c.nominate(p, plan.node.key)
	node, failure := choose(p, t.c, 0)
	if failure != nil || node != plan.node.key {
		t.Fatalf("%s does not get node %s after all: %q, %v", p.Name, plan.node.key, node, failure)
	}
	t.c.nominate(p, "")
	t.settle(p, node)
}

func (t *town) leave(name string) {
	t.c.take(t.pods[name].UID)
	delete(t.on, name)
}

// TestInvariants holds that whatever comes and goes, no node has more than it can
// have, required anti-affinity and spreading are kept, and nobody is preempted by
// one who is not more important.
func TestInvariants(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		town := drawTown(r)
		for i := range rapid.IntRange(1, 40).Draw(r, "acts") {
			if len(town.on) > 0 && rapid.IntRange(0, 3).Draw(r, "act") == 0 {
				names := make([]string, 0, len(town.on))
				for name := range town.on {
					names = append(names, name)
				}
				slices.Sort(names)
				town.leave(rapid.SampledFrom(names).Draw(r, "leaves"))
				continue
			}
			p := town.drawPod()
			node, failure := choose(p, town.c, i)
			if failure == nil {
				town.settle(p, node)
				continue
			}
			before := town.c.text()
			plan := preempt(town.c, failure, i)
			if after := town.c.text(); after != before {
				r.Fatalf("thinking of preemption changed\n%s\nto\n%s", before, after)
			}
			if !strings.HasPrefix(failure.Error(), "0/") {
				r.Fatalf("message %q", failure.Error())
			}
			if plan != nil {
				town.evict(p, plan)
			}
		}
		for name := range town.on {
			town.leave(name)
		}
		for _, n := range town.c.list {
			if !n.requests.nothing() || len(n.ports)+len(n.pods) > 0 {
				r.Fatalf("node %s is not empty: %+v", n.key, n)
			}
		}
		for key, tally := range town.c.census.tallies {
			if len(tally.on) > 0 {
				r.Fatalf("%s: %v are left", key, tally.on)
			}
		}
		if len(town.c.census.shunned)+len(town.c.census.liked) > 0 {
			r.Fatal("terms of pods that have gone are left")
		}
	})
}
