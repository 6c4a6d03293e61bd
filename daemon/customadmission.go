package daemon

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/manifests"
	"skiff/manifests/custom"
	"skiff/manifests/dynamic"
)

// customAdmission is what policies and webhooks need to know of a custom resource, nil for other kinds.
func (d *daemon) customAdmission(k *manifests.Kind) *dynamic.Custom {
	def := d.registry.Definition(k.GroupResource())
	if def == nil {
		return nil
	}
	c := &dynamic.Custom{Interfaces: customObjects{def}, Types: d.documents.CustomTypes(def)}
	for _, v := range def.Versions {
		if v.Spec.Served {
			c.Served = append(c.Served, v.GVK)
		}
	}
	return c
}

// customObjects makes, converts and defaults the objects of a definition.
type customObjects struct{ def *custom.Definition }

// GetObjectCreater implements admission.ObjectInterfaces.
func (customObjects) GetObjectCreater() runtime.ObjectCreater { return unstructuredCreater{} }

// GetObjectTyper implements admission.ObjectInterfaces. The scheme takes unstructured objects at their word.
func (customObjects) GetObjectTyper() runtime.ObjectTyper { return manifests.Scheme() }

// GetObjectDefaulter implements admission.ObjectInterfaces.
func (c customObjects) GetObjectDefaulter() runtime.ObjectDefaulter { return c }

// Default implements runtime.ObjectDefaulter.
func (c customObjects) Default(in runtime.Object) {
	if u, ok := in.(*unstructured.Unstructured); ok {
		if v := c.def.Served(u.GroupVersionKind().Version); v != nil {
			v.Default(u)
			return
		}
	}
	manifests.Scheme().Default(in)
}

// GetObjectConvertor implements admission.ObjectInterfaces.
func (c customObjects) GetObjectConvertor() runtime.ObjectConvertor {
	return custom.Convertor{Def: c.def, Scheme: manifests.Scheme()}
}

// GetEquivalentResourceMapper implements admission.ObjectInterfaces. dynamic.Custom has the versions.
func (customObjects) GetEquivalentResourceMapper() runtime.EquivalentResourceMapper { return nil }

type unstructuredCreater struct{}

// New implements runtime.ObjectCreater.
func (unstructuredCreater) New(gvk schema.GroupVersionKind) (runtime.Object, error) {
	if manifests.Scheme().Recognizes(gvk) {
		return manifests.Scheme().New(gvk) // a Scale
	}
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(gvk)
	return u, nil
}
