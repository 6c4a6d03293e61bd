package registry_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/store"
)

func TestUpdateConflicts(t *testing.T) {
	f := open(t)
	r := f.resource("configmaps")
	first := f.create(configMap("c"))
	stale := first.GetResourceVersion()
	if _, _, err := r.Update(f.ctx, "default", "c", setData("a", "1"), registry.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	at := func(version string) registry.ChangeFunc {
		return func(current store.Object) (store.Object, error) {
			c := current.DeepCopyObject().(*corev1.ConfigMap)
			c.ResourceVersion = version
			c.Data = map[string]string{"a": "2"}
			return c, nil
		}
	}
	for name, test := range map[string]struct {
		version, want string
	}{
		"stale":         {stale, `Operation cannot be fulfilled on configmaps "c": the object has been modified; please apply your changes to the latest version and try again`},
		"nonsense":      {"abc", `ConfigMap "c" is invalid: metadata.resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax`},
		"unconditional": {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := r.Update(f.ctx, "default", "c", at(test.version), registry.UpdateOptions{})
			wantError(t, err, test.want)
		})
	}
}

func TestUpdatePreconditions(t *testing.T) {
	f := open(t)
	c := f.create(configMap("c"))
	for _, test := range []struct {
		name string
		p    metav1.Preconditions
		want string
	}{
		{"uid", metav1.Preconditions{UID: ptr.To(types.UID("x"))}, `Operation cannot be fulfilled on configmaps "c": Precondition failed: UID in precondition: x, UID in object meta: ` + string(c.GetUID())},
		{"resourceVersion", metav1.Preconditions{ResourceVersion: ptr.To("1")}, `Operation cannot be fulfilled on configmaps "c": Precondition failed: ResourceVersion in precondition: 1, ResourceVersion in object meta: ` + c.GetResourceVersion()},
		{"met", metav1.Preconditions{UID: ptr.To(c.GetUID())}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := f.resource("configmaps").Update(f.ctx, "default", "c", setData("k", test.name), registry.UpdateOptions{Preconditions: &test.p})
			wantError(t, err, test.want)
		})
	}
}

func TestUpdateOfWhatIsNotThere(t *testing.T) {
	f := open(t)
	_, _, err := f.resource("configmaps").Update(f.ctx, "default", "c", named("c"), registry.UpdateOptions{})
	wantError(t, err, `configmaps "c" not found`)

	got, created, err := f.resource("configmaps").Update(f.ctx, "default", "c", named("c"), registry.UpdateOptions{Create: true})
	if err != nil || !created || got.GetUID() == "" {
		t.Errorf("forced: %v, %v, %v", got, created, err)
	}
	_, _, err = f.resource("configmaps").Update(f.ctx, "default", "d", named("d"), registry.UpdateOptions{
		Create: true, Preconditions: &metav1.Preconditions{UID: ptr.To(types.UID("x"))},
	})
	wantError(t, err, `Operation cannot be fulfilled on configmaps "d": Precondition failed: UID in precondition: x, UID in object meta: `)

	endpoints := func(store.Object) (store.Object, error) {
		return &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: "e"}}, nil
	}
	if _, created, err := f.resource("endpoints").Update(f.ctx, "default", "e", endpoints, registry.UpdateOptions{}); err != nil || !created {
		t.Errorf("a kind that can be created by PUT: %v, %v", created, err)
	}
}

func TestUpdateWithoutVersionOfAKindThatRequiresOne(t *testing.T) {
	f := open(t)
	f.create(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "l"}})
	_, _, err := f.resource("leases.coordination.k8s.io").Update(f.ctx, "default", "l", func(current store.Object) (store.Object, error) {
		l := current.DeepCopyObject().(*coordinationv1.Lease)
		l.ResourceVersion = ""
		return l, nil
	}, registry.UpdateOptions{})
	wantError(t, err, `leases.coordination.k8s.io "l" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update`)
}

