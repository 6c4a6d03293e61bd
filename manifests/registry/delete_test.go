package registry_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"skiff/manifests/registry"
	"skiff/store"
)

// step is a deletion (or, with update, a change) and what is to come of it, as
// text.
type step struct {
	after   time.Duration // since the last step
	options *metav1.DeleteOptions
	update  func(store.Object)
	want    string
}

func grace(seconds int64) *metav1.DeleteOptions {
	return &metav1.DeleteOptions{GracePeriodSeconds: &seconds}
}

func policy(p metav1.DeletionPropagation) *metav1.DeleteOptions {
	return &metav1.DeleteOptions{PropagationPolicy: &p}
}

func finalizers(names ...string) func(store.Object) {
	return func(obj store.Object) { obj.SetFinalizers(names) }
}

// life plays steps and compares what each leaves behind.
func (f fixture) life(t *testing.T, r *registry.Resource, namespace, name string, steps []step) {
	t.Helper()
	for i, s := range steps {
		f.clock.Step(s.after)
		before := f.revision()
		var err error
		if s.update != nil {
			_, _, err = r.Update(f.ctx, namespace, name, func(current store.Object) (store.Object, error) {
				obj := current.DeepCopyObject().(store.Object)
				s.update(obj)
				return obj, nil
			}, registry.UpdateOptions{})
		} else {
			_, _, err = r.Delete(f.ctx, namespace, name, s.options, registry.DeleteOptions{})
		}
		if got := f.state(r, namespace, name, f.revision() != before, err); got != s.want {
			t.Errorf("step %d:\n got %s\nwant %s", i, got, s.want)
		}
	}
}

func (f fixture) state(r *registry.Resource, namespace, name string, wrote bool, err error) string {
	if err != nil {
		return err.Error()
	}
	var text []string
	if !wrote {
		text = append(text, "unwritten")
	}
	obj, err := r.Get(namespace, name)
	if apierrors.IsNotFound(err) {
		return strings.Join(append(text, "gone"), " ")
	}
	if at := obj.GetDeletionTimestamp(); at != nil {
		text = append(text, fmt.Sprintf("ends +%s", at.Sub(began)))
	} else {
		text = append(text, "lives")
	}
	if seconds := obj.GetDeletionGracePeriodSeconds(); seconds != nil {
		text = append(text, fmt.Sprintf("grace %d", *seconds))
	}
	if obj.GetGeneration() > 0 {
		text = append(text, fmt.Sprintf("generation %d", obj.GetGeneration()))
	}
	if len(obj.GetFinalizers()) > 0 {
		text = append(text, fmt.Sprint(obj.GetFinalizers()))
	}
	return strings.Join(text, " ")
}

