package custom

import (
	"fmt"
	"strings"

	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"

	"skiff/manifests"
)

// selectableField is a field that selectors can name.
type selectableField struct {
	name  string
	steps []string
}

// fieldName is what selectors call a field.
func fieldName(f extv1.SelectableField) string { return strings.TrimPrefix(f.JSONPath, ".") }

// steps are those of a path as validation lets it be: of names, each behind a dot or as ['name'].
func steps(path string) (all []string) {
	for path != "" {
		if quoted, ok := strings.CutPrefix(path, "['"); ok {
			name, rest, _ := strings.Cut(quoted, "']")
			all, path = append(all, name), rest
			continue
		}
		path = strings.TrimPrefix(path, ".")
		end := strings.IndexAny(path, ".[")
		if end < 0 {
			end = len(path)
		}
		if end > 0 {
			all = append(all, path[:end])
		}
		path = path[end:]
		if strings.HasPrefix(path, "[") && !strings.HasPrefix(path, "['") {
			return all // no such path is accepted
		}
	}
	return all
}

// Fields implements manifests.Rules.
func (r *rules) Fields(obj manifests.Object) fields.Fields {
	set := fields.Set{"metadata.name": obj.GetName()}
	if r.namespaced {
		set["metadata.namespace"] = obj.GetNamespace()
	}
	for _, f := range r.selectable {
		set[f.name] = ""
		if v, ok, err := unstructured.NestedFieldNoCopy(content(obj), f.steps...); err == nil && ok && v != nil {
			set[f.name] = fmt.Sprint(v)
		}
	}
	return set
}
