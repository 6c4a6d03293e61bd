package scheduling

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// node is a node with the pods on it and the sum of what they use, kept up to
// date so that to place a pod costs the same however many there are.
type node struct {
	// key is the node's name.
	key string
	// Node is nil while only pods are known that say they are on it.
	*corev1.Node
	// taints are the node's own and those that its state implies.
	taints      []corev1.Taint
	allocatable resources
	maxPods     int64

	pods            map[types.UID]*pod
	requests, usage resources
	ports           map[port]int
	// groups is how many pods of a controller are here and not about to go.
	groups map[types.UID]int
	// nominated are the pods for which others make room here.
	nominated map[types.UID]*pod
}

func newNode(name string) *node {
	return &node{
		key: name, pods: map[types.UID]*pod{}, ports: map[port]int{}, groups: map[types.UID]int{}, nominated: map[types.UID]*pod{},
	}
}

// set takes over a new state of the node's object.
func (n *node) set(object *corev1.Node) {
	n.Node = object
	n.taints = taintsOf(object)
	n.allocatable = resourcesOf(object.Status.Allocatable)
	n.maxPods = object.Status.Allocatable.Pods().Value()
}

func (n *node) add(p *pod) {
	n.pods[p.UID] = p
	n.account(p, 1)
}

func (n *node) remove(p *pod) {
	delete(n.pods, p.UID)
	n.account(p, -1)
}

func (n *node) account(p *pod, sign int64) {
	n.requests.add(p.requests, sign)
	n.usage.add(p.usage, sign)
	for _, port := range p.ports {
		n.ports[port] += int(sign)
		if n.ports[port] == 0 {
			delete(n.ports, port)
		}
	}
	if p.group != "" && p.DeletionTimestamp == nil {
		n.groups[p.group] += int(sign)
		if n.groups[p.group] == 0 {
			delete(n.groups, p.group)
		}
	}
}

// outranked are the pods here of a lower priority than one that wants in.
func (n *node) outranked(p *pod) []*pod {
	var lesser []*pod
	for _, other := range n.pods {
		if other.priority < p.priority {
			lesser = append(lesser, other)
		}
	}
	return lesser
}

// rivals are the other pods nominated for this node that a pod has to leave room
// for.
func (n *node) rivals(p *pod) []*pod {
	var rivals []*pod
	for _, other := range n.nominated {
		if other.UID != p.UID && other.priority >= p.priority {
			rivals = append(rivals, other)
		}
	}
	return rivals
}

// taintsOf adds to a node's taints the one that upstream's node controller gives
// to a node that is not ready, for the time until it has.
func taintsOf(n *corev1.Node) []corev1.Taint {
	implied := corev1.Taint{Effect: corev1.TaintEffectNoSchedule}
	switch readiness(n) {
	case corev1.ConditionTrue:
		return n.Spec.Taints
	case corev1.ConditionUnknown:
		implied.Key = corev1.TaintNodeUnreachable
	default:
		implied.Key = corev1.TaintNodeNotReady
	}
	if slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.MatchTaint(&implied) }) {
		return n.Spec.Taints
	}
	return append(slices.Clone(n.Spec.Taints), implied)
}

// readiness is a node's Ready condition, False when it has none yet.
func readiness(n *corev1.Node) corev1.ConditionStatus {
	for i := range n.Status.Conditions {
		if n.Status.Conditions[i].Type == corev1.NodeReady {
			return n.Status.Conditions[i].Status
		}
	}
	return corev1.ConditionFalse
}
