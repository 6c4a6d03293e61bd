package custom

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/yaml"

	"skiff/manifests"
)

const widgets = `
metadata: {name: widgets.example.com, uid: u}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, listKind: WidgetList}
  conversion: {strategy: None}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas, labelSelectorPath: .status.selector}
    selectableFields: [{jsonPath: .spec.color}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [size]
            x-kubernetes-validations: [{rule: "self.size <= self.max", message: size must not exceed max}]
            properties:
              size: {type: integer, minimum: 1}
              max: {type: integer, default: 10}
              color: {type: string, enum: [blue, red]}
              label: {type: string, maxLength: 3}
              replicas: {type: integer}
              loose: {type: object, x-kubernetes-preserve-unknown-fields: true}
              parts:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items: {type: object, required: [name], properties: {name: {type: string}}}
          status:
            type: object
            properties: {replicas: {type: integer}, selector: {type: string}, phase: {type: string, enum: [Up]}}
  - name: v1beta1
    served: true
    storage: false
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {size: {type: integer}, color: {type: string}, old: {type: string, default: "yes"}}}
  - name: v1alpha1
    served: false
    storage: false
    schema: {openAPIV3Schema: {type: object}}
status:
  acceptedNames: {plural: widgets, singular: widget, kind: Widget, listKind: WidgetList}
`

type bench struct {
	*Definition
	clock    *testingclock.FakeClock
	unpacked int
}

// define makes a definition, changed by edit, of widgets.
func define(t *testing.T, edit func(*extv1.CustomResourceDefinition), webhook Webhook) *bench {
	t.Helper()
	crd := &extv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict([]byte(widgets), crd); err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		edit(crd)
	}
	b := &bench{clock: testingclock.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))}
	var err error
	b.Definition, err = New(Options{
		CRD: crd, Revision: 100, Clock: b.clock, Webhook: webhook,
		Whole: func() (*extv1.CustomResourceDefinition, error) { b.unpacked++; return crd.DeepCopy(), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	raw, err := yaml.YAMLToJSON([]byte("{apiVersion: example.com/v1, kind: Widget, metadata: {name: a, namespace: default}, " + text + "}"))
	if err != nil {
		t.Fatal(err)
	}
	if err := u.UnmarshalJSON(raw); err != nil {
		t.Fatal(err)
	}
	return u
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got\n%v\nwant\n%v", what, got, want)
	}
}

func said(review manifests.Review) string {
	var all []string
	for _, e := range review.Errors {
		all = append(all, e.Error())
	}
	return strings.Join(append(all, review.Warnings...), "\n")
}

func TestVersions(t *testing.T) {
	b := define(t, nil, nil)
	var names []string
	for _, v := range b.Versions {
		names = append(names, v.GVK.String())
	}
	same(t, "versions", names, []string{"example.com/v1, Kind=Widget", "example.com/v1beta1, Kind=Widget"})
	if b.Stored != b.Served("v1") || b.Served("v1alpha1") != nil || b.Served("v9") != nil {
		t.Error("the wrong versions are stored or served")
	}
	if _, err := New(Options{CRD: &extv1.CustomResourceDefinition{}, Clock: b.clock}); err == nil {
		t.Error("a definition without a storage version can be made")
	}
	if b.unpacked > 0 {
		t.Error("schemas were unpacked before anybody asked for them")
	}
}

func TestCoerceAndDefault(t *testing.T) {
	v := define(t, nil, nil).Stored
	u := object(t, `spec: {size: 1, nope: 1, loose: {any: 1}, parts: [{name: a, weight: 2}], color: null}, extra: 1`)
	unknown, err := v.Coerce(u, Strictness{Paths: true})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "unknown fields", fmt.Sprint(unknown), "[extra spec.nope spec.parts[0].weight]")
	v.Default(u)
	same(t, "object", u.Object["spec"], any(map[string]any{
		"size": int64(1), "max": int64(10), "loose": map[string]any{"any": int64(1)}, "parts": []any{map[string]any{"name": "a"}},
	}))
	bad := object(t, `spec: {size: 1}`)
	bad.Object["metadata"].(map[string]any)["labels"] = "none"
	if _, err := v.Coerce(bad.DeepCopy(), Strictness{}); err == nil {
		t.Error("metadata that is none is taken")
	}
	if _, err := v.Coerce(bad, Strictness{Repair: true}); err != nil || bad.GetGeneration() != 1 || len(bad.GetLabels()) > 0 {
		t.Errorf("what is stored is not repaired: %v, %v", err, bad.Object["metadata"])
	}
}

