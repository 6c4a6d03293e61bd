package registry_test

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"skiff/manifests/registry"
)

func TestBind(t *testing.T) {
	f := open(t)
	f.create(pod("p"))
	if err := f.bind("p", "n"); err != nil {
		t.Fatal(err)
	}
	p := must(f.resource("pods").Get("default", "p")).(*corev1.Pod)
	if p.Spec.NodeName != "n" || len(p.Status.Conditions) != 1 {
		t.Fatalf("node %q, conditions %v", p.Spec.NodeName, p.Status.Conditions)
	}
	c := p.Status.Conditions[0]
	if c.Type != corev1.PodScheduled || c.Status != corev1.ConditionTrue || !c.LastTransitionTime.Time.Equal(began) {
		t.Errorf("condition %+v", c)
	}
	if pods := registry.For[*corev1.Pod](f.Registry).ByIndex(registry.IndexNode, "n"); len(pods) != 1 {
		t.Errorf("%d pods by node", len(pods))
	}
}

func TestBindErrors(t *testing.T) {
	f := open(t)
	f.create(pod("bound", func(p *corev1.Pod) { p.Spec.NodeName = "n" }))
	f.create(pod("gated", func(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "a/b"}} }))
	f.create(pod("going", func(p *corev1.Pod) { p.Finalizers = []string{"a/b"} }))
	if _, _, err := f.resource("pods").Delete(f.ctx, "default", "going", nil, registry.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	f.create(pod("free"))
	for name, test := range map[string]struct {
		binding *corev1.Binding
		want    string
	}{
		"bound":   {binding("bound", "m"), `Operation cannot be fulfilled on pods/binding "bound": pod bound is already assigned to node "n"`},
		"gated":   {binding("gated", "m"), `Operation cannot be fulfilled on pods/binding "gated": pod gated has non-empty .spec.schedulingGates`},
		"going":   {binding("going", "m"), `Operation cannot be fulfilled on pods/binding "going": pod going is being deleted, cannot be assigned to a host`},
		"missing": {binding("missing", "m"), `pods "missing" not found`},
		"no node": {binding("free", ""), `Binding "free" is invalid: target.name: Required value`},
		"no such UID": {func() *corev1.Binding { b := binding("free", "m"); b.UID = "x"; return b }(),
			`Operation cannot be fulfilled on pods "free": Precondition failed: UID in precondition: x, UID in object meta: ` + string(must(f.resource("pods").Get("default", "free")).GetUID())},
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, f.Pods().Assign(f.ctx, "default", test.binding, registry.CreateOptions{}), test.want)
		})
	}
	before := f.revision()
	if err := f.Pods().Assign(f.ctx, "default", binding("free", "m"), registry.CreateOptions{DryRun: true}); err != nil || f.revision() != before {
		t.Errorf("dry run: %v, revision %d, was %d", err, f.revision(), before)
	}
	b := binding("free", "m")
	b.Labels, b.Annotations = map[string]string{"zone": "a"}, map[string]string{"by": "test"}
	if err := f.Pods().Assign(f.ctx, "default", b, registry.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	p := must(f.resource("pods").Get("default", "free"))
	if p.GetLabels()["zone"] != "a" || p.GetAnnotations()["by"] != "test" {
		t.Errorf("labels %v, annotations %v", p.GetLabels(), p.GetAnnotations())
	}
}

// bind assigns a pod in the default namespace to a node.
func (f fixture) bind(name, node string) error {
	return f.Pods().Assign(f.ctx, "default", binding(name, node), registry.CreateOptions{})
}

func binding(name, node string) *corev1.Binding {
	return &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: name}, Target: corev1.ObjectReference{Kind: "Node", Name: node}}
}

func TestEvict(t *testing.T) {
	f := open(t)
	evict := func(name string, o *metav1.DeleteOptions) error {
		return f.Pods().Evict(f.ctx, "default", name, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: name}, DeleteOptions: o})
	}
	f.create(pod("p", func(p *corev1.Pod) { p.Spec.NodeName = "n" }))
	before := f.revision()
	if err := evict("p", &metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}); err != nil || f.revision() != before {
		t.Errorf("dry run: %v", err)
	}
	version := must(f.resource("pods").Get("default", "p")).GetResourceVersion()
	if err := evict("p", &metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](7), Preconditions: &metav1.Preconditions{ResourceVersion: &version}}); err != nil {
		t.Fatal(err)
	}
	p := must(f.resource("pods").Get("default", "p")).(*corev1.Pod)
	if *p.DeletionGracePeriodSeconds != 7 || len(p.Status.Conditions) != 1 || p.Status.Conditions[0].Type != corev1.DisruptionTarget {
		t.Errorf("grace %d, conditions %v", *p.DeletionGracePeriodSeconds, p.Status.Conditions)
	}
	err := evict("p", &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &version}})
	wantError(t, err, `Operation cannot be fulfilled on Pod "p": the ResourceVersion in the precondition (`+version+`) does not match the ResourceVersion in record (`+p.ResourceVersion+`). The object might have been modified`)
	wantError(t, evict("missing", nil), `pods "missing" not found`)
	wantError(t, f.Pods().Evict(f.ctx, "default", "p", &policyv1.Eviction{}), "name in URL does not match name in Eviction object")
}

