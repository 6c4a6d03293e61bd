package explain

import (
	"encoding/json"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

const doc = `{"components": {"schemas": {
  "v1.Pod": {"description": "Pod is a collection of containers that can run on a host. This resource is created by clients and scheduled onto hosts.", "type": "object",
    "x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "Pod"}],
    "required": ["spec"],
    "properties": {
      "kind": {"type": "string", "description": "Kind is a string."},
      "spec": {"description": "What it is to be.", "allOf": [{"$ref": "#/components/schemas/v1.PodSpec"}]}}},
  "v1.PodSpec": {"description": "PodSpec is a description of a pod.", "type": "object", "properties": {
      "containers": {"type": "array", "items": {"$ref": "#/components/schemas/v1.Container"}, "description": "List of containers."},
      "nodeSelector": {"type": "object", "additionalProperties": {"type": "string"}},
      "dnsPolicy": {"type": "string", "enum": ["", "ClusterFirst", "Default", "None", "Other"], "description": "How names are resolved."}}},
  "v1.Container": {"description": "A container.", "type": "object", "properties": {
      "cpu": {"$ref": "#/components/schemas/Quantity"}, "inner": {"$ref": "#/components/schemas/v1.Container"}}},
  "Quantity": {"type": "string"}
}}}`

func explain(t *testing.T, recursive bool, depth int, path ...string) string {
	t.Helper()
	p := &printer{recursive: recursive, depth: depth}
	if err := json.Unmarshal([]byte(doc), &p.doc); err != nil {
		t.Fatal(err)
	}
	if err := p.kind(schema.GroupVersionKind{Version: "v1", Kind: "Pod"}, path); err != nil {
		return "error: " + err.Error()
	}
	return p.buf.String()
}

func TestExplain(t *testing.T) {
	head := "KIND:       Pod\nVERSION:    v1\n\n"
	tests := []struct {
		name, got, want string
	}{
		{"kind", explain(t, false, 0), head + "DESCRIPTION:\n    Pod is a collection of containers that can run on a host. This resource is\n    created by clients and scheduled onto hosts.\n    \nFIELDS:\n  kind\t<string>\n    Kind is a string.\n\n  spec\t<PodSpec> -required-\n    What it is to be.\n\n\n"},
		{"field", explain(t, false, 0, "spec", "dnsPolicy"), head + "FIELD: dnsPolicy <string>\nENUM:\n    \"\"\n    ClusterFirst\n    Default\n    None\n    Other\n\nDESCRIPTION:\n    How names are resolved.\n    \n\n"},
		{"object field", explain(t, false, 0, "spec"), head + "FIELD: spec <PodSpec>\n\n\nDESCRIPTION:\n    What it is to be.\n    PodSpec is a description of a pod.\n    \nFIELDS:\n  containers\t<[]Container>\n    List of containers.\n\n  dnsPolicy\t<string>\n  enum: \"\", ClusterFirst, Default, None, ....\n    How names are resolved.\n\n  nodeSelector\t<map[string]string>\n    <no description>\n\n\n"},
		{"through a list", explain(t, false, 0, "spec", "containers", "cpu"), head + "FIELD: cpu <string>\n\n\nDESCRIPTION:\n    <empty>\n\n"},
		{"recursive, once round a circle", explain(t, true, 0), head + "DESCRIPTION:\n    Pod is a collection of containers that can run on a host. This resource is\n    created by clients and scheduled onto hosts.\n    \nFIELDS:\n  kind\t<string>\n  spec\t<PodSpec> -required-\n    containers\t<[]Container>\n      cpu\t<string>\n      inner\t<Container>\n    dnsPolicy\t<string>\n    enum: \"\", ClusterFirst, Default, None, ....\n    nodeSelector\t<map[string]string>\n\n"},
		{"no deeper than asked", explain(t, true, 1), head + "DESCRIPTION:\n    Pod is a collection of containers that can run on a host. This resource is\n    created by clients and scheduled onto hosts.\n    \nFIELDS:\n  kind\t<string>\n  spec\t<PodSpec> -required-\n\n"},
		{"no such field", explain(t, false, 0, "spec", "foo"), `error: field "foo" does not exist`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.got != test.want {
				t.Errorf("got:\n%q\nwant:\n%q", test.got, test.want)
			}
		})
	}
}

func TestWrap(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "",
		"one two three":          "one two\nthree",
		"averyveryverylong word": "averyveryverylong\nword",
		"a b\nc":                 "a b\nc",
		"exactly ok":             "exactly ok",
	} {
		if got := wrap(text, 10); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
