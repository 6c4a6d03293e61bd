package namespaces

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/internal/testbed"
	"skiff/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const ca = "-----BEGIN CERTIFICATE-----"

type bed struct {
	*testbed.Bed
	t *testing.T
}

func test(t *testing.T, f func(*testing.T, bed)) {
	synctest.Test(t, func(t *testing.T) {
		b := bed{testbed.New(t), t}
		o := Options{Env: b.Env(), RootCA: []byte(ca)}
		b.Run(NewDefaults(o).Run)
		b.Run(NewDeletion(o).Run)
		synctest.Wait()
		f(t, b)
	})
}

func (b bed) namespace(name string) {
	b.t.Helper()
	testbed.Create(b.Bed, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	synctest.Wait()
}

// pod makes a pod, which runs unless node is empty.
func (b bed) pod(namespace, name, node string, grace int64, finalizers ...string) {
	b.t.Helper()
	p := testbed.Pod(namespace, name, nil)
	p.Spec.NodeName, p.Spec.TerminationGracePeriodSeconds, p.Finalizers = node, &grace, finalizers
	testbed.Create(b.Bed, p)
}

// conditions are the true conditions of a namespace with their reasons and
// messages, "gone" when there is no such namespace.
func (b bed) conditions(name string) string {
	synctest.Wait()
	n, ok := testbed.Get[*corev1.Namespace](b.Bed, "", name)
	if !ok {
		return "gone"
	}
	lines := []string{string(n.Status.Phase)}
	for _, c := range n.Status.Conditions {
		if c.Status == corev1.ConditionTrue {
			lines = append(lines, fmt.Sprintf("%s %s %s", c.Type, c.Reason, c.Message))
		}
	}
	return strings.Join(lines, "\n")
}

func (b bed) expect(what, name string, want ...string) {
	b.t.Helper()
	if got, want := b.conditions(name), strings.Join(want, "\n"); got != want {
		b.t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

func TestEachNamespaceHasItsDefaults(t *testing.T) {
	test(t, func(t *testing.T, b bed) {
		check := func(what, namespace string) {
			t.Helper()
			synctest.Wait()
			if _, ok := testbed.Get[*corev1.ServiceAccount](b.Bed, namespace, "default"); !ok {
				t.Errorf("%s: no service account", what)
			}
			m, ok := testbed.Get[*corev1.ConfigMap](b.Bed, namespace, "kube-root-ca.crt")
			if !ok || len(m.Data) != 1 || m.Data["ca.crt"] != ca || m.Annotations["kubernetes.io/description"] == "" {
				t.Errorf("%s: config map %v %v", what, ok, m)
			}
		}
		for _, name := range []string{"default", "kube-system", "kube-public", "kube-node-lease"} {
			check(name, name)
		}
		b.namespace("new")
		check("a new one", "new")
		testbed.Delete[*corev1.ServiceAccount](b.Bed, "new", "default")
		check("its service account deleted", "new")
		testbed.Delete[*corev1.ConfigMap](b.Bed, "new", "kube-root-ca.crt")
		check("its certificate deleted", "new")
		testbed.Update(b.Bed, "new", "kube-root-ca.crt", func(m *corev1.ConfigMap) { m.Data["ca.crt"] = "other" })
		check("its certificate changed", "new")
		testbed.Update(b.Bed, "new", "kube-root-ca.crt", func(m *corev1.ConfigMap) { m.Annotations = nil })
		check("its description removed", "new")
		testbed.Update(b.Bed, "new", "kube-root-ca.crt", func(m *corev1.ConfigMap) { m.Annotations["kubernetes.io/description"] = "mine" })
		synctest.Wait()
		if m, _ := testbed.Get[*corev1.ConfigMap](b.Bed, "new", "kube-root-ca.crt"); m.Annotations["kubernetes.io/description"] != "mine" {
			t.Error("a description of the user's own was replaced")
		}
	})
}

func TestEmptyNamespaceGoesAtOnce(t *testing.T) {
	test(t, func(t *testing.T, b bed) {
		b.namespace("x")
		testbed.Delete[*corev1.Namespace](b.Bed, "", "x")
		b.expect("deleted", "x", "gone")
		for _, o := range testbed.List[*corev1.ConfigMap](b.Bed, "x") {
			t.Errorf("left: config map %s", o.Name)
		}
		for _, o := range testbed.List[*corev1.ServiceAccount](b.Bed, "x") {
			t.Errorf("left: service account %s", o.Name)
		}
	})
}

func TestPodsGoFirstAndHaveTheirGrace(t *testing.T) {
	test(t, func(t *testing.T, b bed) {
		b.namespace("x")
		b.pod("x", "runs", "node", 30)
		b.pod("x", "pending", "", 300)
		testbed.Create(b.Bed, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: "used"}})
		testbed.Delete[*corev1.Namespace](b.Bed, "", "x")
		b.expect("the pod runs on", "x", "Terminating",
			"NamespaceContentRemaining SomeResourcesRemain Some resources are remaining: pods. has 1 resource instances")
		p, _ := testbed.Get[*corev1.Pod](b.Bed, "x", "runs")
		if p == nil || p.DeletionTimestamp == nil || *p.DeletionGracePeriodSeconds != 30 {
			t.Errorf("the pod is not being deleted gracefully: %v", p)
		}
		if _, ok := testbed.Get[*corev1.ConfigMap](b.Bed, "x", "used"); !ok {
			t.Error("what the pod uses went before it")
		}
		testbed.Kill[*corev1.Pod](b.Bed, "x", "runs")
		b.expect("the pod has ended", "x", "gone")
	})
}

func TestNamespaceThatCanNotBeEmptied(t *testing.T) {
	test(t, func(t *testing.T, b bed) {
		b.namespace("x")
		b.pod("x", "stuck", "node", 5)
		testbed.Delete[*corev1.Namespace](b.Bed, "", "x")
		time.Sleep(time.Minute) // far beyond the pod's grace
		b.expect("a pod that does not end", "x", "Terminating",
			"NamespaceDeletionContentFailure ContentDeletionFailed Failed to delete all resource types, 1 remaining: "+
				"failed to delete pods for namespace: x, err: unexpected items still remain in namespace: x for gvr: /v1, Resource=pods",
			"NamespaceContentRemaining SomeResourcesRemain Some resources are remaining: pods. has 1 resource instances")
		testbed.Kill[*corev1.Pod](b.Bed, "x", "stuck")
		b.expect("it ended", "x", "gone")
	})
}

func TestFinalizersAreTold(t *testing.T) {
	test(t, func(t *testing.T, b bed) {
		b.namespace("x")
		for _, name := range []string{"a", "b"} {
			testbed.Create(b.Bed, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
				Namespace: "x", Name: name, Finalizers: []string{"example.com/hold"}}})
		}
		testbed.Delete[*corev1.Namespace](b.Bed, "", "x")
		b.expect("held", "x", "Terminating",
			"NamespaceContentRemaining SomeResourcesRemain Some resources are remaining: configmaps. has 2 resource instances",
			"NamespaceFinalizersRemaining SomeFinalizersRemain Some content in the namespace has finalizers remaining: example.com/hold in 2 resource instances")
		n, _ := testbed.Get[*corev1.Namespace](b.Bed, "", "x")
		first := n.Status.Conditions[3].LastTransitionTime
		time.Sleep(time.Minute)
		testbed.Update(b.Bed, "x", "a", func(m *corev1.ConfigMap) { m.Finalizers = nil })
		b.expect("one let go", "x", "Terminating",
			"NamespaceContentRemaining SomeResourcesRemain Some resources are remaining: configmaps. has 1 resource instances",
			"NamespaceFinalizersRemaining SomeFinalizersRemain Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances")
		n, _ = testbed.Get[*corev1.Namespace](b.Bed, "", "x")
		if c := n.Status.Conditions[3]; !c.LastTransitionTime.Equal(&first) {
			t.Errorf("%s since %s, want %s: it was true all the time", c.Type, c.LastTransitionTime, first)
		}
		testbed.Update(b.Bed, "x", "b", func(m *corev1.ConfigMap) { m.Finalizers = nil })
		b.expect("the other let go", "x", "gone")
	})
}

