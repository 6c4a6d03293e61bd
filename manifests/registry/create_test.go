package registry_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/manifests/registry"
	"skiff/store"
)

func TestCreateFillsInMetadata(t *testing.T) {
	f := open(t)
	got := f.create(pod("a", func(p *corev1.Pod) {
		p.UID = "mine"
		p.DeletionTimestamp = &metav1.Time{Time: began}
		p.Status.Phase = corev1.PodRunning
	})).(*corev1.Pod)
	if got.UID == "" || got.UID == "mine" {
		t.Errorf("UID %q is not the server's", got.UID)
	}
	if !got.CreationTimestamp.Time.Equal(began) || got.DeletionTimestamp != nil {
		t.Errorf("created %v, deleted %v", got.CreationTimestamp, got.DeletionTimestamp)
	}
	if got.ResourceVersion == "" || got.Generation != 1 {
		t.Errorf("resourceVersion %q, generation %d", got.ResourceVersion, got.Generation)
	}
	if got.Status.Phase != corev1.PodPending || got.Status.QOSClass != corev1.PodQOSBestEffort {
		t.Errorf("status %+v", got.Status)
	}
	stored, err := f.resource("pods").Get("default", "a")
	if err != nil || stored != store.Object(got) {
		t.Errorf("Get: %v, %v; want the very object that was returned", stored, err)
	}
}

func TestCreateErrors(t *testing.T) {
	f := open(t)
	f.create(configMap("taken"))
	f.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "going", Finalizers: []string{"a/b"}}})
	if _, _, err := f.resource("configmaps").Delete(f.ctx, "default", "going", nil, registry.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		obj  store.Object
		want string
	}{
		"taken":        {configMap("taken"), `configmaps "taken" already exists`},
		"going":        {configMap("going"), `object is being deleted: configmaps "going" already exists`},
		"no name":      {configMap(""), `ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required`},
		"bad name":     {configMap("No"), `ConfigMap "No" is invalid: metadata.name: Invalid value: "No": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`},
		"versioned":    {withVersion(configMap("v"), "5"), "resourceVersion should not be set on objects to be created"},
		"no namespace": {inNamespace(configMap("c"), "nowhere"), `namespaces "nowhere" not found`},
		"invalid":      {pod("p", func(p *corev1.Pod) { p.Spec.Containers = nil }), `Pod "p" is invalid: spec.containers: Required value`},
	} {
		t.Run(name, func(t *testing.T) {
			before := f.revision()
			_, err := f.tryCreate(test.obj)
			wantError(t, err, test.want)
			if f.revision() != before {
				t.Error("something was written")
			}
		})
	}
}

func withVersion(obj *corev1.ConfigMap, version string) *corev1.ConfigMap {
	obj.ResourceVersion = version
	return obj
}

func inNamespace(obj *corev1.ConfigMap, namespace string) *corev1.ConfigMap {
	obj.Namespace = namespace
	return obj
}

func TestCreateInAnotherNamespaceThanTheRequest(t *testing.T) {
	f := open(t)
	_, err := f.resource("configmaps").Create(f.ctx, "default", inNamespace(configMap("c"), "other"), registry.CreateOptions{})
	wantError(t, err, "the namespace of the provided object does not match the namespace sent on the request")
}

func TestGenerateName(t *testing.T) {
	f := open(t)
	names := map[string]bool{}
	for range 20 {
		c := configMap("")
		c.GenerateName = "kubia-"
		got := f.create(c)
		if !strings.HasPrefix(got.GetName(), "kubia-") || len(got.GetName()) != len("kubia-")+5 {
			t.Errorf("name %q", got.GetName())
		}
		names[got.GetName()] = true
	}
	if len(names) != 20 {
		t.Errorf("%d names for 20 objects", len(names))
	}
}

func TestGenerateNameThatIsTaken(t *testing.T) {
	f := open(t)
	r := f.resource("configmaps")
	c := configMap("")
	c.GenerateName = "kubia-"
	// Somebody else stores an object of the generated name before this one is.
	_, err := r.Create(f.ctx, "default", c, registry.CreateOptions{Validate: func(_ context.Context, obj store.Object) error {
		key := store.Key{Resource: "configmaps", Namespace: "default", Name: obj.GetName()}
		_, err := f.store.Commit(f.ctx, store.Change{Key: key, Object: configMap(obj.GetName())})
		return err
	}})
	if !apierrors.IsAlreadyExists(err) || !strings.HasSuffix(err.Error(), "already exists, the server was not able to generate a unique name for the object") {
		t.Errorf("error %v", err)
	}
}

func TestDryRunWritesNothing(t *testing.T) {
	f := open(t)
	r := f.resource("configmaps")
	f.create(configMap("there"))
	before := f.revision()

	got, err := r.Create(f.ctx, "default", configMap("c"), registry.CreateOptions{DryRun: true})
	if err != nil || got.GetUID() == types.UID("") {
		t.Errorf("create: %v, %v", got, err)
	}
	_, err = r.Create(f.ctx, "default", configMap("there"), registry.CreateOptions{DryRun: true})
	wantError(t, err, `configmaps "there" already exists`)

	got, _, err = r.Update(f.ctx, "default", "there", setData("k", "v"), registry.UpdateOptions{DryRun: true})
	if err != nil || got.(*corev1.ConfigMap).Data["k"] != "v" {
		t.Errorf("update: %v, %v", got, err)
	}
	got, created, err := r.Update(f.ctx, "default", "new", named("new"), registry.UpdateOptions{DryRun: true, Create: true})
	if err != nil || !created || got.GetName() != "new" {
		t.Errorf("apply: %v, %v, %v", got, created, err)
	}
	_, gone, err := r.Delete(f.ctx, "default", "there", &metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}, registry.DeleteOptions{})
	if err != nil || !gone {
		t.Errorf("delete: %v, %v", gone, err)
	}
	if f.revision() != before {
		t.Errorf("revision %d became %d", before, f.revision())
	}
}

// setData is a change of a config map that leaves its version in place.
func setData(key, value string) registry.ChangeFunc {
	return func(current store.Object) (store.Object, error) {
		c := current.DeepCopyObject().(*corev1.ConfigMap)
		if c.Data == nil {
			c.Data = map[string]string{}
		}
		c.Data[key] = value
		return c, nil
	}
}

// named is a change that brings an object of its own.
func named(name string) registry.ChangeFunc {
	return func(store.Object) (store.Object, error) { return configMap(name), nil }
}

func TestCreateValidationMayRefuse(t *testing.T) {
	f := open(t)
	before := f.revision()
	refuse := errors.New("not today")
	_, err := f.resource("configmaps").Create(f.ctx, "default", configMap("c"), registry.CreateOptions{
		Validate: func(_ context.Context, obj store.Object) error {
			if obj.GetUID() == "" {
				t.Error("validation does not see the object as it would be stored")
			}
			return refuse
		},
	})
	if !errors.Is(err, refuse) || f.revision() != before {
		t.Errorf("error %v, revision %d, was %d", err, f.revision(), before)
	}
}
