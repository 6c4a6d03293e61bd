package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	openapiv2 "github.com/google/gnostic-models/openapiv2"
	"google.golang.org/protobuf/proto"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/yaml"

	"skiff/manifests/registry"
)

const widgets = `
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, shortNames: [wd], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}
    selectableFields: [{jsonPath: .spec.color}]
    additionalPrinterColumns: [{name: Color, type: string, jsonPath: .spec.color}]
    schema:
      openAPIV3Schema:
        type: object
        description: A Widget is a thing.
        properties:
          spec:
            type: object
            properties:
              color: {type: string, default: blue}
              replicas: {type: integer, default: 1}
              parts:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items: {type: object, required: [name], properties: {name: {type: string}}}
          status: {type: object, properties: {replicas: {type: integer}}}
  - name: v1beta1
    served: true
    storage: false
    deprecated: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, x-kubernetes-preserve-unknown-fields: true}}}}
`

var widgetsV1 = schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "widgets"}

// define stores a definition and says that it is established, as the controller does that is not
// here.
func (h *harness) define(text string) {
	h.t.Helper()
	crd := &extv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict([]byte(text), crd); err != nil {
		h.t.Fatal(err)
	}
	crds := registry.For[*extv1.CustomResourceDefinition](h.registry)
	must[*extv1.CustomResourceDefinition](h.t)(crds.Create(context.Background(), crd))
	must[*extv1.CustomResourceDefinition](h.t)(crds.UpdateStatus(context.Background(), "", crd.Name, func(crd *extv1.CustomResourceDefinition) error {
		crd.Status.AcceptedNames = crd.Spec.Names
		crd.Status.Conditions = []extv1.CustomResourceDefinitionCondition{{Type: extv1.Established, Status: extv1.ConditionTrue}}
		return nil
	}))
}

func widget(name, fields string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	raw := fmt.Sprintf(`{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":%q},%s}`, name, fields)
	if err := json.Unmarshal([]byte(raw), &u.Object); err != nil {
		panic(err)
	}
	return u
}

