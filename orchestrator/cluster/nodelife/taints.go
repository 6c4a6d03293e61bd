package nodelife

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

type conditionTaint struct {
	condition corev1.NodeConditionType
	status    corev1.ConditionStatus
	key       string
}

// conditionTaints are the taints that keep new pods off a node in a certain
// state (https://kubernetes.io/docs/reference/node/node-status/#condition).
var conditionTaints = []conditionTaint{
	{corev1.NodeReady, corev1.ConditionFalse, corev1.TaintNodeNotReady},
	{corev1.NodeReady, corev1.ConditionUnknown, corev1.TaintNodeUnreachable},
	{corev1.NodeMemoryPressure, corev1.ConditionTrue, corev1.TaintNodeMemoryPressure},
	{corev1.NodeDiskPressure, corev1.ConditionTrue, corev1.TaintNodeDiskPressure},
	{corev1.NodeNetworkUnavailable, corev1.ConditionTrue, corev1.TaintNodeNetworkUnavailable},
	{corev1.NodePIDPressure, corev1.ConditionTrue, corev1.TaintNodePIDPressure},
}

// ours reports whether a taint comes and goes by this controller's hand alone.
func ours(t corev1.Taint) bool {
	switch t.Effect {
	case corev1.TaintEffectNoExecute:
		return t.Key == corev1.TaintNodeNotReady || t.Key == corev1.TaintNodeUnreachable
	case corev1.TaintEffectNoSchedule:
		return t.Key == corev1.TaintNodeUnschedulable || slices.ContainsFunc(conditionTaints, func(c conditionTaint) bool { return c.key == t.Key })
	}
	return false
}

// taint compares the taints a node bears with those its state asks for.
func (p *planner) taint(n *corev1.Node, z zone) {
	t := tainting{node: n, ready: p.ready[n.Name]}
	want := p.noSchedule(n)
	execute, why := p.noExecute(n)
	if execute != nil && !has(n.Spec.Taints, *execute) && !bearsNoExecute(n) {
		may, hold := p.mayEvict(n, z)
		if !may {
			p.held = append(p.held, silence{node: n, cause: hold})
			execute = nil
		}
		t.evict = may
	}
	if execute != nil {
		want = append(want, cause{*execute, why})
	}
	for _, w := range want {
		if !has(n.Spec.Taints, w.taint) {
			t.add = append(t.add, w)
		}
	}
	for _, have := range n.Spec.Taints {
		wanted := slices.ContainsFunc(want, func(w cause) bool { return w.taint.MatchTaint(&have) })
		if ours(have) && !wanted {
			t.drop = append(t.drop, cause{corev1.Taint{Key: have.Key, Effect: have.Effect}, p.whyNot(n, have)})
		}
	}
	if len(t.add)+len(t.drop) > 0 {
		p.taints = append(p.taints, t)
	}
}

// holds reports whether a node is still as it was when the change of its taints was decided, as far
// as they depend on it.
func (t tainting) holds(now *corev1.Node) bool {
	if now.UID != t.node.UID || now.Spec.Unschedulable != t.node.Spec.Unschedulable {
		return false
	}
	for _, c := range conditionTaints {
		was, is := statusOf(t.node, c.condition), statusOf(now, c.condition)
		if c.condition == corev1.NodeReady {
			was = t.ready
		}
		if (was == c.status) != (is == c.status) {
			return false
		}
	}
	return true
}

// statusOf is a node's status of a condition, empty if it has none.
func statusOf(n *corev1.Node, t corev1.NodeConditionType) corev1.ConditionStatus {
	if c := condition(&n.Status, t); c != nil {
		return c.Status
	}
	return ""
}

// noSchedule are the taints that keep pods off.
func (p *planner) noSchedule(n *corev1.Node) []cause {
	var want []cause
	for _, c := range conditionTaints {
		status := statusOf(n, c.condition)
		if c.condition == corev1.NodeReady {
			status = p.ready[n.Name]
		}
		if status == c.status {
			want = append(want, cause{
				corev1.Taint{Key: c.key, Effect: corev1.TaintEffectNoSchedule}, string(c.condition) + " is " + string(c.status),
			})
		}
	}
	if n.Spec.Unschedulable {
		want = append(want, cause{corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}, "it is cordoned"})
	}
	return want
}

// noExecute is the taint that drives pods away, nil for none. When no node is
// ready it is likelier that nothing can be heard than that all have failed.
func (p *planner) noExecute(n *corev1.Node) (*corev1.Taint, string) {
	if p.down {
		return nil, ""
	}
	taint := corev1.Taint{Effect: corev1.TaintEffectNoExecute}
	switch p.ready[n.Name] {
	case corev1.ConditionFalse:
		taint.Key = corev1.TaintNodeNotReady
	case corev1.ConditionUnknown:
		taint.Key = corev1.TaintNodeUnreachable
	default:
		return nil, ""
	}
	return &taint, "Ready is " + string(p.ready[n.Name])
}

// bearsNoExecute reports whether the node's pods are being evicted already, for
// this reason or the opposite one.
func bearsNoExecute(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool {
		return t.Effect == corev1.TaintEffectNoExecute && ours(t)
	})
}

func (p *planner) whyNot(n *corev1.Node, t corev1.Taint) string {
	switch {
	case t.Key == corev1.TaintNodeUnschedulable:
		return "it is not cordoned"
	case t.Effect == corev1.TaintEffectNoExecute && p.down:
		return "no node is ready"
	case t.Key == corev1.TaintNodeNotReady || t.Key == corev1.TaintNodeUnreachable:
		if p.ready[n.Name] == "" {
			return "Ready is not known"
		}
		return "Ready is " + string(p.ready[n.Name])
	}
	return "the condition has passed"
}

func has(taints []corev1.Taint, t corev1.Taint) bool {
	return slices.ContainsFunc(taints, func(have corev1.Taint) bool { return have.MatchTaint(&t) })
}
