package nodelife

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Upstream's figures: a zone is in partial disruption when more than two nodes,
// and more than 55 % of them, are not ready. Then a zone of more than 50 nodes
// loses pods more slowly, and a smaller one none
// (https://kubernetes.io/docs/concepts/architecture/nodes/#rate-limits-on-eviction).
const (
	unhealthyShare = 0.55
	largeZone      = 50
	secondaryRate  = 0.01
)

// disruption says how much of a zone is down.
type disruption string

const (
	noDisruption      disruption = "none"
	partialDisruption disruption = "partial"
	fullDisruption    disruption = "full"
)

// zone counts nodes that are likely to fail together.
type zone struct{ ready, unready int }

func (z zone) state() disruption {
	switch {
	case z.ready == 0 && z.unready > 0:
		return fullDisruption
	case z.unready > 2 && float64(z.unready) >= unhealthyShare*float64(z.ready+z.unready):
		return partialDisruption
	}
	return noDisruption
}

// excluded is the label of nodes that do not count for the state of a zone.
const excluded = "node.kubernetes.io/exclude-disruption"

func zoneOf(n *corev1.Node) string {
	return n.Labels[corev1.LabelTopologyRegion] + "/" + n.Labels[corev1.LabelTopologyZone]
}

func (p *planner) zones() map[string]zone {
	zones := map[string]zone{}
	for _, n := range p.nodes {
		if _, ok := n.Labels[excluded]; ok {
			continue
		}
		z := zones[zoneOf(n)]
		if p.ready[n.Name] == corev1.ConditionTrue {
			z.ready++
		} else {
			z.unready++
		}
		zones[zoneOf(n)] = z
	}
	return zones
}

// mayEvict reports whether a node's pods may be evicted now, and why not. Nodes of a
// zone take turns.
func (p *planner) mayEvict(n *corev1.Node, z zone) (bool, string) {
	rate := p.rate
	if z.state() == partialDisruption {
		if z.ready+z.unready <= largeZone {
			return false, fmt.Sprintf("%d of %d nodes of the zone are not ready", z.unready, z.ready+z.unready)
		}
		rate = min(rate, secondaryRate)
	}
	if rate <= 0 {
		return false, "evictions are switched off"
	}
	pause := time.Duration(float64(time.Second) / rate)
	last, ever := p.evicted[zoneOf(n)]
	if next := last.Add(pause); ever && p.now.Before(next) {
		p.lookAt(next)
		return false, fmt.Sprintf("one node of a zone in %s", pause)
	}
	p.evicted[zoneOf(n)] = p.now
	return true, ""
}