func TestDeletePod(t *testing.T) {
	onNode := func(p *corev1.Pod) { p.Spec.NodeName = "n" }
	held := func(p *corev1.Pod) { p.Finalizers = []string{"skiff/hold"} }
	for name, test := range map[string]struct {
		pod   *corev1.Pod
		steps []step
	}{
		"without a node: at once": {pod("p"), []step{{want: "gone", options: &metav1.DeleteOptions{}}}},
		"nil options: at once":    {pod("p", onNode), []step{{want: "gone"}}},
		"its own grace period": {pod("p", onNode), []step{
			{options: &metav1.DeleteOptions{}, want: "ends +30s grace 30 generation 2"},
			{options: &metav1.DeleteOptions{}, want: "unwritten ends +30s grace 30 generation 2"},
			{options: grace(0), want: "gone"},
		}},
		"longer than before: no": {pod("p", onNode), []step{
			{options: grace(10), want: "ends +10s grace 10 generation 2"},
			{options: grace(20), want: "unwritten ends +10s grace 10 generation 2"},
			{options: grace(10), want: "unwritten ends +10s grace 10 generation 2"},
		}},
		"shorter than before": {pod("p", onNode), []step{
			{options: grace(60), want: "ends +1m0s grace 60 generation 2"},
			{after: 5 * time.Second, options: grace(20), want: "ends +20s grace 20 generation 2"},
			{after: 5 * time.Second, options: grace(5), want: "ends +10s grace 1 generation 2"},
			{after: time.Second, options: grace(0), want: "gone"},
		}},
		"negative is one second": {pod("p", onNode), []step{
			{options: grace(-1), want: "ends +1s grace 1 generation 2"},
		}},
		"a finalizer": {pod("p", onNode, held), []step{
			{options: grace(5), want: "ends +5s grace 5 generation 2 [skiff/hold]"},
			{options: grace(0), want: "ends +0s grace 0 generation 2 [skiff/hold]"},
			{options: grace(0), want: "unwritten ends +0s grace 0 generation 2 [skiff/hold]"},
			{update: finalizers(), want: "gone"},
		}},
		"a finalizer that goes before the time is over": {pod("p", onNode, held), []step{
			{options: grace(5), want: "ends +5s grace 5 generation 2 [skiff/hold]"},
			{update: finalizers(), want: "ends +5s grace 5 generation 2"},
			{options: grace(0), want: "gone"},
		}},
		"a finalizer that comes late": {pod("p", onNode), []step{
			{options: grace(5), want: "ends +5s grace 5 generation 2"},
			{update: finalizers("skiff/late"), want: `Pod "p" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"skiff/late"}`},
		}},
		"foreground": {pod("p"), []step{
			{options: policy(metav1.DeletePropagationForeground), want: "ends +0s grace 0 generation 2 [foregroundDeletion]"},
			{update: finalizers(), want: "gone"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t)
			f.create(test.pod)
			f.life(t, f.resource("pods"), "default", "p", test.steps)
		})
	}
}

func TestDeletePodThatHasEnded(t *testing.T) {
	f := open(t)
	f.create(pod("p", func(p *corev1.Pod) { p.Spec.NodeName = "n" }))
	must(registry.For[*corev1.Pod](f.Registry).UpdateStatus(f.ctx, "default", "p", func(p *corev1.Pod) error {
		p.Status.Phase = corev1.PodSucceeded
		return nil
	}))
	f.life(t, f.resource("pods"), "default", "p", []step{{options: grace(30), want: "gone"}})
}

func TestDeleteByPropagationPolicy(t *testing.T) {
	orphan := func(o bool) *metav1.DeleteOptions { return &metav1.DeleteOptions{OrphanDependents: &o} }
	controller := func(finalizers ...string) store.Object {
		rc := replicationController("x")
		rc.Finalizers = finalizers
		return rc
	}
	for name, test := range map[string]struct {
		obj   store.Object
		steps []step
	}{
		"replication controllers orphan by default": {controller(), []step{
			{options: &metav1.DeleteOptions{}, want: "ends +0s grace 0 generation 2 [orphan]"},
			{update: finalizers(), want: "gone"},
		}},
		"background":                {controller(), []step{{options: policy(metav1.DeletePropagationBackground), want: "gone"}}},
		"foreground":                {controller(), []step{{options: policy(metav1.DeletePropagationForeground), want: "ends +0s grace 0 generation 2 [foregroundDeletion]"}}},
		"orphan":                    {controller(), []step{{options: policy(metav1.DeletePropagationOrphan), want: "ends +0s grace 0 generation 2 [orphan]"}}},
		"orphanDependents":          {controller(), []step{{options: orphan(true), want: "ends +0s grace 0 generation 2 [orphan]"}}},
		"not orphanDependents":      {controller(), []step{{options: orphan(false), want: "gone"}}},
		"a finalizer that is there": {controller("foregroundDeletion"), []step{{options: &metav1.DeleteOptions{}, want: "ends +0s grace 0 generation 2 [foregroundDeletion]"}}},
		"policy before finalizer":   {controller("foregroundDeletion"), []step{{options: policy(metav1.DeletePropagationBackground), want: "gone"}}},
		"one finalizer for another": {controller("skiff/hold"), []step{
			{options: policy(metav1.DeletePropagationOrphan), want: "ends +0s grace 0 generation 2 [skiff/hold orphan]"},
			{options: policy(metav1.DeletePropagationForeground), want: "ends +0s grace 0 generation 2 [skiff/hold foregroundDeletion]"},
			{options: policy(metav1.DeletePropagationBackground), want: "ends +0s grace 0 generation 2 [skiff/hold]"},
			{options: policy(metav1.DeletePropagationBackground), want: "unwritten ends +0s grace 0 generation 2 [skiff/hold]"},
		}},
		"events have no dependents": {event("x"), []step{{options: policy(metav1.DeletePropagationForeground), want: "gone"}}},
		"both options":              {controller(), []step{{options: &metav1.DeleteOptions{OrphanDependents: ptr.To(true), PropagationPolicy: ptr.To(metav1.DeletePropagationOrphan)}, want: `DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Invalid value: "Orphan": orphanDependents and deletionPropagation cannot be both set`}}},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t)
			f.create(test.obj)
			f.life(t, f.of(test.obj), "default", "x", test.steps)
		})
	}
}