func TestNoOpUpdateWritesNothing(t *testing.T) {
	f := open(t)
	c := configMap("c")
	c.ManagedFields = []metav1.ManagedFieldsEntry{{
		Manager: "kubectl", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", FieldsType: "FieldsV1",
		Time: &metav1.Time{Time: began}, FieldsV1: metav1.NewFieldsV1(`{"f:data":{}}`),
	}}
	c.Data = map[string]string{"k": "v"}
	first := f.create(c)
	before := f.revision()
	for name, change := range map[string]registry.ChangeFunc{
		"the same": setData("k", "v"),
		"the time of a managed field": func(current store.Object) (store.Object, error) {
			c := current.DeepCopyObject().(*corev1.ConfigMap)
			c.ManagedFields[0].Time = &metav1.Time{Time: began.Add(1e9)}
			return c, nil
		},
		"its type named": func(current store.Object) (store.Object, error) {
			c := current.DeepCopyObject().(*corev1.ConfigMap)
			c.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}
			return c, nil
		},
		"without a version": func(current store.Object) (store.Object, error) {
			c := current.DeepCopyObject().(*corev1.ConfigMap)
			c.ResourceVersion, c.UID, c.CreationTimestamp = "", "", metav1.Time{}
			return c, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := f.resource("configmaps").Update(f.ctx, "default", "c", change, registry.UpdateOptions{})
			if err != nil || got != first || f.revision() != before {
				t.Errorf("%v, %v, revision %d, was %d", got, err, f.revision(), before)
			}
		})
	}
}

func TestUpdateKeepsWhatIsNotTheClients(t *testing.T) {
	f := open(t)
	first := f.create(pod("p"))
	got, _, err := f.resource("pods").Update(f.ctx, "default", "p", func(current store.Object) (store.Object, error) {
		p := current.DeepCopyObject().(*corev1.Pod)
		p.UID, p.CreationTimestamp, p.Generation = "", metav1.Time{}, 77
		p.Labels = map[string]string{"a": "b"}
		p.Status.Phase = corev1.PodRunning
		return p, nil
	}, registry.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p := got.(*corev1.Pod)
	if p.UID != first.GetUID() || !p.CreationTimestamp.Time.Equal(began) || p.Generation != 1 || p.Status.Phase != corev1.PodPending {
		t.Errorf("got %+v %+v", p.ObjectMeta, p.Status)
	}
	if p.Labels["a"] != "b" {
		t.Error("the change is lost")
	}
}

func TestGeneration(t *testing.T) {
	f := open(t)
	f.create(replicationController("rc"))
	r := f.resource("replicationcontrollers")
	steps := []struct {
		name, subresource string
		change            func(*corev1.ReplicationController)
		want              int64
	}{
		{"label", "", func(rc *corev1.ReplicationController) { rc.Labels = map[string]string{"a": "b"} }, 1},
		{"spec", "", func(rc *corev1.ReplicationController) { rc.Spec.Replicas = ptr.To[int32](5) }, 2},
		{"status of the object", "", func(rc *corev1.ReplicationController) { rc.Status.Replicas = 3 }, 2},
		{"status", "status", func(rc *corev1.ReplicationController) { rc.Status.Replicas = 3 }, 2},
		{"spec of the status", "status", func(rc *corev1.ReplicationController) { rc.Spec.Replicas = ptr.To[int32](9) }, 2},
		{"generation", "", func(rc *corev1.ReplicationController) { rc.Generation = 9 }, 2},
	}
	for _, step := range steps {
		got, _, err := r.Update(f.ctx, "default", "rc", func(current store.Object) (store.Object, error) {
			rc := current.DeepCopyObject().(*corev1.ReplicationController)
			step.change(rc)
			return rc, nil
		}, registry.UpdateOptions{Subresource: step.subresource})
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got.GetGeneration() != step.want {
			t.Errorf("%s: generation %d, want %d", step.name, got.GetGeneration(), step.want)
		}
	}
	rc := must(r.Get("default", "rc")).(*corev1.ReplicationController)
	if *rc.Spec.Replicas != 5 || rc.Status.Replicas != 3 {
		t.Errorf("replicas %d, status %d", *rc.Spec.Replicas, rc.Status.Replicas)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func replicationController(name string) *corev1.ReplicationController {
	labels := map[string]string{"app": name}
	return &corev1.ReplicationController{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: corev1.ReplicationControllerSpec{
			Replicas: ptr.To[int32](3),
			Selector: labels,
			Template: &corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "kubia"}}},
			},
		},
	}
}

