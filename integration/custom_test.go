package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"skiff/integration/harness"
)

const widgetDefinition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, shortNames: [wd], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [size]
            x-kubernetes-validations: [{rule: "self.size <= self.max", message: size must not exceed max}]
            properties:
              size: {type: integer, minimum: 1, description: How big it is.}
              max: {type: integer, default: 10}
              color: {type: string, default: blue}
              replicas: {type: integer, default: 1}
          status: {type: object, properties: {replicas: {type: integer}, phase: {type: string}}}
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}
    selectableFields: [{jsonPath: .spec.color}]
    additionalPrinterColumns:
    - {name: Size, type: integer, jsonPath: .spec.size}
    - {name: Color, type: string, jsonPath: .spec.color}
  - name: v1beta1
    served: true
    storage: false
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}, color: {type: string}}}}}}
`

const widget = `
apiVersion: example.com/v1
kind: Widget
metadata: {name: a}
spec: {size: 5}
`

// TestCustomResources defines a kind and does with its objects what can be done with those of others.
func TestCustomResources(t *testing.T) {
	t.Parallel()
	walkBoth(t, func(w walk) {
		matches(w.T, w.cli.DoIn(widgetDefinition, "apply", "-f", "-"), "customresourcedefinition.apiextensions.k8s.io/widgets.example.com created")
		w.run("wait --for=condition=Established crd/widgets.example.com", "customresourcedefinition.apiextensions.k8s.io/widgets.example.com condition met")
		w.run("get crd", "NAME CREATED AT\nwidgets.example.com *")
		matches(w.T, w.cli.DoIn(widget, "apply", "-f", "-"), "widget.example.com/a created")
		w.run("get wd", "NAME SIZE COLOR\na 5 blue")
		w.run("get widgets --field-selector spec.color=red", "")
		w.run("get widgets.v1beta1.example.com a -o jsonpath={.apiVersion},{.spec}", `example.com/v1beta1,{"color":"blue","size":5}`)
		w.run(`patch wd a --type=merge -p {"spec":{"color":"red"}}`, "widget.example.com/a patched")
		w.run("scale wd a --replicas=3", "widget.example.com/a scaled")
		w.run("get wd a -o jsonpath={.spec.replicas},{.metadata.generation}", "3,3")
		if text := w.cli.Do("explain", "wd.spec.size"); !strings.Contains(text, "FIELD: size <integer>") || !strings.Contains(text, "How big it is.") {
			w.Errorf("explained as %s", text)
		}
		for input, want := range map[string]string{
			strings.Replace(widget, "size: 5", "size: 11", 1):              "size must not exceed max",
			strings.Replace(widget, "size: 5", "size: 5, nope: 1", 1):      `unknown field "spec.nope"`,
			strings.Replace(widget, "size: 5", "color: green", 1):          "spec.size: Required value",
			strings.Replace(widget, "kind: Widget", "kind: Wid", 1):        `no matches for kind "Wid" in version "example.com/v1"`,
			strings.Replace(widget, "size: 5", `size: "five"`, 1):          "must be of type integer",
			strings.Replace(widget, "{name: a}", "{name: A}", 1):           "metadata.name: Invalid value",
			strings.Replace(widget, "example.com/v1", "example.com/v3", 1): `no matches for kind "Widget" in version "example.com/v3"`,
		} {
			if r := w.cli.Try(input, "create", "-f", "-"); r.Code == 0 || !strings.Contains(r.Err, want) {
				w.Errorf("exit %d, says %q, want %q", r.Code, r.Err, want)
			}
		}
		w.run("delete crd widgets.example.com", `customresourcedefinition.apiextensions.k8s.io "widgets.example.com" deleted`)
		// kubectl may remember that there was such a kind.
		if r := w.cli.Try("", "get", "wd"); r.Code != 1 || !strings.Contains(r.Err, "the server doesn't have a resource type") && !strings.Contains(r.Err, "NotFound") {
			w.Errorf("%+v", r)
		}
	})
}

// TestUpWithDefinitions brings up a kind and an object of it in one go, whichever comes first in the
// files, and finds both again after a crash.
func TestUpWithDefinitions(t *testing.T) {
	t.Parallel()
	d := harness.Start(t)
	dir := t.TempDir()
	for name, text := range map[string]string{"a.yaml": widget, "b.yaml": widgetDefinition} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	skiff, kubectl := d.SkiffCLI(), d.KubectlCLI()
	if r := skiff.Try("", "up", "--dry-run", "-f", dir); r.Code != 0 || !strings.Contains(r.Out, "widget.example.com/a would be created") {
		t.Errorf("%+v", r)
	}
	skiff.Do("up", "-d", "-f", dir)
	d.Kill()
	d.Run()
	if got := kubectl.Do("get", "wd", "a", "-o", "jsonpath={.spec.size},{.spec.max}"); got != "5,10" {
		t.Errorf("after a crash: %s", got)
	}
	if r := skiff.Try("", "up", "-d", "-f", dir); !strings.Contains(r.Err, "widget.example.com/a unchanged") {
		t.Errorf("%+v", r)
	}
	skiff.Do("down", "--volumes", "-f", dir)
	if got := kubectl.Do("get", "crd", "-o", "name"); got != "" {
		t.Errorf("left behind: %s", got)
	}
}
