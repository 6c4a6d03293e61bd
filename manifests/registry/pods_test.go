package registry_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"skiff/manifests/registry"
)

func TestBind(t *testing.T) {
	f := open(t)
	f.create(pod("p"))
	if err := f.Pods().Bind(f.ctx, "default", "p", "n"); err != nil {
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