func TestCreate(t *testing.T) {
	b := define(t, nil, nil)
	for name, test := range map[string]struct{ spec, want string }{
		"valid":       {`spec: {size: 2}`, ""},
		"required":    {`spec: {color: red}`, "spec.size: Required value\n<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation"},
		"minimum":     {`spec: {size: 0}`, "spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1"},
		"expression":  {`spec: {size: 11}`, "spec: Invalid value: size must not exceed max"},
		"enumeration": {`spec: {size: 1, color: pink}`, `spec.color: Unsupported value: "pink": supported values: "blue", "red"` + "\n" + `<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation`},
		"twice":       {`spec: {size: 1, parts: [{name: a}, {name: a}]}`, `spec.parts[1]: Duplicate value: {"name":"a"}`},
		"replicas":    {`spec: {size: 1, replicas: -1}`, ".spec.replicas: Invalid value: -1: should be a non-negative integer"},
		"finalizer":   {`spec: {size: 1}, metadata: {name: a, namespace: default, finalizers: [mine]}`, `metadata.finalizers: "mine": prefer a domain-qualified finalizer name to avoid accidental conflicts with other finalizer writers`},
		"kind":        {`kind: Gadget, spec: {size: 1}`, `kind: Invalid value: "Gadget": must be Widget`},
		"name":        {`spec: {size: 1}, metadata: {name: A_, namespace: default}`, `metadata.name: Invalid value: "A_": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`},
	} {
		t.Run(name, func(t *testing.T) {
			u := object(t, test.spec+`, status: {phase: Up}`)
			same(t, "review", said(b.Stored.Create(context.Background(), u)), test.want)
			if _, has := u.Object["status"]; has || u.GetGeneration() != 1 {
				t.Error("a create sets the status, or not the generation")
			}
		})
	}
}

func TestUpdate(t *testing.T) {
	b := define(t, nil, nil)
	at := func(u *unstructured.Unstructured) *unstructured.Unstructured {
		u.SetResourceVersion("7")
		u.SetGeneration(3)
		return u
	}
	for name, test := range map[string]struct {
		old, now, sub, want string
		generation          int64
	}{
		"same":                {`spec: {size: 1, max: 10}`, `spec: {size: 1}`, "", "", 3},
		"changed":             {`spec: {size: 1}`, `spec: {size: 2}`, "", "", 4},
		"was wrong and stays": {`spec: {size: 1, max: 10, label: long}`, `spec: {size: 2, max: 10, label: long}`, "", "", 4},
		"was wrong, is wrong otherwise": {`spec: {size: 1, label: long}`, `spec: {size: 1, label: longer}`, "",
			"spec.label: Too long: may not be more than 3 bytes\n<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation", 4},
		"status":              {`spec: {size: 1, max: 10}`, `spec: {size: 9}, status: {phase: Up}`, "status", "", 3},
		"status that is none": {`spec: {size: 1, max: 10}`, `status: {phase: Down}`, "status", `status.phase: Unsupported value: "Down": supported values: "Up"` + "\n" + `<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation`, 3},
	} {
		t.Run(name, func(t *testing.T) {
			old, u := at(object(t, test.old)), at(object(t, test.now))
			before := old.DeepCopy()
			got := said(b.Stored.Update(context.Background(), u, old, test.sub))
			same(t, "review", got, test.want)
			same(t, "generation", u.GetGeneration(), test.generation)
			same(t, "old object", old.Object, before.Object)
			if test.sub == "status" {
				same(t, "specification", u.Object["spec"], old.Object["spec"])
			} else if _, has := u.Object["status"]; has {
				t.Error("the status was written")
			}
		})
	}
}

func TestScale(t *testing.T) {
	s := define(t, nil, nil).Stored.Kind.Scale
	u := object(t, `spec: {size: 1, replicas: 2}, status: {replicas: 1, selector: a=b}`)
	scale := s.Get(u)
	if scale.Spec.Replicas != 2 || scale.Status.Replicas != 1 || scale.Status.Selector != "a=b" || s.Missing(u) != nil {
		t.Errorf("%+v", scale)
	}
	s.Set(u, 5)
	same(t, "replicas", s.Get(u).Spec.Replicas, int32(5))
	same(t, "path", s.ReplicasPath.String(), ".spec.replicas")
	if err := s.Missing(object(t, `spec: {size: 1}`)); err == nil {
		t.Error("a count that is not there is not missed")
	}
}

func TestFields(t *testing.T) {
	v := define(t, nil, nil).Stored
	same(t, "fields", v.Fields(object(t, `spec: {color: red}`)), fields.Fields(fields.Set{"metadata.name": "a", "metadata.namespace": "default", "spec.color": "red"}))
	same(t, "fields", v.Fields(object(t, `spec: 1`)), fields.Fields(fields.Set{"metadata.name": "a", "metadata.namespace": "default", "spec.color": ""}))
	for path, want := range map[string]string{
		".spec.a": "spec|a", ".spec['a.b'].c": "spec|a.b|c", "['x']": "x", ".a[0]": "a", "": "",
	} {
		same(t, path, strings.Join(steps(path), "|"), want)
	}
}