func TestCustomResource(t *testing.T) {
	h := start(t, options{})
	ctx := context.Background()
	const path = "/apis/example.com/v1/namespaces/default/widgets"
	equal(t, "before", h.do("GET", path, "").String(), "404 NotFound: the server could not find the requested resource")
	h.define(widgets)
	c := h.any.Resource(widgetsV1).Namespace("default")
	events := must[watch.Interface](t)(c.Watch(ctx, metav1.ListOptions{}))
	defer events.Stop()

	made := must[*unstructured.Unstructured](t)(c.Create(ctx, widget("a", `"spec":{}`), metav1.CreateOptions{}))
	equal(t, "spec", fmt.Sprint(made.Object["spec"]), "map[color:blue replicas:1]")
	equal(t, "generation", made.GetGeneration(), 1)
	patched := must[*unstructured.Unstructured](t)(c.Patch(ctx, "a", types.MergePatchType, []byte(`{"spec":{"color":"red"}}`), metav1.PatchOptions{}))
	equal(t, "generation", patched.GetGeneration(), 2)
	must[*unstructured.Unstructured](t)(c.Patch(ctx, "a", types.JSONPatchType, []byte(`[{"op":"add","path":"/metadata/labels","value":{"x":"y"}}]`), metav1.PatchOptions{}))
	reply := h.do("PATCH", path+"/a", `{"spec":{}}`, "Content-Type: application/strategic-merge-patch+json")
	equal(t, "strategic", reply.code, 415)

	status := must[*unstructured.Unstructured](t)(c.Patch(ctx, "a", types.MergePatchType, []byte(`{"status":{"replicas":1},"spec":{"color":"no"}}`), metav1.PatchOptions{}, "status"))
	equal(t, "after the status", fmt.Sprint(status.Object["spec"], status.Object["status"], status.GetGeneration()), "map[color:red replicas:1] map[replicas:1] 2")
	scale := must[*unstructured.Unstructured](t)(c.Patch(ctx, "a", types.MergePatchType, []byte(`{"spec":{"replicas":4}}`), metav1.PatchOptions{}, "scale"))
	equal(t, "scale", scale.GetAPIVersion()+" "+scale.GetKind(), "autoscaling/v1 Scale")

	must[*unstructured.Unstructured](t)(c.Create(ctx, widget("b", `"spec":{}`), metav1.CreateOptions{}))
	list := must[*unstructured.UnstructuredList](t)(c.List(ctx, metav1.ListOptions{FieldSelector: "spec.color=red"}))
	equal(t, "selected", len(list.Items), 1)
	equal(t, "list", list.GetKind(), "WidgetList")
	beta := must[*unstructured.Unstructured](t)(h.any.Resource(schema.GroupVersionResource{Group: "example.com", Version: "v1beta1", Resource: "widgets"}).Namespace("default").Get(ctx, "a", metav1.GetOptions{}))
	equal(t, "older version", beta.GetAPIVersion(), "example.com/v1beta1")
	equal(t, "warning", h.do("GET", strings.Replace(path, "v1", "v1beta1", 1), "").header.Get("Warning"), `299 - "example.com/v1beta1 Widget is deprecated; use example.com/v1 Widget"`)
	equal(t, "unknown selector", h.do("GET", path+"?fieldSelector=spec.size%3D1", "").String(), "400 BadRequest: field label not supported: spec.size")
	equal(t, "unknown method", h.do("POST", path+"/a/scale", "{}").code, 405)
	equal(t, "no such scope", h.do("GET", "/apis/example.com/v1/widgets/a", "").code, 404)

	if err := c.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Error(err)
	}
	var seen []string
	for e := range events.ResultChan() {
		seen = append(seen, string(e.Type)+" "+e.Object.(*unstructured.Unstructured).GetName())
		if len(seen) == 8 {
			break
		}
	}
	// The two that are deleted at once are so in no order.
	equal(t, "events", strings.Join(seen[:6], ", "), "ADDED a, MODIFIED a, MODIFIED a, MODIFIED a, MODIFIED a, ADDED b")
}

func TestCustomFieldValidation(t *testing.T) {
	h := start(t, options{})
	h.define(widgets)
	const path = "/apis/example.com/v1/namespaces/default/widgets"
	const body = `{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"a","nope":1},"spec":{"nope":1,"color":"a","color":"b"}}`
	equal(t, "strict", h.do("POST", path+"?fieldValidation=Strict", body).String(),
		`400 BadRequest: Widget in version "v1" cannot be handled as a Widget: strict decoding error: duplicate field "spec.color", unknown field "metadata.nope", unknown field "spec.nope"`)
	reply := h.do("POST", path+"?fieldValidation=Warn", body)
	equal(t, "warnings", strings.Join(reply.header.Values("Warning"), ", "), `299 - "duplicate field \"spec.color\"", 299 - "unknown field \"metadata.nope\"", 299 - "unknown field \"spec.nope\""`)
	equal(t, "created", reply.code, 201)
	if strings.Contains(string(reply.body), "nope") {
		t.Errorf("unknown fields are kept: %s", reply.body)
	}
}

func TestCustomServerSideApply(t *testing.T) {
	h := start(t, options{})
	ctx := context.Background()
	h.define(widgets)
	c := h.any.Resource(widgetsV1).Namespace("default")
	for manager, part := range map[string]string{"one": "x", "two": "y"} {
		must[*unstructured.Unstructured](t)(c.Apply(ctx, "a", widget("a", `"spec":{"parts":[{"name":"`+part+`"}]}`), metav1.ApplyOptions{FieldManager: manager}))
	}
	got := must[*unstructured.Unstructured](t)(c.Get(ctx, "a", metav1.GetOptions{}))
	parts, _, _ := unstructured.NestedSlice(got.Object, "spec", "parts")
	equal(t, "parts", len(parts), 2)
	equal(t, "managers", len(got.GetManagedFields()), 2)
	must[*unstructured.Unstructured](t)(c.Apply(ctx, "a", widget("a", `"spec":{"color":"red"}`), metav1.ApplyOptions{FieldManager: "one"}))
	_, err := c.Apply(ctx, "a", widget("a", `"spec":{"color":"green"}`), metav1.ApplyOptions{FieldManager: "two"})
	if err == nil || !strings.Contains(err.Error(), `conflict with "one": .spec.color`) {
		t.Errorf("got %v", err)
	}
}

