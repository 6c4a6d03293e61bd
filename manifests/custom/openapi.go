package custom

import (
	"fmt"
	"slices"
	"strings"

	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	openapiv2 "k8s.io/apiextensions-apiserver/pkg/controller/openapi/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// Where schemas are in OpenAPI documents: in those of v3, and in the older one of v2, whose schemas
// can say less.
const (
	ComponentsV3  = "#/components/schemas/"
	DefinitionsV2 = "#/definitions/"
)

// MetaModels is what the names of the schemas of metadata begin with.
const MetaModels = "io.k8s.apimachinery.pkg.apis.meta.v1."

// ModelName is the name of the schema of the version's kind in OpenAPI documents.
func (v *Version) ModelName() string { return v.modelName(v.GVK.Kind) }

// ListModelName is the name of the schema of the version's list.
func (v *Version) ListModelName() string { return v.modelName(v.Def.CRD.Status.AcceptedNames.ListKind) }

func (v *Version) modelName(kind string) string {
	parts := strings.Split(v.GVK.Group, ".")
	slices.Reverse(parts)
	return fmt.Sprintf("%s.%s.%s", strings.Join(parts, "."), v.GVK.Version, kind)
}

// Models are the OpenAPI schemas of the version's kind and of its list, by name. in is ComponentsV3
// or DefinitionsV2. They follow pkg/controller/openapi/builder in k8s.io/apiextensions-apiserver.
func (v *Version) Models(in string) (map[string]*spec.Schema, error) {
	s, err := v.Schema()
	if err != nil {
		return nil, err
	}
	m := models{version: v, in: in}
	return map[string]*spec.Schema{v.ModelName(): m.object(s), v.ListModelName(): m.list()}, nil
}

type models struct {
	version *Version
	in      string
}

func (m models) old() bool { return m.in == DefinitionsV2 }

func (m models) object(s *structural.Structural) *spec.Schema {
	var out *spec.Schema
	if s == nil || m.old() && (s.XPreserveUnknownFields || m.version.preserves()) {
		out = &spec.Schema{SchemaProps: spec.SchemaProps{Type: []string{"object"}}}
	} else {
		if m.old() {
			s = openapiv2.ToStructuralOpenAPIV2(s)
		}
		out = s.ToKubeOpenAPI()
		out.SetProperty("metadata", m.reference("ObjectMeta", metav1.PartialObjectMetadata{}.SwaggerDoc()["metadata"]))
		addTypeMeta(out)
		m.addEmbedded(out)
	}
	out.AddExtension("x-kubernetes-group-version-kind", m.kind(m.version.GVK.Kind))
	return out
}

func (m models) list() *spec.Schema {
	v, kind := m.version, m.version.Def.CRD.Status.AcceptedNames.ListKind
	items := spec.ArrayProperty(spec.RefSchema(m.in + v.ModelName()))
	items.WithDescription(fmt.Sprintf("List of %s. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md", v.Resource))
	out := new(spec.Schema).Typed("object", "").WithRequired("items")
	out.WithDescription(fmt.Sprintf("%s is a list of %s", kind, v.GVK.Kind))
	out.SetProperty("items", *items)
	out.SetProperty("metadata", m.reference("ListMeta", metav1.PartialObjectMetadataList{}.SwaggerDoc()["metadata"]))
	addTypeMeta(out)
	out.AddExtension("x-kubernetes-group-version-kind", m.kind(kind))
	return out
}

// reference is a property whose schema is elsewhere. In the newer documents nothing stands beside a
// reference, or clients show the description of what it refers to.
func (m models) reference(name, description string) spec.Schema {
	ref := spec.RefSchema(m.in + MetaModels + name)
	if m.old() {
		return *ref.WithDescription(description)
	}
	return spec.Schema{SchemaProps: spec.SchemaProps{AllOf: []spec.Schema{*ref}, Description: description}}
}

func (m models) kind(kind string) []any {
	return []any{map[string]any{"group": m.version.GVK.Group, "version": m.version.GVK.Version, "kind": kind}}
}

func addTypeMeta(s *spec.Schema) {
	doc := metav1.TypeMeta{}.SwaggerDoc()
	s.SetProperty("apiVersion", *spec.StringProperty().WithDescription(doc["apiVersion"]))
	s.SetProperty("kind", *spec.StringProperty().WithDescription(doc["kind"]))
}

// addEmbedded says of objects within the object that they have types and metadata too.
func (m models) addEmbedded(s *spec.Schema) {
	if s == nil {
		return
	}
	for k, p := range s.Properties {
		m.addEmbedded(&p)
		s.Properties[k] = p
	}
	if s.Items != nil {
		m.addEmbedded(s.Items.Schema)
	}
	if s.AdditionalProperties != nil {
		m.addEmbedded(s.AdditionalProperties.Schema)
	}
	if loose, ok := s.Extensions.GetBool("x-kubernetes-preserve-unknown-fields"); ok && loose && m.old() {
		return
	}
	if embedded, ok := s.Extensions.GetBool("x-kubernetes-embedded-resource"); !ok || !embedded {
		return
	}
	addTypeMeta(s)
	s.SetProperty("metadata", *spec.RefSchema(m.in + MetaModels + "ObjectMeta"))
	for _, need := range []string{"kind", "apiVersion"} {
		if !slices.Contains(s.Required, need) {
			s.Required = append(s.Required, need)
		}
	}
}
