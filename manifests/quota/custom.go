package quota

import (
	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/manifests"
	"skiff/store"
)

// Kinds are all whose objects may be counted: those that skiff knows, and custom ones as far as it
// takes to count them. They are asked of the store each time, because custom kinds come and go.
func Kinds(r Reader) []*manifests.Kind {
	all := manifests.Kinds()
	r.Snapshot(manifests.CustomResourceDefinitions.String()).Ascend("", store.Key{}, func(o store.Object) bool {
		if kind := CustomKind(o); kind != nil {
			all = append(all, kind)
		}
		return true
	})
	return all
}

// CustomKind is what it takes to count the objects of a definition as the store has it, nil for one
// whose objects quotas do not limit.
func CustomKind(definition store.Object) *manifests.Kind {
	p, ok := definition.(*manifests.Packed)
	if !ok || p.Spec.Scope != extv1.NamespaceScoped || !apihelpers.IsCRDConditionTrue(p.Definition(), extv1.Established) {
		return nil
	}
	names := p.Status.AcceptedNames
	return &manifests.Kind{GVK: schema.GroupVersionKind{Group: p.Spec.Group, Kind: names.Kind}, Resource: names.Plural, Namespaced: true}
}
