package custom

import (
	"fmt"
	"slices"

	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Convertor converts between the versions of a custom resource; Scheme converts what is none, such
// as a Scale. What it is given stays as it is.
type Convertor struct {
	Def    *Definition
	Scheme *runtime.Scheme
}

var _ runtime.ObjectConvertor = Convertor{}

// Convert implements runtime.ObjectConvertor.
func (c Convertor) Convert(in, out, context any) error {
	from, ok := in.(*unstructured.Unstructured)
	to, ok2 := out.(*unstructured.Unstructured)
	if !ok || !ok2 {
		return c.Scheme.Convert(in, out, context)
	}
	made, err := c.ConvertToVersion(from, to.GroupVersionKind().GroupVersion())
	if err != nil {
		return err
	}
	to.SetUnstructuredContent(made.(runtime.Unstructured).UnstructuredContent())
	return nil
}

// ConvertToVersion implements runtime.ObjectConvertor.
func (c Convertor) ConvertToVersion(in runtime.Object, target runtime.GroupVersioner) (runtime.Object, error) {
	if _, ok := in.(runtime.Unstructured); !ok {
		return c.Scheme.ConvertToVersion(in, target)
	}
	from := in.GetObjectKind().GroupVersionKind()
	to, ok := target.KindForGroupVersionKinds([]schema.GroupVersionKind{from})
	if !ok {
		return nil, fmt.Errorf("%v is unstructured and is not suitable for converting to %q", from, target)
	}
	v := c.Def.named(to.Version)
	if v == nil || to.Group != c.Def.CRD.Spec.Group {
		return nil, fmt.Errorf("request to convert CR to an invalid group/version: %s", to.GroupVersion())
	}
	switch in := in.(type) {
	case *unstructured.UnstructuredList:
		return listIn(in, to.GroupVersion())
	case *unstructured.Unstructured:
		if from == to {
			return in, nil
		}
		return c.Def.convert(in.DeepCopy(), v)
	}
	return nil, fmt.Errorf("a %T can not be converted", in)
}

// listIn is a list whose items are of a version already: they come out of the registry so.
func listIn(in *unstructured.UnstructuredList, gv schema.GroupVersion) (runtime.Object, error) {
	for i := range in.Items {
		if in.Items[i].GetAPIVersion() != gv.String() {
			return nil, fmt.Errorf("request to convert CR list failed, list index %d is not of %s", i, gv)
		}
	}
	if in.GetAPIVersion() == gv.String() {
		return in, nil
	}
	out := in.DeepCopy()
	out.SetAPIVersion(gv.String())
	return out, nil
}

// ConvertFieldLabel implements runtime.ObjectConvertor.
func (c Convertor) ConvertFieldLabel(gvk schema.GroupVersionKind, label, value string) (string, string, error) {
	v := c.Def.named(gvk.Version)
	switch {
	case label == "metadata.name", label == "metadata.namespace" && v != nil && v.Namespaced:
		return label, value, nil
	case v != nil && slices.ContainsFunc(v.Spec.SelectableFields, func(f extv1.SelectableField) bool { return fieldName(f) == label }):
		return label, value, nil
	}
	return "", "", fmt.Errorf("field label not supported: %s", label)
}