func TestLoadAndSave(t *testing.T) {
	b := define(t, nil, nil)
	stored := object(t, `spec: {size: 1}`)
	stored.SetResourceVersion("101")
	if got, err := b.Stored.Load(stored); err != nil || got != manifests.Object(stored) {
		t.Errorf("what is stored since the definition is as it is is not taken as it is: %v", err)
	}
	old := object(t, `spec: {size: 1, nope: 1}`)
	old.SetResourceVersion("99")
	got, err := b.Stored.Load(old)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "older object", content(got)["spec"], any(map[string]any{"size": int64(1), "max": int64(10)}))
	if _, kept, _ := unstructured.NestedInt64(old.Object, "spec", "nope"); !kept {
		t.Error("the stored object was changed")
	}
	beta, err := b.Served("v1beta1").Load(stored)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "version", content(beta)["apiVersion"], any("example.com/v1beta1"))
	saved, err := b.Served("v1beta1").Save(object(t, `apiVersion: example.com/v1beta1, spec: {size: 1, old: "no"}`))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "saved", content(saved)["spec"], any(map[string]any{"size": int64(1)}))
	same(t, "saved version", content(saved)["apiVersion"], any("example.com/v1"))
	saved, err = b.Stored.Save(object(t, `spec: {size: 1, nope: 1}`))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "pruned", content(saved)["spec"], any(map[string]any{"size": int64(1)}))
	odd := object(t, `spec: {size: 1}`)
	odd.Object["metadata"].(map[string]any)["nope"] = "x"
	if saved, err = b.Stored.Save(odd); err != nil {
		t.Fatal(err)
	}
	same(t, "metadata", content(saved)["metadata"], any(map[string]any{"name": "a", "namespace": "default"}))
	odd.Object["metadata"].(map[string]any)["labels"] = map[string]any{"a": int64(1)}
	if _, err := b.Stored.Save(odd); err == nil {
		t.Error("labels that are none are stored")
	}
}

func TestConvertor(t *testing.T) {
	b := define(t, nil, nil)
	c := Convertor{Def: b.Definition, Scheme: manifests.Scheme()}
	in := object(t, `spec: {size: 1}`)
	out, err := c.ConvertToVersion(in, schema.GroupVersion{Group: "example.com", Version: "v1beta1"})
	if err != nil || out.GetObjectKind().GroupVersionKind().Version != "v1beta1" || in.GetAPIVersion() != "example.com/v1" {
		t.Errorf("%v, %v", out, err)
	}
	for _, gv := range []schema.GroupVersion{{Group: "example.com", Version: "v9"}, {Group: "other.com", Version: "v1"}} {
		if _, err := c.ConvertToVersion(in, gv); err == nil {
			t.Errorf("an object can be of %s", gv)
		}
	}
	for label, ok := range map[string]bool{"metadata.name": true, "metadata.namespace": true, "spec.color": true, "spec.size": false} {
		if _, _, err := c.ConvertFieldLabel(b.Stored.GVK, label, ""); (err == nil) != ok {
			t.Errorf("%s: %v", label, err)
		}
	}
}

func TestReleaseUnused(t *testing.T) {
	b := define(t, nil, nil)
	b.Stored.Create(context.Background(), object(t, `spec: {size: 1}`))
	made := b.unpacked
	b.Stored.Create(context.Background(), object(t, `spec: {size: 1}`))
	same(t, "unpacked for a second write", b.unpacked, made)
	b.clock.Step(4 * time.Minute)
	b.ReleaseUnused(b.clock.Now().Add(-5 * time.Minute))
	b.Stored.Create(context.Background(), object(t, `spec: {size: 1}`))
	same(t, "unpacked while in use", b.unpacked, made)
	b.clock.Step(6 * time.Minute)
	b.ReleaseUnused(b.clock.Now().Add(-5 * time.Minute))
	same(t, "review", said(b.Stored.Create(context.Background(), object(t, `spec: {size: 11}`))), "spec: Invalid value: size must not exceed max")
	same(t, "unpacked again", b.unpacked, 2*made)
}

// webhookFunc is a Webhook.
type webhookFunc func(review *extv1.ConversionReview) (*extv1.ConversionReview, error)

func (f webhookFunc) Convert(_ context.Context, _ *extv1.WebhookClientConfig, review *extv1.ConversionReview) (*extv1.ConversionReview, error) {
	return f(review)
}

