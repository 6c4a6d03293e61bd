package manifests

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	servervalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// CustomResourceDefinitions is the resource of what defines custom resources.
var CustomResourceDefinitions = schema.GroupResource{Group: extv1.GroupName, Resource: "customresourcedefinitions"}

// ResourceOf is the resource that a CustomResourceDefinition of a name defines.
func ResourceOf(definition string) schema.GroupResource { return schema.ParseGroupResource(definition) }

// customResourceDefinitionKind follows pkg/registry/customresourcedefinition/strategy.go in
// k8s.io/apiextensions-apiserver, a package that would bring etcd's client along.
func customResourceDefinitionKind() *Kind {
	type internal = apiextensions.CustomResourceDefinition
	return newKind(extv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"), Kind{
		Resource: CustomResourceDefinitions.Resource, ShortNames: []string{"crd", "crds"}, Categories: []string{"api-extensions"},
		HasStatus: true, RequireVersion: true,
		New: newOf[*extv1.CustomResourceDefinition](), NewList: newOf[*extv1.CustomResourceDefinitionList](),
		Load: unpackDefinition, Save: packDefinition,
		Tables: func() rest.TableConvertor { return rest.NewDefaultTableConvertor(CustomResourceDefinitions) },
		Rules: &rules[*extv1.CustomResourceDefinition, internal]{
			toInternal:   extv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition,
			fromInternal: extv1.Convert_apiextensions_CustomResourceDefinition_To_v1_CustomResourceDefinition,
			prepareCreate: func(d *internal) {
				d.Status = apiextensions.CustomResourceDefinitionStatus{}
				d.Generation = 1
				noteStoredVersion(d)
			},
			validateCreate: validation.ValidateCustomResourceDefinition,
			warnCreate:     func(_ context.Context, d *internal) []string { return schemaWarnings(&d.Spec) },
			updates: map[string]update[internal]{
				SubresourceNone: {
					prepare: func(d, old *internal) {
						d.Status = *old.Status.DeepCopy()
						bump(&d.Generation, old.Generation, d.Spec, old.Spec)
						noteStoredVersion(d)
					},
					validate: validateDefinitionUpdate,
					warn: func(_ context.Context, d, old *internal) []string {
						known := schemaWarnings(&old.Spec)
						return slices.DeleteFunc(schemaWarnings(&d.Spec), func(w string) bool { return slices.Contains(known, w) })
					},
				},
				SubresourceStatus: {
					prepare:  func(d, old *internal) { d.Spec = old.Spec },
					validate: validation.ValidateUpdateCustomResourceDefinitionStatus,
				},
			},
			reset: specAndStatus(extv1.SchemeGroupVersion),
		},
	})
}

// validateDefinitionUpdate leaves alone a specification that stays as it is: to validate it means to
// compile each of its expressions.
func validateDefinitionUpdate(ctx context.Context, d, old *apiextensions.CustomResourceDefinition) field.ErrorList {
	if equality.Semantic.DeepEqual(d.Spec, old.Spec) {
		return nil
	}
	return validation.ValidateCustomResourceDefinitionUpdate(ctx, d, old)
}

// noteStoredVersion records that objects are stored in the storage version from now on.
func noteStoredVersion(d *apiextensions.CustomResourceDefinition) {
	for _, v := range d.Spec.Versions {
		if v.Storage && !slices.Contains(d.Status.StoredVersions, v.Name) {
			d.Status.StoredVersions = append(d.Status.StoredVersions, v.Name)
		}
	}
}

// schemaWarnings are upstream's for what is accepted in schemas and has not the effect it seems to
// have: formats that nobody knows, and sets of what is no scalar.
func schemaWarnings(s *apiextensions.CustomResourceDefinitionSpec) []string {
	var formats, sets []string
	visit := func(s *apiextensions.JSONSchemaProps) bool {
		if s.Format != "" {
			one := &spec.Schema{SchemaProps: spec.SchemaProps{Format: s.Format, Type: []string{s.Type}}}
			for _, f := range servervalidation.GetUnrecognizedFormats(one, environment.DefaultCompatibilityVersion()) {
				formats = append(formats, fmt.Sprintf("unrecognized format %q", f))
			}
		}
		if s.XListType != nil && *s.XListType == "set" && s.Items != nil && s.Items.Schema != nil {
			switch t := s.Items.Schema.Type; t {
			case "object", "array":
				sets = append(sets, fmt.Sprintf("x-kubernetes-list-type: set for items of type %q is not supported by server-side apply or CEL validation rules", t))
			}
		}
		return false // go on
	}
	if s.Validation != nil && s.Validation.OpenAPIV3Schema != nil {
		validation.SchemaHas(s.Validation.OpenAPIV3Schema, visit)
	}
	for _, v := range s.Versions {
		if v.Schema != nil && v.Schema.OpenAPIV3Schema != nil {
			validation.SchemaHas(v.Schema.OpenAPIV3Schema, visit)
		}
	}
	slices.Sort(sets)
	return append(formats, slices.Compact(sets)...)
}
