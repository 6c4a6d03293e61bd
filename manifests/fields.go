package manifests

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// fieldTable reads the selectable fields of a kind, by name.
type fieldTable[V Object] map[string]func(V) string

// selectable is an object as a field selector sees it. Nothing is copied out of
// the object but the fields the selector asks for.
type selectable[V Object] struct {
	obj V
	own fieldTable[V]
}

func (s selectable[V]) Has(name string) bool {
	if name == "metadata.name" || name == "metadata.namespace" {
		return true
	}
	_, ok := s.own[name]
	return ok
}

func (s selectable[V]) Get(name string) string {
	switch name {
	case "metadata.name":
		return s.obj.GetName()
	case "metadata.namespace":
		return s.obj.GetNamespace()
	}
	if read, ok := s.own[name]; ok {
		return read(s.obj)
	}
	return ""
}

// resetFields are the fields a write can not set, by subresource and version.
type resetFields map[string]map[fieldpath.APIVersion]*fieldpath.Set

// specAndStatus are the reset fields of most kinds: status can not be written
// through the object, nor the specification through its status.
func specAndStatus(versions ...schema.GroupVersion) resetFields {
	return resetFields{
		SubresourceNone:   reset(versions, path("status")),
		SubresourceStatus: reset(versions, path("spec")),
	}
}

func reset(versions []schema.GroupVersion, paths ...fieldpath.Path) map[fieldpath.APIVersion]*fieldpath.Set {
	out := map[fieldpath.APIVersion]*fieldpath.Set{}
	for _, gv := range versions {
		out[fieldpath.APIVersion(gv.String())] = fieldpath.NewSet(paths...)
	}
	return out
}

func path(parts ...any) fieldpath.Path { return fieldpath.MakePathOrDie(parts...) }

func errUnknownSubresource(name string) error {
	return fmt.Errorf("no rules for an update of subresource %q", name)
}
