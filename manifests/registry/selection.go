package registry

import (
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"skiff/manifests"
	"skiff/store"
)

// selection is what a list or a watch is about.
type selection struct {
	kind      *manifests.Kind
	namespace string // "" for all
	name      string // "" for all
	labels    labels.Selector
	fields    fields.Selector
}

// newSelection narrows the namespace and the name down by what the field
// selector requires, as upstream does.
func (r *Resource) newSelection(namespace string, l labels.Selector, f fields.Selector) selection {
	s := selection{kind: r.kind, namespace: namespace}
	if !r.kind.Namespaced {
		s.namespace = ""
	}
	if l != nil && !l.Empty() {
		s.labels = l
	}
	if f == nil || f.Empty() {
		return s
	}
	s.fields = f
	if only, ok := f.RequiresExactMatch("metadata.namespace"); ok && s.namespace == "" && r.kind.Namespaced {
		s.namespace = only
	}
	if only, ok := f.RequiresExactMatch("metadata.name"); ok {
		s.name = only
	}
	return s
}

// all says that nothing is left out but by namespace.
func (s selection) all() bool { return s.labels == nil && s.fields == nil }

func (s selection) matches(obj store.Object) bool {
	return s.matchesMetadata(obj) && s.matchesFields(obj)
}

// matchesMetadata is what is the same for an object as it is stored.
func (s selection) matchesMetadata(obj store.Object) bool {
	if s.namespace != "" && obj.GetNamespace() != s.namespace {
		return false
	}
	if s.name != "" && obj.GetName() != s.name {
		return false
	}
	return s.labels == nil || s.labels.Matches(labels.Set(obj.GetLabels()))
}

func (s selection) matchesFields(obj store.Object) bool {
	return s.fields == nil || s.fields.Matches(s.kind.Fields(obj))
}