func TestNamespaceWithAFinalizerOfAnother(t *testing.T) {
	test(t, func(t *testing.T, b bed) {
		testbed.Create(b.Bed, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "x"},
			Spec: corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{"example.com/hold"}}})
		synctest.Wait()
		testbed.Delete[*corev1.Namespace](b.Bed, "", "x")
		b.expect("held", "x", "Terminating")
		n, _ := testbed.Get[*corev1.Namespace](b.Bed, "", "x")
		if !slices.Equal(n.Spec.Finalizers, []corev1.FinalizerName{"example.com/hold"}) {
			t.Errorf("finalizers %v, want the other's only", n.Spec.Finalizers)
		}
	})
}

func TestContent(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	pods := schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	pod := func(grace int64, phase corev1.PodPhase, finalizers ...string) store.Object {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Finalizers: finalizers},
			Spec: corev1.PodSpec{TerminationGracePeriodSeconds: ptr.To(grace)}, Status: corev1.PodStatus{Phase: phase}}
	}
	for _, c := range []struct {
		name    string
		objects []store.Object
		since   time.Duration
		again   time.Duration
		fails   bool
	}{
		{"nothing", nil, time.Hour, time.Second, false},
		{"within the grace", []store.Object{pod(30, ""), pod(60, "")}, 20 * time.Second, 31 * time.Second, false},
		{"grace of a pod that has ended", []store.Object{pod(60, corev1.PodFailed)}, 20 * time.Second, time.Second, true},
		{"grace over", []store.Object{pod(30, "")}, 30 * time.Second, time.Second, true},
		{"grace over, a finalizer left", []store.Object{pod(30, "", "f")}, 30 * time.Second, 8 * time.Second, false},
	} {
		got := contentOf(pods, c.objects, now.Add(-c.since), now)
		r := remaining{got}
		if r.again() != c.again || (got.err != nil) != c.fails || r.empty() != (len(c.objects) == 0) {
			t.Errorf("%s: again in %s, error %v, empty %v", c.name, r.again(), got.err, r.empty())
		}
	}
	r := remaining{{err: errors.New("b")}, {err: errors.New("a")}}
	if c := r.conditions(metav1.NewTime(now))[2]; c.Message != "Failed to delete all resource types, 2 remaining: a, b" {
		t.Error(c.Message)
	}
}
