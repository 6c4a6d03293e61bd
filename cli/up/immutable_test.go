package up

import (
	"encoding/json"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"skiff/cli/client"
	"skiff/cli/resource"
)

func decode(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := utiljson.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

// TestImmutable: the fields that were refused are named with both values, in upstream's wordings of
// the refusal; any other fault of the object is left to be told as it is.
func TestImmutable(t *testing.T) {
	spec := field.NewPath("spec")
	podSpec := "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations)\n  core.PodSpec{ `a` }"
	setSpec := "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy' are forbidden"
	long := strings.Repeat("x", 100)
	tests := []struct {
		name, kind, from, to string
		errs                 field.ErrorList
		want                 string
	}{
		{"a template", "Job", `{"spec":{"template":{"spec":{"containers":[{"name":"a","image":"i:1"}]}}}}`, `{"spec":{"template":{"spec":{"containers":[{"name":"a","image":"i:2"}]}}}}`,
			field.ErrorList{field.Invalid(spec.Child("template"), "dump", "field is immutable")}, `spec.template.spec.containers[a].image from "i:1" to "i:2"`},
		{"not what may change", "Pod", `{"spec":{"hostname":"a","containers":[{"name":"a","image":"i:1","command":["x","y"]}]}}`, `{"spec":{"containers":[{"name":"a","image":"i:2","command":["x","z"]}]}}`,
			field.ErrorList{field.Forbidden(spec, podSpec)}, `spec.containers[a].command[1] from "y" to "z", spec.hostname from "a" to nothing`},
		{"names relative to the field", "StatefulSet", `{"spec":{"replicas":1,"serviceName":"a"}}`, `{"spec":{"replicas":2,"serviceName":"b"}}`,
			field.ErrorList{field.Forbidden(spec, setSpec)}, `spec.serviceName from "a" to "b"`},
		{"an item", "Service", `{"spec":{"clusterIPs":["10.0.0.1"],"clusterIP":"10.0.0.1"}}`, `{"spec":{"clusterIPs":["10.0.0.2"],"clusterIP":"10.0.0.2"}}`,
			field.ErrorList{field.Invalid(spec.Child("clusterIPs").Index(0), "x", "may not change once set")}, `spec.clusterIPs[0] from "10.0.0.1" to "10.0.0.2"`},
		{"keys", "Deployment", `{"spec":{"selector":{"matchLabels":{"app.kubernetes.io/name":"a"}},"replicas":1}}`, `{"spec":{"selector":{"matchLabels":{"app":"a"}},"replicas":2}}`,
			field.ErrorList{field.Invalid(spec.Child("selector"), "dump", "field is immutable")}, `spec.selector.matchLabels.app from nothing to "a", spec.selector.matchLabels[app.kubernetes.io/name] from "a" to nothing`},
		{"many and long", "ConfigMap", `{"data":{"a":"1","b":"1","c":"1","d":"1","e":"1"}}`, `{"data":{"a":"` + long + `","b":"2","c":"2","d":"2","e":"2"}}`,
			field.ErrorList{field.Forbidden(field.NewPath("data"), "field is immutable when `immutable` is set")}, `data.a from "1" to "` + strings.Repeat("x", 59) + `…, data.b from "1" to "2", data.c from "1" to "2", 2 more fields`},
		{"several causes", "StorageClass", `{"provisioner":"a","parameters":{"x":"1"}}`, `{"provisioner":"b","parameters":{"x":"2"}}`,
			field.ErrorList{field.Forbidden(field.NewPath("parameters"), "updates to parameters are forbidden."), field.Invalid(field.NewPath("provisioner"), "b", "field is immutable")}, `parameters.x from "1" to "2", provisioner from "a" to "b"`},
		{"another fault", "Job", `{"spec":{"parallelism":1,"completions":1}}`, `{"spec":{"parallelism":-1,"completions":2}}`,
			field.ErrorList{field.Invalid(spec.Child("completions"), 2, "field is immutable"), field.Invalid(spec.Child("parallelism"), -1, "must be greater than or equal to 0")}, ""},
		{"nothing that differs", "Job", `{"spec":{"completions":1}}`, `{"spec":{"completions":1}}`,
			field.ErrorList{field.Invalid(spec.Child("completions"), 2, "field is immutable")}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			gvk := schema.GroupVersionKind{Group: "g", Version: "v1", Kind: test.kind}
			target := resource.Target{Source: "f:1", Ref: client.Ref{Name: "n", Mapping: &meta.RESTMapping{GroupVersionKind: gvk, Scope: meta.RESTScopeNamespace}}}
			got := ""
			if err := asImmutable(target, decode(t, test.from), decode(t, test.to), apierrors.NewInvalid(gvk.GroupKind(), "n", test.errs)); err != nil {
				got = strings.TrimSuffix(strings.TrimPrefix(err.Error(), strings.ToLower(test.kind)+".g/n (f:1) cannot be changed in place: "), "; --replace deletes it and creates it again")
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
	claim := &immutableError{target: resource.Target{Ref: client.Ref{Name: "n", Mapping: &meta.RESTMapping{GroupVersionKind: schema.GroupVersionKind{Kind: "PersistentVolumeClaim"}}}}}
	if !strings.Contains(claim.Error(), "--replace does not delete it, because its data would go with it: delete it yourself") {
		t.Error(claim)
	}
}

// TestChanges: lists go by the names of their items where all have one, and by index otherwise.
func TestChanges(t *testing.T) {
	for _, test := range []struct{ from, to, want string }{
		{`{"a":[{"name":"x","v":1},{"name":"y"}]}`, `{"a":[{"name":"y"},{"name":"x","v":2},{"name":"z"}]}`, `a[x].v from 1 to 2; a[z] from nothing to {"name":"z"}`},
		{`{"a":[{"name":"x","v":1}]}`, `{"a":[{"v":2}]}`, `a[0].name from "x" to nothing; a[0].v from 1 to 2`},
		{`{"a":[1,2]}`, `{"a":[1]}`, `a[1] from 2 to nothing`},
		{`{"a":{"b":null}}`, `{"a":[]}`, `a from {"b":null} to []`},
		{`{"a":{"b":1}}`, `{"a":{"b":1}}`, ``},
	} {
		var from, to any
		if err := json.Unmarshal([]byte(test.from), &from); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(test.to), &to); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range changes("", from, to) {
			got = append(got, c.String())
		}
		if strings.Join(got, "; ") != test.want {
			t.Errorf("%s to %s: got %q, want %q", test.from, test.to, got, test.want)
		}
	}
}
