package openapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"sigs.k8s.io/structured-merge-diff/v6/typed"

	"skiff/manifests/custom"
)

// sharedModels are the embedded schemas of which custom resources make use: metadata, and what their
// scale subresource speaks.
var sharedModels = sync.OnceValues(func() (map[string]*spec.Schema, error) {
	gz, err := data.ReadFile("data/" + SchemasFile)
	if err != nil {
		return nil, err
	}
	raw, err := unpack(gz)
	if err != nil {
		return nil, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, err
	}
	metadata := []string{"ObjectMeta", "ListMeta", "Time", "FieldsV1", "ManagedFieldsEntry", "OwnerReference",
		"DeleteOptions", "Preconditions", "Patch", "Status", "StatusDetails", "StatusCause", "ShardInfo"}
	out := map[string]*spec.Schema{}
	for name, raw := range all {
		meta, isMeta := strings.CutPrefix(name, custom.MetaModels)
		if !strings.HasPrefix(name, "io.k8s.api.autoscaling.v1.Scale") && (!isMeta || !slices.Contains(metadata, meta)) {
			continue
		}
		s := &spec.Schema{}
		if err := json.Unmarshal(raw, s); err != nil {
			return nil, fmt.Errorf("reading the schema %s: %w", name, err)
		}
		out[name] = s
	}
	return out, nil
})

// CustomTypes tells server-side apply of which type each field of a custom resource is. It reads the
// schemas at the first use.
func (d *Documents) CustomTypes(def *custom.Definition) managedfields.TypeConverter {
	return customTypes{custom.Keep(def, func() (managedfields.TypeConverter, error) {
		all, err := modelsOf(def.Versions, custom.ComponentsV3)
		if err != nil {
			return nil, fmt.Errorf("reading the types of the fields of %s: %w", def.CRD.Name, err)
		}
		return managedfields.NewTypeConverter(all, def.CRD.Spec.PreserveUnknownFields)
	})}
}

// modelsOf are the schemas of versions, and those that they refer to.
func modelsOf(versions []*custom.Version, in string) (map[string]*spec.Schema, error) {
	shared, err := sharedModels()
	if err != nil {
		return nil, err
	}
	all := maps.Clone(shared)
	for _, v := range versions {
		own, err := v.Models(in)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, own)
	}
	return all, nil
}

type customTypes struct {
	real *custom.Lazy[managedfields.TypeConverter]
}

// ObjectToTyped implements managedfields.TypeConverter.
func (c customTypes) ObjectToTyped(o runtime.Object, opts ...typed.ValidationOptions) (*typed.TypedValue, error) {
	real, err := c.real.Get()
	if err != nil {
		return nil, err
	}
	return real.ObjectToTyped(o, opts...)
}

// TypedToObject implements managedfields.TypeConverter.
func (c customTypes) TypedToObject(v *typed.TypedValue) (runtime.Object, error) {
	real, err := c.real.Get()
	if err != nil {
		return nil, err
	}
	return real.TypedToObject(v)
}
