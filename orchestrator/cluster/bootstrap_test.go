package cluster_test

import (
	"testing"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"

	"skiff/orchestrator/cluster"
	"skiff/orchestrator/internal/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBootstrap(t *testing.T) {
	b := testbed.New(t) // bootstraps
	for _, name := range []string{"default", "kube-system", "kube-public", "kube-node-lease"} {
		n, ok := testbed.Get[*corev1.Namespace](b, "", name)
		if !ok || n.Status.Phase != corev1.NamespaceActive || n.Labels[corev1.LabelMetadataName] != name {
			t.Errorf("namespace %s: %v %v", name, ok, n)
		}
	}
	for name, value := range map[string]int32{"system-cluster-critical": 2000000000, "system-node-critical": 2000001000} {
		c, ok := testbed.Get[*schedulingv1.PriorityClass](b, "", name)
		if !ok || c.Value != value {
			t.Errorf("priority class %s: %v %v", name, ok, c)
		}
	}
	if s, ok := testbed.Get[*corev1.Service](b, "default", "kubernetes"); !ok || s.Spec.ClusterIP != "10.96.0.1" {
		t.Errorf("service of the API: %v %v", ok, s)
	}
	testbed.Update(b, "", "default", func(n *corev1.Namespace) { n.Labels["mine"] = "yes" })
	before := b.Store.Revision()
	if err := cluster.Bootstrap(t.Context(), b.Registry); err != nil {
		t.Fatal(err)
	}
	if after := b.Store.Revision(); after != before {
		t.Errorf("a second start wrote %d times", after-before)
	}
}
