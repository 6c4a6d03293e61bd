package resource

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/cli/client"
)

// DefinitionKind is the kind of objects that define others.
var DefinitionKind = schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}

// Define has the finder find the kinds that the manifests themselves define, so that objects of them
// can be applied in one go.
func (f Finder) Define(all []Manifest) error {
	i := slices.IndexFunc(all, func(m Manifest) bool { return m.Object.GroupVersionKind() == DefinitionKind })
	if i < 0 {
		return nil
	}
	catalog, err := f.Client.Catalog()
	if err != nil {
		return err
	}
	if _, err := catalog.Kind(DefinitionKind); err != nil {
		return nil //nolint:nilerr // nobody will see to the definition, so nothing comes of it
	}
	for _, m := range all[i:] {
		if m.Object.GroupVersionKind() == DefinitionKind {
			catalog.Define(definitionOf(m.Object))
		}
	}
	return nil
}

// definitionOf reads what a definition defines. What is wrong with it the server will say.
func definitionOf(o *unstructured.Unstructured) client.Definition {
	text := func(path ...string) string {
		s, _, _ := unstructured.NestedString(o.Object, path...)
		return s
	}
	d := client.Definition{Name: o.GetName(), Group: text("spec", "group"), Resource: metav1.APIResource{
		Name: text("spec", "names", "plural"), SingularName: text("spec", "names", "singular"), Kind: text("spec", "names", "kind"),
		Namespaced: text("spec", "scope") == "Namespaced",
	}}
	versions, _, _ := unstructured.NestedSlice(o.Object, "spec", "versions")
	for _, v := range versions {
		version, ok := v.(map[string]any)
		if !ok {
			continue
		}
		name, _, _ := unstructured.NestedString(version, "name")
		if served, _, _ := unstructured.NestedBool(version, "served"); served && name != "" {
			d.Versions = append(d.Versions, name)
		}
	}
	if d.Group == "" || d.Resource.Name == "" || d.Resource.Kind == "" {
		d.Versions = nil
	}
	return d
}
