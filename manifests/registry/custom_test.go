package registry_test

import (
	"strings"
	"testing"

	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/yaml"

	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/store"
)

const widgets = `
metadata: {name: widgets.example.com, annotations: {a: b}}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, kind: Widget}
  versions:
  - name: v1
    served: true
    storage: true
    selectableFields: [{jsonPath: .spec.color}]
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {color: {type: string}}}}}}
  - name: v1beta1
    served: true
    storage: false
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {color: {type: string}, old: {type: string}}}}}}
`

var widgetsResource = schema.GroupResource{Group: "example.com", Resource: "widgets"}

// define stores a definition, and says that it is established as the controller does.
func (f fixture) define(text string) *extv1.CustomResourceDefinition {
	f.t.Helper()
	crd := &extv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict([]byte(text), crd); err != nil {
		f.t.Fatal(err)
	}
	crd = f.create(crd).(*extv1.CustomResourceDefinition)
	out, err := registry.For[*extv1.CustomResourceDefinition](f.Registry).UpdateStatus(f.ctx, "", crd.Name, func(crd *extv1.CustomResourceDefinition) error {
		crd.Status.AcceptedNames = crd.Spec.Names
		crd.Status.Conditions = []extv1.CustomResourceDefinitionCondition{{Type: extv1.Established, Status: extv1.ConditionTrue}}
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

func widget(version, name string, spec map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	u.SetAPIVersion("example.com/" + version)
	u.SetKind("Widget")
	u.SetNamespace("default")
	u.SetName(name)
	return u
}

func TestDefinitionsLiePacked(t *testing.T) {
	f := open(t)
	made := f.define(widgets)
	o, ok := f.store.Get(store.Key{Resource: manifests.CustomResourceDefinitions.String(), Name: made.Name})
	p, packed := o.(*manifests.Packed)
	if !ok || !packed || p.Spec.Versions[0].Schema != nil || len(p.Annotations) > 0 {
		t.Fatalf("stored as %T", o)
	}
	got, err := f.resource("customresourcedefinitions.apiextensions.k8s.io").Get("", made.Name)
	if err != nil {
		t.Fatal(err)
	}
	crd := got.(*extv1.CustomResourceDefinition)
	if crd.Spec.Versions[0].Schema == nil || crd.Annotations["a"] != "b" || crd.ResourceVersion != p.ResourceVersion || crd.Spec.Names.ListKind != "WidgetList" {
		t.Errorf("%+v", crd)
	}
	whole, err := p.Metadata()
	if err != nil || whole.Annotations["a"] != "b" || whole.UID != made.UID {
		t.Errorf("%+v, %v", whole, err)
	}
	if crd.Generation != 1 || len(crd.Status.StoredVersions) != 1 {
		t.Errorf("generation %d, stored versions %v", crd.Generation, crd.Status.StoredVersions)
	}
}

func TestCustomResources(t *testing.T) {
	f := open(t)
	if f.Custom(widgetsResource, "v1") != nil || f.Resource(widgetsResource) != nil {
		t.Fatal("there is a resource before its definition")
	}
	f.define(widgets)
	v1, beta := f.Custom(widgetsResource, "v1"), f.Custom(widgetsResource, "v1beta1")
	made, err := beta.Create(f.ctx, "default", widget("v1beta1", "a", map[string]any{"color": "red", "old": "x"}), registry.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if made.(*unstructured.Unstructured).GetAPIVersion() != "example.com/v1beta1" {
		t.Errorf("the answer is of %s", made.(*unstructured.Unstructured).GetAPIVersion())
	}
	stored, _ := f.store.Get(store.Key{Resource: "widgets.example.com", Namespace: "default", Name: "a"})
	if u := stored.(*unstructured.Unstructured); u.GetAPIVersion() != "example.com/v1" {
		t.Errorf("stored as %v", u.Object)
	}
	if _, err := v1.Create(f.ctx, "default", widget("v1", "b", map[string]any{"color": "blue"}), registry.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for color, want := range map[string]string{"red": "a", "blue": "b", "green": ""} {
		items, _, err := v1.List(f.ctx, "default", registry.ListOptions{Fields: fields.OneTermEqualSelector("spec.color", color)})
		var names []string
		for _, o := range items {
			names = append(names, o.GetName())
		}
		if strings.Join(names, " ") != want || err != nil {
			t.Errorf("%s: %v, %v", color, names, err)
		}
	}
	if got := f.CustomKind(schema.GroupVersionKind{Group: "example.com", Version: "v1beta1", Kind: "Widget"}); got == nil || got.GVK.Version != "v1" {
		t.Errorf("the kind is %+v", got)
	}
	if got := f.CustomKind(schema.GroupVersionKind{Group: "example.com", Version: "v2", Kind: "Widget"}); got != nil {
		t.Errorf("a version that is not served is of %v", got.GVK)
	}
}

func TestCustomWatch(t *testing.T) {
	f := open(t)
	f.define(widgets)
	beta := f.Custom(widgetsResource, "v1beta1")
	w, err := beta.Watch(f.ctx, "default", registry.WatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	if _, err := f.Custom(widgetsResource, "v1").Create(f.ctx, "default", widget("v1", "a", map[string]any{}), registry.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	e := <-w.ResultChan()
	if u, ok := e.Object.(*unstructured.Unstructured); e.Type != watch.Added || !ok || u.GetAPIVersion() != "example.com/v1beta1" {
		t.Errorf("%v of %v", e.Type, e.Object)
	}
}

// TestDefinitionDeletion: from the moment at which a definition is deleted, nothing is made of it.
func TestDefinitionDeletion(t *testing.T) {
	f := open(t)
	crd := f.define(widgets)
	kept := f.Custom(widgetsResource, "v1")
	if _, err := kept.Create(f.ctx, "default", widget("v1", "a", nil), registry.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	crds := registry.For[*extv1.CustomResourceDefinition](f.Registry)
	if err := crds.Delete(f.ctx, "", crd.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	got, err := crds.Get("", crd.Name)
	if err != nil || got.DeletionTimestamp == nil || strings.Join(got.Finalizers, " ") != extv1.CustomResourceCleanupFinalizer {
		t.Fatalf("%+v, %v", got, err)
	}
	for _, r := range []*registry.Resource{kept, f.Custom(widgetsResource, "v1")} {
		_, err := r.Create(f.ctx, "default", widget("v1", "b", nil), registry.CreateOptions{})
		if !apierrors.IsMethodNotSupported(err) || err.Error() != "create not allowed while custom resource definition is terminating" {
			t.Errorf("got %v", err)
		}
	}
	if _, gone, err := kept.Delete(f.ctx, "default", "a", nil, registry.DeleteOptions{}); err != nil || !gone {
		t.Errorf("an object can not be deleted any more: %v", err)
	}
	_, err = crds.Update(f.ctx, "", crd.Name, func(crd *extv1.CustomResourceDefinition) error { crd.Finalizers = nil; return nil })
	if err != nil || f.Resource(widgetsResource) != nil {
		t.Errorf("the resource outlives its definition: %v", err)
	}
	if _, err := kept.Create(f.ctx, "default", widget("v1", "b", nil), registry.CreateOptions{}); !apierrors.IsMethodNotSupported(err) {
		t.Errorf("who has kept the resource can create: %v", err)
	}
}

func TestDefinitionsThatAreRefused(t *testing.T) {
	f := open(t)
	for name, test := range map[string]struct{ from, to, want string }{
		"webhook":        {"scope:", `conversion: {strategy: Webhook, webhook: {conversionReviewVersions: [v1], clientConfig: {url: "https://example.com"}}}` + "\n  scope:", `spec.conversion.strategy: Unsupported value: "Webhook": supported values: "None"`},
		"not structural": {"color: {type: string}, old", "color: {}, old", "spec.versions[1].schema.openAPIV3Schema.properties[spec].properties[color].type: Required value: must not be empty for specified object fields"},
		"no storage":     {"storage: true", "storage: false", "must have exactly one version marked as storage version"},
		"name":           {"name: widgets.example.com", "name: widgets.example.org", "must be spec.names.plural+\".\"+spec.group"},
	} {
		t.Run(name, func(t *testing.T) {
			crd := &extv1.CustomResourceDefinition{}
			if err := yaml.UnmarshalStrict([]byte(strings.Replace(widgets, test.from, test.to, 1)), crd); err != nil {
				t.Fatal(err)
			}
			if _, err := f.in(t).tryCreate(crd); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// TestRestart: custom resources are there before what defines them is read.
func TestCustomResourcesAfterARestart(t *testing.T) {
	path := t.TempDir() + "/skiff.db"
	at := func(o *store.Options, _ *registry.Options) { o.Path = path }
	t.Run("before", func(t *testing.T) {
		f := open(t, at)
		f.define(strings.Replace(widgets, "kind: Widget", "kind: Widget, shortNames: [w]", 1))
		if _, err := f.Custom(widgetsResource, "v1").Create(f.ctx, "default", widget("v1", "a", map[string]any{"color": "red"}), registry.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("after", func(t *testing.T) {
		s, err := store.Open(store.Options{Path: path, Codec: manifests.StoreCodec(), Indexes: registry.Indexes(), OtherIndexes: registry.OtherIndexes()})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		r := registry.New(registry.Options{Store: s})
		got, err := r.Custom(widgetsResource, "v1").Get("default", "a")
		if err != nil || got.(*unstructured.Unstructured).Object["spec"].(map[string]any)["color"] != "red" {
			t.Errorf("%v, %v", got, err)
		}
		crd, err := registry.For[*extv1.CustomResourceDefinition](r).Get("", "widgets.example.com")
		if err != nil || crd.Spec.Versions[1].Schema == nil || crd.Spec.Names.ShortNames[0] != "w" {
			t.Errorf("%+v, %v", crd, err)
		}
	})
}
