package registry_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"

	"skiff/manifests/registry"
	"skiff/store"
)

func TestClientReads(t *testing.T) {
	f := open(t)
	owner := f.create(replicationController("rc"))
	owned := func(p *corev1.Pod) {
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ReplicationController", Name: "rc", UID: owner.GetUID(), Controller: ptr.To(true)}}
		p.Labels = map[string]string{"app": "rc"}
	}
	f.create(pod("b", owned))
	f.create(pod("a", owned))
	f.create(pod("lone"))
	pods := registry.For[*corev1.Pod](f.Registry)
	names := func(pods []*corev1.Pod) string {
		var out string
		for _, p := range pods {
			out += p.Name + " "
		}
		return out
	}
	for name, test := range map[string]struct{ got, want string }{
		"all":           {names(pods.List("", nil)), "a b lone "},
		"selected":      {names(pods.List("default", selector("app=rc"))), "a b "},
		"elsewhere":     {names(pods.List("other", nil)), ""},
		"by controller": {names(pods.ByIndex(registry.IndexController, string(owner.GetUID()))), "a b "},
		"by none":       {names(pods.ByIndex(registry.IndexController, "")), "lone "},
		"by owner":      {names(pods.ByIndex(registry.IndexOwner, string(owner.GetUID()))), "a b "},
		"unscheduled":   {names(pods.ByIndex(registry.IndexNode, "")), "a b lone "},
	} {
		if test.got != test.want {
			t.Errorf("%s: got %q, want %q", name, test.got, test.want)
		}
	}
	if _, err := pods.Get("default", "missing"); !apierrors.IsNotFound(err) {
		t.Errorf("error %v", err)
	}
}

func TestClientWrites(t *testing.T) {
	f := open(t)
	pods := registry.For[*corev1.Pod](f.Registry)
	created, err := pods.Create(f.ctx, pod("p"))
	if err != nil {
		t.Fatal(err)
	}
	updated, err := pods.UpdateStatus(f.ctx, "default", "p", func(p *corev1.Pod) error {
		p.Status.Phase = corev1.PodRunning
		return nil
	})
	if err != nil || updated.Status.Phase != corev1.PodRunning || created.Status.Phase != corev1.PodPending {
		t.Errorf("%v, was %v, %v", updated.Status.Phase, created.Status.Phase, err)
	}
	refuse := errors.New("not today")
	if _, err := pods.Update(f.ctx, "default", "p", func(*corev1.Pod) error { return refuse }); !errors.Is(err, refuse) {
		t.Errorf("error %v", err)
	}
	if err := pods.Delete(f.ctx, "default", "p", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	if err := pods.Delete(f.ctx, "default", "p", metav1.DeleteOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("error %v", err)
	}
}

func TestClientWritesHaveDefaults(t *testing.T) {
	f := open(t)
	pods := registry.For[*corev1.Pod](f.Registry)
	p, err := pods.Create(f.ctx, pod("p", func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if p.Spec.RestartPolicy != corev1.RestartPolicyAlways || p.Spec.Containers[0].Resources.Requests.Cpu().String() != "1" {
		t.Errorf("%+v", p.Spec)
	}
	p, err = pods.Update(f.ctx, "default", "p", func(p *corev1.Pod) error {
		p.Spec.Tolerations = append(p.Spec.Tolerations, corev1.Toleration{Key: "k", Operator: corev1.TolerationOpExists})
		return nil
	})
	if err != nil || len(p.Spec.Tolerations) != 3 {
		t.Errorf("%v, %v", p, err)
	}
}

func TestClientEvents(t *testing.T) {
	f := open(t)
	f.create(configMap("a"))
	present, changes, err := registry.For[*corev1.ConfigMap](f.Registry).Events(f.ctx)
	if err != nil || len(present) != 1 || present[0].Name != "a" {
		t.Fatalf("%v, %v", present, err)
	}
	f.create(configMap("b"))
	events, _, err := changes.Next(f.ctx)
	if err != nil || len(events) != 1 || events[0].Type != watch.Added || events[0].Object.GetName() != "b" {
		t.Errorf("%v, %v", events, err)
	}
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	if _, _, err := registry.For[*corev1.ConfigMap](f.Registry).Events(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestClientOfATypeThatIsNotServed(t *testing.T) {
	f := open(t)
	defer func() {
		if got := fmt.Sprint(recover()); got != "registry: *v1.Binding is not the type of a served kind" {
			t.Errorf("panic %q", got)
		}
	}()
	registry.For[*corev1.Binding](f.Registry)
}

func TestAdmissionMayChangeAndRefuse(t *testing.T) {
	f := open(t, func(_ *store.Options, o *registry.Options) { o.Admission = []registry.Admitter{stamp{}} })
	c := f.create(configMap("c"))
	if c.GetAnnotations()["stamp"] != "CREATE c" {
		t.Errorf("annotations %v", c.GetAnnotations())
	}
	c, _, err := f.resource("configmaps").Update(f.ctx, "default", "c", setData("a", "b"), registry.UpdateOptions{})
	if err != nil || c.GetAnnotations()["stamp"] != "UPDATE c" {
		t.Errorf("annotations %v, %v", c.GetAnnotations(), err)
	}
	_, err = f.tryCreate(configMap("refused"))
	wantError(t, err, "refused")
	_, _, err = f.resource("configmaps").Delete(f.ctx, "default", "c", nil, registry.DeleteOptions{})
	wantError(t, err, "it stays")
}

// stamp notes on each object what was done to it, and lets none go.
type stamp struct{}

func (stamp) Admit(_ context.Context, r registry.Request) error {
	switch {
	case r.Operation == registry.Delete:
		return errors.New("it stays")
	case r.Name == "refused":
		return errors.New("refused")
	}
	r.Object.SetAnnotations(map[string]string{"stamp": fmt.Sprintf("%s %s", r.Operation, r.Name)})
	return nil
}