// budget makes a disruption budget of pods labelled app: kubia that allows some
// disruptions, and running pods it selects.
func (f fixture) budget(allowed, healthy, desired int32, change func(*policyv1.PodDisruptionBudget), pods ...string) {
	f.t.Helper()
	kubia := map[string]string{"app": "kubia"}
	f.create(&policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "b"}, Spec: policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: kubia}},
	})
	budgets := registry.For[*policyv1.PodDisruptionBudget](f.Registry)
	if _, err := budgets.UpdateStatus(f.ctx, "default", "b", func(b *policyv1.PodDisruptionBudget) error {
		b.Status = policyv1.PodDisruptionBudgetStatus{ObservedGeneration: 1, DisruptionsAllowed: allowed, CurrentHealthy: healthy, DesiredHealthy: desired}
		return nil
	}); err != nil {
		f.t.Fatal(err)
	}
	if _, err := budgets.Update(f.ctx, "default", "b", func(b *policyv1.PodDisruptionBudget) error { change(b); return nil }); err != nil {
		f.t.Fatal(err)
	}
	for _, name := range pods {
		f.create(pod(name, func(p *corev1.Pod) { p.Spec.NodeName, p.Labels = "n", kubia }))
		if _, err := registry.For[*corev1.Pod](f.Registry).UpdateStatus(f.ctx, "default", name, func(p *corev1.Pod) error {
			p.Status.Phase = corev1.PodPhase(map[string]string{"pending": "Pending", "ended": "Failed"}[name])
			if p.Status.Phase == "" {
				p.Status.Phase = corev1.PodRunning
			}
			if name == "ready" || name == "second" {
				p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
			}
			return nil
		}); err != nil {
			f.t.Fatal(err)
		}
	}
}

func TestEvictWithinBudget(t *testing.T) {
	const refused = "Cannot evict pod as it would violate the pod's disruption budget."
	nothing := func(*policyv1.PodDisruptionBudget) {}
	always := func(b *policyv1.PodDisruptionBudget) {
		b.Spec.UnhealthyPodEvictionPolicy = ptr.To(policyv1.AlwaysAllow)
	}
	for name, test := range map[string]struct {
		allowed, healthy, desired int32
		change                    func(*policyv1.PodDisruptionBudget)
		pod, want, cause          string
	}{
		"allowed":                {1, 2, 1, nothing, "ready", "", ""},
		"not allowed":            {0, 2, 2, nothing, "ready", refused, "The disruption budget b needs 2 healthy pods and has 2 currently"},
		"not worked out yet":     {1, 2, 1, func(b *policyv1.PodDisruptionBudget) { b.Spec.MinAvailable = ptr.To(intstr.FromInt32(5)) }, "ready", refused, "The disruption budget b is still being processed by the server."},
		"healthy, not allowed":   {0, 3, 2, nothing, "ready", refused, "The disruption budget b does not allow evicting pods currently"},
		"pending":                {0, 2, 2, nothing, "pending", "", ""},
		"ended":                  {0, 2, 2, nothing, "ended", "", ""},
		"unready, others enough": {0, 2, 2, nothing, "unready", "", ""},
		"unready, others few":    {0, 1, 2, nothing, "unready", refused, "The disruption budget b needs 2 healthy pods and has 1 currently"},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t)
			f.budget(test.allowed, test.healthy, test.desired, test.change, test.pod)
			err := f.Pods().Evict(f.ctx, "default", test.pod, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: test.pod}})
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if p, err := f.resource("pods").Get("default", test.pod); err == nil && p.GetDeletionTimestamp() == nil {
					t.Error("it is not being deleted")
				}
				return
			}
			wantError(t, err, test.want)
			var status *apierrors.StatusError
			if !errors.As(err, &status) || status.ErrStatus.Code != 429 || status.ErrStatus.Details.Causes[0].Message != test.cause {
				t.Errorf("%+v", err)
			}
			if p := must(f.resource("pods").Get("default", test.pod)).(*corev1.Pod); p.DeletionTimestamp != nil || len(p.Status.Conditions) > 1 {
				t.Errorf("it was touched: %+v", p)
			}
		})
	}
	t.Run("always", func(t *testing.T) {
		f := open(t)
		f.budget(0, 1, 2, always, "unready")
		if err := f.Pods().Evict(f.ctx, "default", "unready", &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: "unready"}}); err != nil {
			t.Error(err)
		}
	})
}

func TestEvictSpends(t *testing.T) {
	f := open(t)
	f.budget(1, 2, 1, func(*policyv1.PodDisruptionBudget) {}, "ready", "second")
	evict := func(name string, o *metav1.DeleteOptions) error {
		return f.Pods().Evict(f.ctx, "default", name, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: name}, DeleteOptions: o})
	}
	if err := evict("ready", &metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
		t.Fatal(err)
	}
	if err := evict("ready", nil); err != nil {
		t.Fatal(err)
	}
	b := must(registry.For[*policyv1.PodDisruptionBudget](f.Registry).Get("default", "b"))
	if b.Status.DisruptionsAllowed != 0 || len(b.Status.DisruptedPods) != 1 || b.Status.Conditions[0].Reason != policyv1.InsufficientPodsReason {
		t.Errorf("status %+v", b.Status)
	}
	if err := evict("second", nil); !apierrors.IsTooManyRequests(err) {
		t.Errorf("the second: %v", err)
	}
	if err := evict("second", &metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}); !apierrors.IsTooManyRequests(err) {
		t.Errorf("a dry run of the second: %v", err)
	}
	f.create(&policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "other"}, Spec: policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{}},
	})
	wantError(t, evict("second", nil), "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.")
}