// TestWebhook: what a conversion webhook answers is believed as far as it can be true.
func TestWebhook(t *testing.T) {
	type answer struct {
		response *extv1.ConversionResponse
		object   map[string]any
	}
	for name, test := range map[string]struct {
		lie  func(*answer)
		fail error
		want string
	}{
		"converts":         {func(*answer) {}, nil, ""},
		"is away":          {nil, errors.New("connection refused"), "failed: connection refused"},
		"another UID":      {func(a *answer) { a.response.UID = "x" }, nil, `failed: expected response.uid="`},
		"says no":          {func(a *answer) { a.response.Result = metav1.Status{Status: "Failure", Message: "too old"} }, nil, "failed: too old"},
		"says nothing":     {func(a *answer) { a.response.Result.Status = "" }, nil, "failed: response.result.status was '', not 'Success'"},
		"no objects":       {func(a *answer) { a.object = nil }, nil, "returned 0 objects, expected 1"},
		"another version":  {func(a *answer) { a.object["apiVersion"] = "example.com/v2" }, nil, "invalid groupVersion (expected example.com/v1beta1, received example.com/v2)"},
		"another name":     {func(a *answer) { a.object["metadata"].(map[string]any)["name"] = "b" }, nil, "must have the same name: a != b"},
		"another object":   {func(a *answer) { a.object["metadata"].(map[string]any)["uid"] = "b" }, nil, "must have the same UID: u1 != b"},
		"no metadata":      {func(a *answer) { delete(a.object, "metadata") }, nil, "must have the same name"},
		"labels":           {func(a *answer) { a.object["metadata"].(map[string]any)["labels"] = map[string]any{"a": "b"} }, nil, ""},
		"labels of no use": {func(a *answer) { a.object["metadata"].(map[string]any)["labels"] = map[string]any{"a": "-"} }, nil, "metadata.labels: Invalid value"},
		"a finalizer":      {func(a *answer) { a.object["metadata"].(map[string]any)["finalizers"] = []any{"x/y"} }, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			hook := webhookFunc(func(review *extv1.ConversionReview) (*extv1.ConversionReview, error) {
				if test.fail != nil {
					return nil, test.fail
				}
				in := review.Request.Objects[0].Object.(*unstructured.Unstructured).DeepCopy()
				in.SetAPIVersion(review.Request.DesiredAPIVersion)
				a := &answer{&extv1.ConversionResponse{UID: review.Request.UID, Result: metav1.Status{Status: metav1.StatusSuccess}}, in.Object}
				test.lie(a)
				if a.object != nil {
					a.response.ConvertedObjects = []runtime.RawExtension{{Object: &unstructured.Unstructured{Object: a.object}}}
				}
				return &extv1.ConversionReview{TypeMeta: review.TypeMeta, Response: a.response}, nil
			})
			b := define(t, func(crd *extv1.CustomResourceDefinition) {
				crd.Spec.Conversion = &extv1.CustomResourceConversion{Strategy: extv1.WebhookConverter, Webhook: &extv1.WebhookConversion{ConversionReviewVersions: []string{"v9", "v1"}}}
			}, hook)
			stored := object(t, `spec: {size: 1}`)
			stored.SetResourceVersion("101")
			stored.SetUID("u1")
			got, err := b.Served("v1beta1").Load(stored)
			switch {
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want %s", err, test.want)
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want == "" && (got.GetUID() != "u1" || len(got.GetFinalizers()) > 0):
				t.Errorf("metadata is the webhook's: %v", content(got)["metadata"])
			}
		})
	}
	b := define(t, func(crd *extv1.CustomResourceDefinition) {
		crd.Spec.Conversion = &extv1.CustomResourceConversion{Strategy: extv1.WebhookConverter, Webhook: &extv1.WebhookConversion{}}
	}, nil)
	if _, err := b.Served("v1beta1").Load(object(t, "spec: {size: 1}")); err == nil {
		t.Error("an object is converted without a webhook")
	}
}

func TestModels(t *testing.T) {
	b := define(t, nil, nil)
	for in, ref := range map[string]string{ComponentsV3: "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", DefinitionsV2: "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"} {
		all, err := b.Stored.Models(in)
		if err != nil {
			t.Fatal(err)
		}
		one, many := all["com.example.v1.Widget"], all["com.example.v1.WidgetList"]
		if one == nil || many == nil || len(all) != 2 {
			t.Fatalf("%v", all)
		}
		metadata := one.Properties["metadata"]
		found := metadata.Ref.String()
		if found == "" {
			found = metadata.AllOf[0].Ref.String()
		}
		same(t, in, found, ref)
	}
}
