package node

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestTrouble(t *testing.T) {
	node := func(name string, ready ...corev1.ConditionStatus) corev1.Node {
		n := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
		for _, s := range ready {
			n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: corev1.NodeReady, Status: s, Message: "container runtime is down"})
		}
		return n
	}
	for _, c := range []struct {
		name  string
		nodes []corev1.Node
		want  string
	}{
		{"no node", nil, ""},
		{"ready", []corev1.Node{node("a", corev1.ConditionTrue)}, ""},
		{"has said nothing yet", []corev1.Node{node("a")}, ""},
		{"down", []corev1.Node{node("a", corev1.ConditionFalse)}, "node a is not ready: container runtime is down"},
		{"one of two is ready", []corev1.Node{node("a", corev1.ConditionFalse), node("b", corev1.ConditionTrue)}, ""},
		{"both are down", []corev1.Node{node("a", corev1.ConditionUnknown), node("b", corev1.ConditionFalse)}, "node a is not ready: container runtime is down"},
	} {
		if got := trouble(c.nodes); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