func TestCustomTables(t *testing.T) {
	h := start(t, options{})
	h.define(widgets)
	ctx := context.Background()
	must[*unstructured.Unstructured](t)(h.any.Resource(widgetsV1).Namespace("default").Create(ctx, widget("a", `"spec":{}`), metav1.CreateOptions{}))
	var table metav1.Table
	h.do("GET", "/apis/example.com/v1/widgets", "", "Accept: application/json;as=Table;v=v1;g=meta.k8s.io").decode(t, &table)
	equal(t, "table", fmt.Sprint(table.ColumnDefinitions[1].Name, table.Rows[0].Cells), "Color[a blue]")
	h.do("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "", "Accept: application/json;as=Table;v=v1;g=meta.k8s.io").decode(t, &table)
	equal(t, "table of definitions", fmt.Sprint(table.ColumnDefinitions[1].Name, table.Rows[0].Cells[0]), "Created Atwidgets.example.com")
}

// TestLiveDiscovery: what is defined is discovered at once, and no more when it is gone.
func TestLiveDiscovery(t *testing.T) {
	h := start(t, options{})
	const aggregated = "Accept: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
	without := h.do("GET", "/apis", "", aggregated)
	equal(t, "before", h.do("GET", "/apis/example.com/v1", "").code, 404)
	h.define(widgets)
	var list metav1.APIResourceList
	h.do("GET", "/apis/example.com/v1", "").decode(t, &list)
	var names []string
	for _, r := range list.APIResources {
		names = append(names, r.Name+" "+r.Kind)
	}
	equal(t, "resources", strings.Join(names, ", "), "widgets Widget, widgets/status Widget, widgets/scale Scale")
	var group metav1.APIGroup
	h.do("GET", "/apis/example.com", "").decode(t, &group)
	equal(t, "preferred", group.PreferredVersion.GroupVersion+fmt.Sprint(len(group.Versions)), "example.com/v12")
	with := h.do("GET", "/apis", "", aggregated)
	if with.header.Get("Etag") == without.header.Get("Etag") || !strings.Contains(string(with.body), `"shortNames":["wd"]`) {
		t.Errorf("the aggregated document is as before: %s", with.body)
	}
	equal(t, "asked again", h.do("GET", "/apis", "", aggregated, "If-None-Match: "+with.header.Get("Etag")).code, 304)
}

func TestLiveOpenAPI(t *testing.T) {
	h := start(t, options{})
	v2 := func(accept string) reply { return h.do("GET", "/openapi/v2", "", "Accept: "+accept) }
	before := v2("application/json").header.Get("Etag")
	h.define(widgets)
	var index struct {
		Paths map[string]struct{ ServerRelativeURL string }
	}
	h.do("GET", "/openapi/v3", "").decode(t, &index)
	at := index.Paths["apis/example.com/v1"].ServerRelativeURL
	document := h.do("GET", at, "")
	for _, want := range []string{`"com.example.v1.Widget"`, `"A Widget is a thing."`, `"io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"`, `"/apis/example.com/v1/namespaces/{namespace}/widgets/{name}/status"`} {
		if !strings.Contains(string(document.body), want) {
			t.Errorf("the document does not have %s", want)
		}
	}
	equal(t, "may be kept", document.header.Get("Cache-Control"), "public, immutable, max-age=31536000")

	var whole struct {
		Swagger            string
		Definitions, Paths map[string]json.RawMessage
	}
	answer := v2("application/json")
	answer.decode(t, &whole)
	if whole.Swagger != "2.0" || whole.Definitions["com.example.v1.WidgetList"] == nil || whole.Definitions["io.k8s.api.core.v1.Pod"] == nil || whole.Paths["/apis/example.com/v1beta1/namespaces/{namespace}/widgets/{name}"] == nil {
		t.Error("the document of v2 lacks something")
	}
	if etag := answer.header.Get("Etag"); etag == before || h.do("GET", "/openapi/v2", "", "Accept: application/json", "If-None-Match: "+etag).code != 304 {
		t.Errorf("etag %s, before %s", etag, before)
	}
	var message openapiv2.Document
	if err := proto.Unmarshal(v2("application/com.github.proto-openapi.spec.v2@v1.0+protobuf").body, &message); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, d := range message.GetDefinitions().GetAdditionalProperties() {
		found[d.GetName()] = true
	}
	if message.GetSwagger() != "2.0" || !found["com.example.v1.Widget"] || !found["io.k8s.api.core.v1.Pod"] {
		t.Error("the message lacks something")
	}
}

// TestDefinitionLists: lists that are made in other ways than those of other kinds look the same.
func TestDefinitionLists(t *testing.T) {
	h := start(t, options{})
	for _, name := range []string{"widgets", "gadgets", "gizmos"} {
		h.define(strings.ReplaceAll(strings.ReplaceAll(widgets, "widget", strings.TrimSuffix(name, "s")), "Widget", strings.ToUpper(name)))
	}
	const path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
	var list, first extv1.CustomResourceDefinitionList
	h.do("GET", path, "").decode(t, &list)
	equal(t, "listed", len(list.Items), 3)
	equal(t, "kind", list.Kind+" "+list.APIVersion+" "+list.Items[0].Kind, "CustomResourceDefinitionList apiextensions.k8s.io/v1 ")
	crds := registry.For[*extv1.CustomResourceDefinition](h.registry)
	for _, item := range list.Items {
		one := must[*extv1.CustomResourceDefinition](t)(crds.Get("", item.Name))
		item.TypeMeta = metav1.TypeMeta{}
		if !apiequality.Semantic.DeepEqual(&item, one) {
			t.Errorf("listed\n%+v\nbut it is\n%+v", item, one)
		}
	}
	h.do("GET", path+"?limit=2", "").decode(t, &first)
	equal(t, "first part", fmt.Sprint(len(first.Items), *first.RemainingItemCount), "2 1")
	var rest extv1.CustomResourceDefinitionList
	h.do("GET", path+"?limit=2&continue="+first.Continue, "").decode(t, &rest)
	equal(t, "second part", fmt.Sprint(len(rest.Items), rest.Items[0].Name), "1widgets.example.com")
	for query, want := range map[string]int{"?labelSelector=a%3Db": 0, "?fieldSelector=metadata.name%3Dwidgets.example.com": 1} {
		var some extv1.CustomResourceDefinitionList
		h.do("GET", path+query, "").decode(t, &some)
		equal(t, query, len(some.Items), want)
	}
	equal(t, "wrong", h.do("GET", path+"?limit=x", "").code, 400)
	var partial metav1.PartialObjectMetadataList
	h.do("GET", path, "", "Accept: application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io").decode(t, &partial)
	equal(t, "partial", fmt.Sprint(len(partial.Items), partial.Items[2].Name, partial.Items[2].ResourceVersion), fmt.Sprint(3, "widgets.example.com", list.Items[2].ResourceVersion))
	var table metav1.Table
	h.do("GET", path+"?includeObject=Object", "", "Accept: application/json;as=Table;v=v1;g=meta.k8s.io").decode(t, &table)
	if !strings.Contains(string(table.Rows[0].Object.Raw), "openAPIV3Schema") {
		t.Error("whoever asks for the objects does not get them whole")
	}
	equal(t, "YAML", strings.Contains(string(h.do("GET", path, "", "Accept: application/yaml").body), "openAPIV3Schema"), true)
}
