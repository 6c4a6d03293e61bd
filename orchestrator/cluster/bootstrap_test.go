package cluster_test

import (
	"net/netip"
	"strconv"
	"testing"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"skiff/manifests/serviceip"
	"skiff/orchestrator/cluster"
	"skiff/orchestrator/internal/testbed"
	"skiff/store"
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
	if c, ok := testbed.Get[*networkingv1.ServiceCIDR](b, "", "kubernetes"); !ok || !serviceip.Ready(c) || c.Spec.CIDRs[0] != "10.244.48.0/20" {
		t.Errorf("range of services: %v %v", ok, c)
	}
	if s, ok := testbed.Get[*corev1.Service](b, "default", "kubernetes"); !ok || s.Spec.ClusterIP != "10.244.48.1" || s.Spec.Ports[0].TargetPort.IntVal != 6443 {
		t.Errorf("service of the API: %v %v", ok, s)
	}
	s, ok := testbed.Get[*corev1.Service](b, "kube-system", "kube-dns")
	if !ok || s.Spec.ClusterIP != "10.244.48.10" || s.Labels["k8s-app"] != "kube-dns" || len(s.Spec.Ports) != 2 || s.Spec.Ports[0].Protocol != corev1.ProtocolUDP {
		t.Errorf("service of DNS: %v %v", ok, s)
	}
	testbed.Update(b, "", "default", func(n *corev1.Namespace) { n.Labels["mine"] = "yes" })
	before := b.Store.Revision()
	for _, services := range []string{"10.244.48.0/20", "10.99.0.0/16"} { // the stored one counts
		if err := cluster.Bootstrap(t.Context(), b.Registry, b.Recorder, netip.MustParsePrefix(services)); err != nil {
			t.Fatal(err)
		}
	}
	if after := b.Store.Revision(); after != before {
		t.Errorf("further starts wrote %d times", after-before)
	}
}

// TestBootstrapOfOldData: before there were ServiceCIDRs, services had addresses in 10.96.0.0/16.
func TestBootstrapOfOldData(t *testing.T) {
	b := testbed.New(t)
	testbed.Create(b, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubia"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80, NodePort: 30123}}},
	})
	testbed.Delete[*corev1.Service](b, "kube-system", "kube-dns")
	age(t, b, "kubernetes", "10.96.0.1", func(s *corev1.Service) { s.Spec.Ports[0].TargetPort = intstr.FromInt32(7443) })
	age(t, b, "kubia", "10.96.1.0", func(*corev1.Service) {})
	testbed.Update(b, "", "kubernetes", func(c *networkingv1.ServiceCIDR) { c.Finalizers = nil })
	testbed.Delete[*networkingv1.ServiceCIDR](b, "", "kubernetes")
	b.Recorder.Take()

	if err := cluster.Bootstrap(t.Context(), b.Registry, b.Recorder, netip.MustParsePrefix("10.245.48.0/20")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct{ namespace, name, address string }{
		{"default", "kubernetes", "10.245.48.1"}, {"kube-system", "kube-dns", "10.245.48.10"}, {"default", "kubia", "10.245.49.1"},
	} {
		if s, ok := testbed.Get[*corev1.Service](b, want.namespace, want.name); !ok || s.Spec.ClusterIP != want.address {
			t.Errorf("%s: %v, want %s", want.name, s, want.address)
		}
	}
	if s, _ := testbed.Get[*corev1.Service](b, "default", "kubernetes"); s.Spec.Ports[0].TargetPort.IntVal != 6443 {
		t.Errorf("the API's target: %v", s.Spec.Ports)
	}
	if s, _ := testbed.Get[*corev1.Service](b, "default", "kubia"); s.Spec.Ports[0].NodePort != 30123 {
		t.Errorf("the node port: %v", s.Spec.Ports)
	}
	const moved = " does not lie in 10.245.48.0/20, the range of services now: it has become "
	want := "Normal ClusterIPChanged kubernetes: Cluster IP 10.96.0.1" + moved + "10.245.48.1\n" +
		"Normal ClusterIPChanged kubia: Cluster IP 10.96.1.0" + moved + "10.245.49.1"
	if got := b.Recorder.Take(); got != want {
		t.Errorf("events\n%s\nwant\n%s", got, want)
	}
}

// age makes of a service what an earlier version has stored.
func age(t *testing.T, b *testbed.Bed, name, address string, change func(*corev1.Service)) {
	t.Helper()
	stored, _ := testbed.Get[*corev1.Service](b, "default", name)
	s := stored.DeepCopy()
	s.Spec.ClusterIP, s.Spec.ClusterIPs = address, []string{address}
	change(s)
	revision, err := strconv.ParseUint(stored.ResourceVersion, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	key := store.Key{Resource: "services", Namespace: s.Namespace, Name: s.Name}
	if _, err := b.Store.Commit(t.Context(), store.Change{Key: key, Expect: revision, Object: s}); err != nil {
		t.Fatal(err)
	}
}

// TestBootstrapWhenAddressesAreTaken: a service whose well-known address another one has gets
// another.
func TestBootstrapWhenAddressesAreTaken(t *testing.T) {
	b := testbed.New(t)
	testbed.Delete[*corev1.Service](b, "kube-system", "kube-dns")
	testbed.Create(b, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "mine"},
		Spec:       corev1.ServiceSpec{ClusterIP: "10.244.48.10", Ports: []corev1.ServicePort{{Port: 80}}},
	})
	if err := cluster.Bootstrap(t.Context(), b.Registry, b.Recorder, testbed.Services); err != nil {
		t.Fatal(err)
	}
	if s, ok := testbed.Get[*corev1.Service](b, "kube-system", "kube-dns"); !ok || s.Spec.ClusterIP != "10.244.49.1" {
		t.Errorf("%v", s)
	}
}