func TestUpdateOfAnUnknownSubresource(t *testing.T) {
	f := open(t)
	f.create(configMap("c"))
	_, _, err := f.resource("configmaps").Update(f.ctx, "default", "c", setData("a", "b"), registry.UpdateOptions{Subresource: "status"})
	wantError(t, err, `ConfigMap "c" is invalid: <nil>: Internal error: no rules for an update of subresource "status"`)
}

func TestRacingUpdatesAllApply(t *testing.T) {
	f := open(t)
	f.create(configMap("c"))
	client := registry.For[*corev1.ConfigMap](f.Registry)
	var writers sync.WaitGroup
	for i := range 20 {
		writers.Go(func() {
			if _, err := client.Update(f.ctx, "default", "c", func(c *corev1.ConfigMap) error {
				if c.Data == nil {
					c.Data = map[string]string{}
				}
				c.Data[fmt.Sprint(i)] = "here"
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	c, err := client.Get("default", "c")
	if err != nil || len(c.Data) != 20 {
		t.Errorf("%d of 20 changes, %v", len(c.Data), err)
	}
}

func TestUpdateIsTriedAgainAfterAnotherWriter(t *testing.T) {
	f := open(t)
	f.create(configMap("c"))
	client := registry.For[*corev1.ConfigMap](f.Registry)
	calls := 0
	got, err := client.Update(f.ctx, "default", "c", func(c *corev1.ConfigMap) error {
		if calls++; calls == 1 {
			must(client.Update(f.ctx, "default", "c", func(c *corev1.ConfigMap) error {
				c.Data = map[string]string{"other": "1"}
				return nil
			}))
		}
		c.Labels = map[string]string{"mine": "1"}
		return nil
	})
	if err != nil || calls != 2 || got.Data["other"] != "1" || got.Labels["mine"] != "1" {
		t.Errorf("%d calls, %v, %v", calls, got, err)
	}
	// The one who brought a version is told instead.
	calls = 0
	version := got.ResourceVersion
	_, _, err = f.resource("configmaps").Update(f.ctx, "default", "c", func(current store.Object) (store.Object, error) {
		if calls++; calls == 1 {
			must(client.Update(f.ctx, "default", "c", func(c *corev1.ConfigMap) error {
				c.Data = map[string]string{"other": "2"}
				return nil
			}))
		}
		c := configMap("c", "mine", "2")
		c.ResourceVersion = version
		return c, nil
	}, registry.UpdateOptions{})
	if !apierrors.IsConflict(err) || calls != 2 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

func TestClientNeverCreatesByUpdate(t *testing.T) {
	f := open(t)
	_, err := registry.For[*coordinationv1.Lease](f.Registry).Update(f.ctx, "default", "l", func(*coordinationv1.Lease) error { return nil })
	wantError(t, err, `leases.coordination.k8s.io "l" not found`)
}

func TestUpdateValidationMayRefuse(t *testing.T) {
	f := open(t)
	f.create(configMap("c"))
	before := f.revision()
	refuse := errors.New("not today")
	_, _, err := f.resource("configmaps").Update(f.ctx, "default", "c", setData("k", "v"), registry.UpdateOptions{
		ValidateUpdate: func(_ context.Context, obj, old store.Object) error {
			if obj.(*corev1.ConfigMap).Data["k"] != "v" || old.(*corev1.ConfigMap).Data["k"] != "" {
				t.Errorf("sees %v, was %v", obj, old)
			}
			return refuse
		},
	})
	if !errors.Is(err, refuse) || f.revision() != before {
		t.Errorf("error %v, revision %d, was %d", err, f.revision(), before)
	}
}

func TestNamespaceFinalizersAreItsSubresource(t *testing.T) {
	f := open(t)
	client := registry.For[*corev1.Namespace](f.Registry)
	drop := func(n *corev1.Namespace) error { n.Spec.Finalizers = nil; return nil }
	if n := must(client.Update(f.ctx, "", "default", drop)); len(n.Spec.Finalizers) != 1 {
		t.Errorf("an update took the finalizers: %v", n.Spec)
	}
	if n := must(client.UpdateSubresource(f.ctx, "", "default", manifests.SubresourceFinalize, drop)); len(n.Spec.Finalizers) != 0 {
		t.Errorf("finalize left the finalizers: %v", n.Spec)
	}
}
