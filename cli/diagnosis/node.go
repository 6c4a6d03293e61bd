package diagnosis

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"skiff/manifests/nodefacts"
)

func nodeReadiness(n *corev1.Node) *corev1.NodeCondition {
	return nodeCondition(n, corev1.NodeReady)
}

func nodeCondition(n *corev1.Node, t corev1.NodeConditionType) *corev1.NodeCondition {
	for i := range n.Status.Conditions {
		if c := &n.Status.Conditions[i]; c.Type == t {
			return c
		}
	}
	return nil
}

// Node reports on a node.
func (s *Scene) Node(n *corev1.Node) Report {
	r := Report{Object: who("Node", n)}
	c := nodeReadiness(n)
	switch {
	case n.DeletionTimestamp != nil:
		r.fine("is being removed since %s", s.at(n.DeletionTimestamp.Time))
		s.held(&r, n, "node")
	case nodefacts.Off(n):
		s.poweredOff(&r, n, c)
	case c == nil:
		r.fine("has not reported yet")
	case c.Status == corev1.ConditionTrue:
		r.fine("is ready")
		s.pressed(&r, n)
	default:
		r.wrong("is not ready: %s", Reason(c.Reason, c.Message))
		r.cause("since %s", s.at(c.LastTransitionTime.Time))
		if strings.Contains(strings.ToLower(c.Message), "docker") || strings.Contains(c.Message, "engine") {
			r.do("see whether the Docker Engine runs: skiff doctor")
		} else if c.Status == corev1.ConditionUnknown {
			r.do("see whether the node's daemon runs: skiff daemon status")
		}
		r.next("it is ready again as soon as it reports so")
	}
	if n.Spec.Unschedulable {
		r.cause("it is cordoned: it gets no new pods")
		r.do("skiff uncordon %s, if it is to have pods again", n.Name)
	}
	return r
}

// poweredOff is about a node that skiff node stop has made fail.
func (s *Scene) poweredOff(r *Report, n *corev1.Node, c *corev1.NodeCondition) {
	r.wrong("has no power: skiff node stop made it fail")
	if c != nil && c.Status == corev1.ConditionTrue {
		r.next("the cluster notices at about %s, %s after the node's last sign of life; until then it is shown as Ready",
			s.at(s.lastSign(n, c).Add(s.NodeGrace)), s.NodeGrace)
	}
	r.next("pods that do not tolerate that leave it, 5 minutes later as a rule; skiff why pod/NAME says when")
	r.do("skiff node start %s", n.Name)
}

// lastSign is a node's last sign of life: its lease, or its status.
func (s *Scene) lastSign(n *corev1.Node, c *corev1.NodeCondition) time.Time {
	last := c.LastHeartbeatTime.Time
	if l := named(s.Leases, n.Name); l != nil && l.Spec.RenewTime != nil && l.Spec.RenewTime.After(last) {
		last = l.Spec.RenewTime.Time
	}
	return last
}

// pressed adds conditions of a node that are bad when they are true.
func (s *Scene) pressed(r *Report, n *corev1.Node) {
	for _, t := range []corev1.NodeConditionType{corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure, corev1.NodeNetworkUnavailable} {
		if c := nodeCondition(n, t); c != nil && c.Status == corev1.ConditionTrue {
			r.wrong("is short of something: %s", t)
			r.cause("%s since %s: %s", t, s.at(c.LastTransitionTime.Time), Reason(c.Reason, c.Message))
		}
	}
}

// Namespace reports on a namespace.
func (s *Scene) Namespace(n *corev1.Namespace) Report {
	r := Report{Object: who("Namespace", n)}
	if n.DeletionTimestamp == nil {
		r.fine("is active")
		return r
	}
	since := s.at(n.DeletionTimestamp.Time)
	r.fine("is being deleted since %s", since)
	for _, c := range n.Status.Conditions {
		if c.Status == corev1.ConditionTrue {
			r.cause("%s", Reason(c.Reason, c.Message))
		}
	}
	if s.lasted(*n.DeletionTimestamp) {
		r.wrong("is being deleted since %s, and does not go", since)
		r.do("see what is left, and what holds it: skiff why -n %s", n.Name)
		r.next("it goes as soon as what is in it is gone")
	}
	return r
}

// Other reports on an object of a kind that is not known here, by what all have in common: finalizers,
// conditions and events.
func (s *Scene) Other(u *unstructured.Unstructured, resource string) Report {
	r := Report{Object: who(u.GetKind(), u), Namespace: u.GetNamespace()}
	s.wantedBy(&r, u)
	if at := u.GetDeletionTimestamp(); at != nil {
		r.fine("is being deleted since %s", s.at(at.Time))
		s.held(&r, u, resource)
		return r
	}
	s.conditions(&r, u)
	if !r.Wrong {
		r.fine("is there, and says of nothing that it is wrong")
	}
	s.warned(&r, u, u.GetKind())
	return r
}

// conditions adds an object's own complaints: that it is not ready, or has failed.
func (s *Scene) conditions(r *Report, u *unstructured.Unstructured) {
	list, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, item := range list {
		c, ok := item.(map[string]any)
		if !ok {
			continue
		}
		kind, status := str(c["type"]), str(c["status"])
		bad := (kind == "Ready" || kind == "Available" || kind == "Accepted" || kind == "Established" || kind == "Healthy") && status == "False" ||
			(kind == "Failed" || kind == "Degraded" || kind == "Stalled") && status == "True"
		if bad {
			r.wrong("says %s=%s: %s", kind, status, Reason(str(c["reason"]), str(c["message"])))
		}
	}
}

func str(v any) string {
	s, _ := v.(string)
	return s
}
