package openapi

import (
	"net/http"
	"strings"

	"skiff/manifests/custom"
)

// operations describes what can be done to a version, as far as clients look for it: which kind a
// path is of, and whether the server validates fields. kubectl reads no more of it than that.
type operations struct {
	version *custom.Version
	in      string // where schemas are
}

// addPaths adds the paths of a version to those of a document.
func addPaths(paths map[string]any, v *custom.Version, in string) {
	o := operations{v, in}
	one, many := o.reference(v.ModelName()), o.reference(v.ListModelName())
	root := "/apis/" + v.GVK.GroupVersion().String() + "/"
	at, scope := root, []any{}
	if v.Namespaced {
		at, scope = root+"namespaces/{namespace}/", []any{o.parameter("namespace", "path")}
		paths[root+v.Resource] = map[string]any{"get": o.operation("list", "AllNamespaces", many)}
	}
	named := append([]any{o.parameter("name", "path")}, scope...)
	paths[at+v.Resource] = map[string]any{
		"get": o.operation("list", "", many), "post": o.operation("post", "", one),
		"delete": o.operation("deletecollection", "", one), "parameters": scope,
	}
	paths[at+v.Resource+"/{name}"] = map[string]any{
		"get": o.operation("get", "", one), "put": o.operation("put", "", one), "patch": o.operation("patch", "", one),
		"delete": o.operation("delete", "", one), "parameters": named,
	}
	if v.HasStatus {
		paths[at+v.Resource+"/{name}/status"] = map[string]any{
			"get": o.operation("get", "Status", one), "put": o.operation("put", "Status", one), "patch": o.operation("patch", "Status", one),
			"parameters": named,
		}
	}
}

func (o operations) reference(model string) map[string]any {
	return map[string]any{"$ref": o.in + model}
}

func (o operations) old() bool { return o.in == custom.DefinitionsV2 }

func (o operations) parameter(name, in string) map[string]any {
	p := map[string]any{"name": name, "in": in}
	if in == "path" {
		p["required"] = true
	}
	if o.old() {
		p["type"], p["uniqueItems"] = "string", true
	} else {
		p["schema"] = map[string]any{"type": "string", "uniqueItems": true}
	}
	return p
}

// operation describes one action; part tells it from others of the same name.
func (o operations) operation(action, part string, schema map[string]any) map[string]any {
	gvk := o.version.GVK
	out := map[string]any{
		"operationId": action + strings.ReplaceAll(o.version.ModelName(), ".", "_") + part,
		"tags":        []string{gvk.Group + "_" + gvk.Version}, "x-kubernetes-action": action, "responses": o.responses(schema),
		"x-kubernetes-group-version-kind": map[string]string{"group": gvk.Group, "version": gvk.Version, "kind": gvk.Kind},
	}
	switch action {
	case "get", "list":
		return out
	}
	var parameters []any
	for _, name := range []string{"dryRun", "fieldManager", "fieldValidation"} {
		parameters = append(parameters, o.parameter(name, "query"))
	}
	out["parameters"] = parameters
	return out
}

func (o operations) responses(schema map[string]any) map[string]any {
	ok := map[string]any{"description": http.StatusText(http.StatusOK)}
	if o.old() {
		ok["schema"] = schema
	} else {
		ok["content"] = map[string]any{jsonType: map[string]any{"schema": schema}}
	}
	return map[string]any{"200": ok}
}
