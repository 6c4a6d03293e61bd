package scheduling

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	schedulinghelper "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"
)

// rejection is why a node can not have a pod.
type rejection struct {
	reasons []string
	// final: the pod would not fit either if other pods left the node.
	final bool
	// social: it is because of where other pods are, so that what happens on one
	// node may let the pod in on another.
	social bool
}

// filter looks at a pod once and returns a test for nodes, or nil when the pod
// fits anywhere as far as this filter goes.
type filter func(p *pod, c *cache) func(n *node) *rejection

// filters are asked in this order, and the first to reject a node decides, as
// upstream's do (k8s.io/kubernetes pkg/scheduler/apis/config/v1/default_plugins.go).
// Their words are upstream's.
var filters = []filter{
	unschedulable, taints, affinity, hostPorts, fit, spread, neededPods, shunnedPods, shunningPods,
}

func unschedulable(p *pod, _ *cache) func(*node) *rejection {
	cordon := corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}
	if tolerates(p, &cordon) {
		return nil
	}
	cordoned := &rejection{reasons: []string{"node(s) were unschedulable"}, final: true}
	return func(n *node) *rejection {
		if n.Spec.Unschedulable {
			return cordoned
		}
		return nil
	}
}

func taints(p *pod, _ *cache) func(*node) *rejection {
	tainted := &rejection{reasons: []string{"node(s) had untolerated taint(s)"}, final: true}
	return func(n *node) *rejection {
		if !toleratesAll(p, n) {
			return tainted
		}
		return nil
	}
}

// toleratesAll reports whether no taint of a node keeps a pod out.
func toleratesAll(p *pod, n *node) bool {
	for i := range n.taints {
		t := &n.taints[i]
		if t.Effect != corev1.TaintEffectPreferNoSchedule && !tolerates(p, t) {
			return false
		}
	}
	return true
}

// tolerates leaves the operators Gt and Lt out: upstream has them behind a
// feature gate that is off (TaintTolerationComparisonOperators, alpha in 1.37).
func tolerates(p *pod, t *corev1.Taint) bool {
	return schedulinghelper.TolerationsTolerateTaint(klog.Logger{}, p.Spec.Tolerations, t, false)
}

func affinity(p *pod, _ *cache) func(*node) *rejection {
	if p.Spec.NodeSelector == nil && requiredTerms(p) == nil {
		return nil
	}
	required := nodeaffinity.GetRequiredNodeAffinity(p.Pod)
	mismatch := &rejection{reasons: []string{"node(s) didn't match Pod's node affinity/selector"}, final: true}
	return func(n *node) *rejection {
		// A term that can not be parsed matches nothing.
		if matches, _ := required.Match(n.Node); !matches {
			return mismatch
		}
		return nil
	}
}

func requiredTerms(p *pod) []corev1.NodeSelectorTerm {
	a := p.Spec.Affinity
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return nil
	}
	return a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
}

// portsTaken is the reason of a node whose ports other pods have.
const portsTaken = "node(s) didn't have free ports for the requested pod ports"

func hostPorts(p *pod, _ *cache) func(*node) *rejection {
	if len(p.ports) == 0 {
		return nil
	}
	taken := &rejection{reasons: []string{portsTaken}}
	return func(n *node) *rejection {
		for used := range n.ports {
			for _, wanted := range p.ports {
				if used.conflicts(wanted) {
					return taken
				}
			}
		}
		return nil
	}
}

// fit names every resource that a node has too little of.
func fit(p *pod, _ *cache) func(*node) *rejection {
	return func(n *node) *rejection {
		var r rejection
		short := func(name string, asked, used, has int64) {
			if asked > 0 && asked > has-used {
				r.reasons = append(r.reasons, "Insufficient "+name)
				r.final = r.final || asked > has
			}
		}
		if int64(len(n.pods)) >= n.maxPods {
			r.reasons = append(r.reasons, "Too many pods")
		}
		if !p.requests.nothing() {
			short("cpu", p.requests.milliCPU, n.requests.milliCPU, n.allocatable.milliCPU)
			short("memory", p.requests.memory, n.requests.memory, n.allocatable.memory)
			short("ephemeral-storage", p.requests.ephemeral, n.requests.ephemeral, n.allocatable.ephemeral)
			for name, asked := range p.requests.other {
				short(fmt.Sprint(name), asked, n.requests.other[name], n.allocatable.other[name])
			}
		}
		if r.reasons == nil {
			return nil
		}
		return &r
	}
}
