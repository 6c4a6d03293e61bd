package export

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"

	"skiff/cli/applied"
)

// fields is a set of fields in the form of managedFields (FieldsV1): "f:name" is a field, "k:{…}" the
// element of a list with these keys, "v:…" an element of a set, "i:0" one by its place, and "." the
// thing itself. Without anything in it, all of a value is meant.
type fields map[string]any

// chosen is a copy of an object with what somebody has chosen for it: the fields of those who applied it,
// and what others have changed since. Where nobody has applied it that can't be told, for whoever creates
// an object is recorded with all its defaults, and the copy is whole.
func chosen(o *unstructured.Unstructured) *unstructured.Unstructured {
	out := o.DeepCopy()
	set, ok := appliedFields(o)
	if !ok {
		return out
	}
	for _, field := range []string{"apiVersion", "kind"} {
		set["f:"+field] = map[string]any{}
	}
	if set["f:stringData"] != nil { // a Secret's, which the server turns into data
		set["f:data"] = map[string]any{}
	}
	set = merge(set, fields{"f:metadata": map[string]any{"f:name": map[string]any{}, "f:namespace": map[string]any{}}})
	if picked, ok := pick(out.Object, set).(map[string]any); ok {
		out.Object = picked
	}
	return out
}

// appliedFields are the fields that somebody has chosen; ok is false when that can't be told.
func appliedFields(o *unstructured.Unstructured) (set fields, ok bool) {
	set = fields{}
	text := o.GetAnnotations()[applied.Annotation]
	if text != "" {
		var configuration map[string]any
		if json.Unmarshal([]byte(text), &configuration) != nil {
			return nil, false
		}
		set, ok = fieldsOf(configuration, o.Object), true
	}
	for _, entry := range o.GetManagedFields() {
		byClient := text != "" && entry.Operation == metav1.ManagedFieldsOperationUpdate && entry.Manager == "kubectl-client-side-apply"
		if entry.FieldsV1 == nil || ofSystem(entry) || byClient {
			continue
		}
		var own map[string]any
		if json.Unmarshal(entry.FieldsV1.GetRawBytes(), &own) != nil {
			return nil, false
		}
		set = merge(set, own)
		ok = ok || entry.Operation == metav1.ManagedFieldsOperationApply
	}
	return set, ok
}

// ofSystem reports whether an entry is of a controller, or about a status.
func ofSystem(e metav1.ManagedFieldsEntry) bool {
	return e.Subresource != "" && e.Subresource != "scale" || strings.HasPrefix(e.Manager, "kube-") || strings.HasPrefix(e.Manager, "system:") ||
		e.Manager == "kubelet" || e.Manager == "cloud-controller-manager"
}

// merge is what is in a or in b. Neither is changed.
func merge(a, b fields) fields {
	out := fields{}
	for key, inA := range a {
		out[key] = inA
	}
	for key, inB := range b {
		under, isSet := inB.(map[string]any)
		over, both := out[key].(map[string]any)
		if both && isSet {
			out[key] = union(over, under)
			continue
		}
		out[key] = inB
	}
	return out
}

// union is merge below the top, where a set without anything in it means all.
func union(a, b map[string]any) map[string]any {
	if len(a) == 0 || len(b) == 0 {
		return map[string]any{}
	}
	return merge(a, b)
}

// pick is the part of a value that a set of fields names.
func pick(value any, set fields) any {
	if len(set) == 0 {
		return value
	}
	switch value := value.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, inside := range value {
			if under, ok := set["f:"+key].(map[string]any); ok {
				out[key] = pick(inside, under)
			}
		}
		return out
	case []any:
		out := []any{}
		for i, element := range value {
			if under, ok := elementFields(element, i, set); ok {
				out = append(out, pick(element, under))
			}
		}
		return out
	}
	return value
}

// elementFields is what a set says of the element of a list.
func elementFields(element any, at int, set fields) (under fields, ok bool) {
	for key, inside := range set {
		inside, isSet := inside.(map[string]any)
		if !isSet || !names(key, element, at) {
			continue
		}
		if ok { // named in two ways
			inside = union(under, inside)
		}
		under, ok = inside, true
	}
	return under, ok
}

// names reports whether a key of a set means the element of a list.
func names(key string, element any, at int) bool {
	kind, rest, _ := strings.Cut(key, ":")
	switch kind {
	case "i":
		return rest == fmt.Sprint(at)
	case "v":
		var value any
		return json.Unmarshal([]byte(rest), &value) == nil && fmt.Sprint(value) == fmt.Sprint(element)
	case "k":
		var keys map[string]any
		have, ok := element.(map[string]any)
		if !ok || json.Unmarshal([]byte(rest), &keys) != nil {
			return false
		}
		for name, want := range keys {
			if fmt.Sprint(have[name]) != fmt.Sprint(want) {
				return false
			}
		}
		return true
	}
	return false
}

// fieldsOf are the fields that an object as it was applied has. Elements of lists are found again by
// their name or, in a list as long as before, by their place; otherwise the list is taken whole.
func fieldsOf(applied, live any) fields {
	out := fields{}
	switch applied := applied.(type) {
	case map[string]any:
		now, _ := live.(map[string]any)
		for key, inside := range applied {
			if inside != nil {
				out["f:"+key] = map[string]any(fieldsOf(inside, now[key]))
			}
		}
	case []any:
		now, _ := live.([]any)
		for i, element := range applied {
			have, isObject := element.(map[string]any)
			name, named := have["name"].(string)
			switch {
			case !isObject:
				return fields{}
			case named:
				key, _ := json.Marshal(map[string]any{"name": name}) //nolint:errcheck // a string can be encoded
				at := slices.IndexFunc(now, func(v any) bool { return names("k:"+string(key), v, 0) })
				if at >= 0 {
					out["k:"+string(key)] = map[string]any(fieldsOf(element, now[at]))
				}
			case len(now) == len(applied):
				out[fmt.Sprint("i:", i)] = map[string]any(fieldsOf(element, now[i]))
			default:
				return fields{}
			}
		}
	}
	return out
}