func event(name string) *corev1.Event {
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: "default", Name: name},
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: "p"},
		Reason:         "Started", Message: "Started container main", Type: corev1.EventTypeNormal,
	}
}

func TestDeletePreconditions(t *testing.T) {
	f := open(t)
	c := f.create(configMap("c"))
	for name, test := range map[string]struct {
		p    metav1.Preconditions
		want string
	}{
		"uid":             {metav1.Preconditions{UID: ptr.To(types.UID("x"))}, fmt.Sprintf(`Operation cannot be fulfilled on ConfigMap "c": the UID in the precondition (x) does not match the UID in record (%s). The object might have been deleted and then recreated`, c.GetUID())},
		"resourceVersion": {metav1.Preconditions{ResourceVersion: ptr.To("1")}, fmt.Sprintf(`Operation cannot be fulfilled on ConfigMap "c": the ResourceVersion in the precondition (1) does not match the ResourceVersion in record (%s). The object might have been modified`, c.GetResourceVersion())},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := f.resource("configmaps").Delete(f.ctx, "default", "c", &metav1.DeleteOptions{Preconditions: &test.p}, registry.DeleteOptions{})
			wantError(t, err, test.want)
		})
	}
	_, gone, err := f.resource("configmaps").Delete(f.ctx, "default", "c", &metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: ptr.To(c.GetUID()), ResourceVersion: ptr.To(c.GetResourceVersion())},
	}, registry.DeleteOptions{})
	if !gone || err != nil {
		t.Errorf("met: %v, %v", gone, err)
	}
	_, _, err = f.resource("configmaps").Delete(f.ctx, "default", "c", nil, registry.DeleteOptions{})
	wantError(t, err, `configmaps "c" not found`)
}

func TestDeleteValidationMayRefuse(t *testing.T) {
	f := open(t)
	f.create(configMap("c"))
	refuse := errors.New("not today")
	_, _, err := f.resource("configmaps").Delete(f.ctx, "default", "c", nil, registry.DeleteOptions{
		Validate: func(context.Context, store.Object) error { return refuse },
	})
	if !errors.Is(err, refuse) {
		t.Errorf("error %v", err)
	}
	if _, err := f.resource("configmaps").Get("default", "c"); err != nil {
		t.Error(err)
	}
}

func TestDeleteTellsTheGracePeriod(t *testing.T) {
	f := open(t)
	f.create(pod("p", func(p *corev1.Pod) { p.Spec.NodeName = "n" }))
	o := &metav1.DeleteOptions{}
	got, gone, err := f.resource("pods").Delete(f.ctx, "default", "p", o, registry.DeleteOptions{})
	if err != nil || gone || ptr.Deref(o.GracePeriodSeconds, -1) != 30 {
		t.Errorf("%v, %v, grace %v", gone, err, o.GracePeriodSeconds)
	}
	if got.GetDeletionTimestamp() == nil {
		t.Error("the object returned is the old one")
	}
}

