package custom

import (
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"skiff/manifests"
)

// load turns a stored object into one of this version. What was stored in this version, and since
// the definition is as it is, is one already: that is the usual case, and costs nothing.
func (v *Version) load(obj manifests.Object) (manifests.Object, error) {
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("a %T is stored as %s", obj, v.GVK.Kind)
	}
	same := u.GetAPIVersion() == v.GVK.GroupVersion().String()
	if same && revisionOf(u) > v.Def.options.Revision {
		return obj, nil
	}
	u = u.DeepCopy()
	if from := v.Def.named(u.GroupVersionKind().Version); from != nil {
		if _, err := from.Coerce(u, Strictness{Repair: true}); err != nil {
			return nil, err
		}
		from.Default(u)
	}
	if same {
		return u, nil
	}
	return v.Def.convert(u, v)
}

// save turns an object into what is stored. Unknown fields go here too: admission may have added
// what the schema does not know.
func (v *Version) save(obj manifests.Object) (manifests.Object, error) {
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("a %T is to be stored as %s", obj, v.GVK.Kind)
	}
	if to := v.Def.Stored; to != v {
		return v.Def.convert(u, to)
	}
	if !plainMetadata(u.Object["metadata"]) {
		_, err := v.Coerce(u, Strictness{})
		return u, err
	}
	return u, v.prune(u)
}

// plainMetadata reports whether metadata is in form as far as a look at it tells: to read all of it
// into its Go type and back takes as long as the rest of a write.
func plainMetadata(metadata any) bool {
	m, ok := metadata.(map[string]any)
	for name, value := range m {
		switch name {
		case "name", "generateName", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "selfLink":
			_, ok = value.(string)
		case "generation", "deletionGracePeriodSeconds":
			_, ok = value.(int64)
		case "labels", "annotations":
			ok = allStrings(value)
		case "managedFields": // the field manager's own
			_, ok = value.([]any)
		default:
			ok = false
		}
		if !ok {
			return false
		}
	}
	return ok
}

func allStrings(value any) bool {
	m, ok := value.(map[string]any)
	for _, v := range m {
		if _, isString := v.(string); !isString {
			return false
		}
	}
	return ok
}

// revisionOf is 0 for an object that was never stored.
func revisionOf(u *unstructured.Unstructured) uint64 {
	n, err := strconv.ParseUint(u.GetResourceVersion(), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
