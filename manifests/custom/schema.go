package custom

import (
	"fmt"

	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

type structuralSchema = structural.Structural

// programs are what a write needs beside the structural schema.
type programs struct {
	object validation.SchemaValidator
	status validation.SchemaValidator // nil if the schema says nothing of the status
	cel    *cel.Validator             // nil if there are no expressions
}

// properties is the version's schema in the type that upstream's functions want, nil if it has none.
func (v *Version) properties() (*apiextensions.JSONSchemaProps, error) {
	crd, err := v.Def.options.Whole()
	if err != nil {
		return nil, err
	}
	schema, err := apihelpers.GetSchemaForVersion(crd, v.Spec.Name)
	if err != nil || schema == nil {
		return nil, err
	}
	in := &apiextensions.CustomResourceValidation{}
	if err := extv1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(schema, in, nil); err != nil {
		return nil, fmt.Errorf("reading the schema of %s: %w", v.GVK, err)
	}
	return in.OpenAPIV3Schema, nil
}

func (v *Version) makeStructural() (*structuralSchema, error) {
	in, err := v.properties()
	if err != nil || in == nil {
		return nil, err
	}
	s, err := structural.NewStructural(in)
	if err != nil {
		if v.preserves() {
			return s, nil
		}
		return nil, fmt.Errorf("reading the schema of %s: %w", v.GVK, err)
	}
	if v.preserves() {
		return s, nil
	}
	s = s.DeepCopy() // defaults are shared with what it was made of
	if err := defaulting.PruneDefaults(s); err != nil {
		return nil, fmt.Errorf("reading the defaults of %s: %w", v.GVK, err)
	}
	return s, nil
}

func (v *Version) compile() (*programs, error) {
	in, err := v.properties()
	if err != nil {
		return nil, err
	}
	p := &programs{}
	if p.object, _, err = validation.NewSchemaValidator(in); err != nil {
		return nil, fmt.Errorf("compiling the schema of %s: %w", v.GVK, err)
	}
	if in != nil {
		if status, ok := in.Properties["status"]; ok {
			if p.status, _, err = validation.NewSchemaValidator(&status); err != nil {
				return nil, fmt.Errorf("compiling the schema of the status of %s: %w", v.GVK, err)
			}
		}
	}
	s, err := v.Schema()
	if err != nil {
		return nil, err
	}
	p.cel = cel.NewValidator(s, true, celconfig.PerCallLimit)
	return p, nil
}

// preserves reports whether unknown fields stay everywhere, as definitions of old may have it.
func (v *Version) preserves() bool { return v.Def.CRD.Spec.PreserveUnknownFields }

// Schema is the version's structural schema, nil if it has none. It is shared: read-only.
func (v *Version) Schema() (*structural.Structural, error) { return v.structural.Get() }

// Default fills in the schema's defaults. An object of a version whose schema can not be read stays
// as it is.
func (v *Version) Default(u *unstructured.Unstructured) {
	if s, err := v.Schema(); err == nil {
		defaulting.Default(u.Object, s)
	}
}

// prune removes unknown fields, but for those of the object's own metadata.
func (v *Version) prune(u *unstructured.Unstructured) error {
	s, err := v.Schema()
	if err != nil {
		return err
	}
	if !v.preserves() {
		pruning.PruneWithOptions(u.Object, s, true, structural.UnknownFieldPathOptions{})
		defaulting.PruneNonNullableNullsWithoutDefaults(u.Object, s)
	}
	if wrong, _ := objectmeta.CoerceWithOptions(nil, u.Object, s, false, objectmeta.CoerceOptions{}); wrong != nil {
		return wrong
	}
	return nil
}

// Strictness says what Coerce does beside.
type Strictness struct {
	// Paths asks for the paths of fields that go.
	Paths bool
	// Repair drops metadata that can not be read, where otherwise it is an error: what has been stored
	// must be readable.
	Repair bool
}

// Coerce does to an object what decoding into a Go type does to one of other kinds: unknown fields
// go, metadata is brought into form.
func (v *Version) Coerce(u *unstructured.Unstructured, how Strictness) (unknown []string, err error) {
	kind, apiVersion := u.GetKind(), u.GetAPIVersion()
	m, found, unknown, err := objectmeta.GetObjectMetaWithOptions(u.Object, objectmeta.ObjectMetaOptions{
		DropMalformedFields: how.Repair, ReturnUnknownFieldPaths: how.Paths,
	})
	if err != nil {
		return nil, err
	}
	s, err := v.Schema()
	if err != nil {
		return nil, err
	}
	if !v.preserves() {
		track := structural.UnknownFieldPathOptions{TrackUnknownFieldPaths: how.Paths}
		unknown = append(unknown, pruning.PruneWithOptions(u.Object, s, true, track)...)
		defaulting.PruneNonNullableNullsWithoutDefaults(u.Object, s)
	}
	wrong, more := objectmeta.CoerceWithOptions(nil, u.Object, s, false, objectmeta.CoerceOptions{
		DropInvalidFields: how.Repair, ReturnUnknownFieldPaths: how.Paths,
	})
	if wrong != nil {
		return nil, wrong
	}
	u.SetKind(kind)
	u.SetAPIVersion(apiVersion)
	if found {
		if how.Repair && m.Generation == 0 {
			m.Generation = 1 // older than generations of custom resources
		}
		if err := objectmeta.SetObjectMeta(u.Object, m); err != nil {
			return nil, err
		}
	}
	return append(unknown, more...), nil
}