// TestDeleteOfAPodThatGetsItsNodeMeanwhile: the grace period of a pod without a
// node, none, must not become that of the pod that has one.
func TestDeleteOfAPodThatGetsItsNodeMeanwhile(t *testing.T) {
	f := open(t)
	f.create(pod("p"))
	bound := false
	_, gone, err := f.resource("pods").Delete(f.ctx, "default", "p", &metav1.DeleteOptions{}, registry.DeleteOptions{
		Validate: func(context.Context, store.Object) error {
			if bound {
				return nil
			}
			bound = true
			return f.bind("p", "n")
		},
	})
	if err != nil || gone {
		t.Errorf("gone %v, %v", gone, err)
	}
	if p := must(f.resource("pods").Get("default", "p")); ptr.Deref(p.GetDeletionGracePeriodSeconds(), 0) != 30 {
		t.Errorf("grace %v", p.GetDeletionGracePeriodSeconds())
	}
}

func TestDeleteShowsWatchersTheLastState(t *testing.T) {
	f := open(t)
	f.create(pod("p"))
	_, changes, err := f.store.SnapshotAndWatch(f.ctx, "pods")
	if err != nil {
		t.Fatal(err)
	}
	f.life(t, f.resource("pods"), "default", "p", []step{{options: grace(0), want: "gone"}})
	events, _, err := changes.Next(f.ctx)
	if err != nil || len(events) != 1 || events[0].Object.GetDeletionTimestamp() == nil {
		t.Errorf("%+v, %v", events, err)
	}
}

func TestNamespaceDeletion(t *testing.T) {
	f := open(t)
	f.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "n"}})
	r := f.resource("namespaces")
	f.life(t, r, "", "n", []step{
		{options: &metav1.DeleteOptions{}, want: "ends +0s"},
		{options: &metav1.DeleteOptions{}, want: "unwritten ends +0s"},
	})
	n := must(r.Get("", "n")).(*corev1.Namespace)
	if n.Status.Phase != corev1.NamespaceTerminating {
		t.Errorf("phase %s", n.Status.Phase)
	}
	_, err := f.tryCreate(inNamespace(configMap("c"), "n"))
	wantError(t, err, `configmaps "c" is forbidden: unable to create new content in namespace n because it is being terminated`)
	if !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		t.Errorf("causes of %#v", err)
	}
	must(registry.For[*corev1.Namespace](f.Registry).UpdateSubresource(f.ctx, "", "n", "finalize", func(n *corev1.Namespace) error {
		n.Spec.Finalizers = nil
		return nil
	}))
	if _, err := r.Get("", "n"); !apierrors.IsNotFound(err) {
		t.Errorf("still there: %v", err)
	}
}

func TestNamespacesThatMayNotBeDeleted(t *testing.T) {
	f := open(t)
	_, _, err := f.resource("namespaces").Delete(f.ctx, "", "default", &metav1.DeleteOptions{}, registry.DeleteOptions{})
	wantError(t, err, `namespaces "default" is forbidden: this namespace may not be deleted`)
}

func TestDeleteCollection(t *testing.T) {
	f := open(t)
	for i := range 50 {
		f.create(configMap(fmt.Sprintf("c%02d", i), "even", fmt.Sprint(i%2 == 0)))
	}
	o := &metav1.DeleteOptions{}
	items, meta, err := f.resource("configmaps").DeleteCollection(f.ctx, "default", o, registry.ListOptions{Labels: selector("even=true")}, registry.DeleteOptions{})
	if err != nil || len(items) != 25 || meta.ResourceVersion == "" {
		t.Fatalf("%d items, %v, %v", len(items), meta, err)
	}
	rest, _, err := f.resource("configmaps").List(f.ctx, "default", registry.ListOptions{})
	if err != nil || len(rest) != 25 {
		t.Errorf("%d left, %v", len(rest), err)
	}
}
