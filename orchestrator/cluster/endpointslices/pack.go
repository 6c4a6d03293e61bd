package endpointslices

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/cluster/backends"
)

// capacity is how many endpoints a slice holds at most: upstream's default
// (--max-endpoints-per-slice).
const capacity = 100

// draft is what becomes of a slice.
type draft struct {
	seen      *discoveryv1.EndpointSlice // nil for a new one
	endpoints []discoveryv1.Endpoint
	// added, removed and changed count endpoints.
	added, removed, changed int
	relabelled              bool
}

func (d *draft) touched() bool { return d.added+d.removed+d.changed > 0 || d.relabelled }

// cause is why a slice is written.
func (d *draft) cause() string {
	var causes []string
	for _, c := range []struct {
		n    int
		what string
	}{{d.added, "new"}, {d.removed, "gone"}, {d.changed, "changed"}} {
		if c.n > 0 {
			causes = append(causes, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	if d.relabelled {
		causes = append(causes, "labels")
	}
	return strings.Join(causes, ", ")
}

// pack plans the slices of endpoints that have the same ports, and returns how many slices there will
// be. As few as possible are written: an endpoint stays where it is, new ones go where something
// changes anyway, then into one slice with room for all of them, and then into new slices.
func (p *planner) pack(family corev1.IPFamily, g *group, present []*discoveryv1.EndpointSlice) (kept int) {
	drafts, rest := p.keep(g, present)
	rest = fill(drafts, rest)
	for len(rest) > 0 {
		d := tightest(drafts, len(rest))
		if d == nil {
			d = &draft{}
			drafts = append(drafts, d)
		}
		rest = d.take(rest)
	}
	for _, d := range drafts {
		if d.removed > 0 && len(d.endpoints) == 0 {
			p.remove(d.seen, "no endpoint is left in it")
			continue
		}
		kept++
		if d.touched() {
			want := p.slice(family, g.ports)
			want.Endpoints = d.endpoints
			p.steps = append(p.steps, backends.Step{Seen: d.seen, Want: want, Cause: d.cause()})
		}
	}
	return kept
}

// keep leaves the endpoints that stay in the slices they are in, and returns those that are in none.
func (p *planner) keep(g *group, present []*discoveryv1.EndpointSlice) (drafts []*draft, rest []discoveryv1.Endpoint) {
	wanted := make(map[identity]*endpoint, len(g.endpoints))
	for i := range g.endpoints {
		wanted[identityOf(&g.endpoints[i].Endpoint)] = &g.endpoints[i]
	}
	for _, slice := range present {
		d := &draft{seen: slice, relabelled: !maps.Equal(slice.Labels, p.labels)}
		for i := range slice.Endpoints {
			was := &slice.Endpoints[i]
			id := identityOf(was)
			e := wanted[id]
			if e == nil {
				d.removed++
				continue
			}
			delete(wanted, id)
			d.endpoints = append(d.endpoints, e.Endpoint)
			if !equal(&e.Endpoint, was) {
				d.changed++
			}
			if !ptr.Equal(e.Conditions.Serving, was.Conditions.Serving) {
				p.triggered = backends.Earlier(p.triggered, e.triggered)
			}
		}
		drafts = append(drafts, d)
	}
	for i := range g.endpoints {
		e := &g.endpoints[i]
		id := identityOf(&e.Endpoint)
		if wanted[id] == e {
			rest = append(rest, e.Endpoint)
			p.triggered = backends.Earlier(p.triggered, e.triggered)
		}
	}
	return drafts, rest
}

// fill puts endpoints into the slices that are written anyway, the fullest first, and returns those
// for which there is no room.
func fill(drafts []*draft, rest []discoveryv1.Endpoint) []discoveryv1.Endpoint {
	fullest := slices.Clone(drafts)
	slices.SortStableFunc(fullest, func(a, b *draft) int { return cmp.Compare(len(b.endpoints), len(a.endpoints)) })
	for _, d := range fullest {
		if d.touched() {
			rest = d.take(rest)
		}
	}
	return rest
}

// take puts as many endpoints into the slice as it has room for, and returns the others.
func (d *draft) take(rest []discoveryv1.Endpoint) []discoveryv1.Endpoint {
	n := max(0, min(len(rest), capacity-len(d.endpoints)))
	d.endpoints = append(d.endpoints, rest[:n]...)
	d.added += n
	return rest[n:]
}

// tightest is the slice that has room for n endpoints and will be the fullest with them, nil if there
// is none.
func tightest(drafts []*draft, n int) *draft {
	var best *draft
	for _, d := range drafts {
		if len(d.endpoints)+n <= capacity && (best == nil || len(d.endpoints) > len(best.endpoints)) {
			best = d
		}
	}
	return best
}
