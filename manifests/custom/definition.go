// Package custom makes kinds of custom resource definitions: what upstream's apiextensions-apiserver
// does in pkg/registry/customresource and pkg/apiserver/customresource_handler.go, on skiff's
// registry. A definition costs little until its objects are used: schemas are compiled when a version
// is first read or written, and let go when nobody has used it for a while.
package custom

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresource/tableconvertor"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/utils/clock"

	"skiff/manifests"
)

// Options are what a Definition is made of.
type Options struct {
	// CRD is the definition, whose names are accepted. Schemas are not looked for in it. It is shared,
	// and nobody writes to it.
	CRD *extv1.CustomResourceDefinition
	// Revision is the definition's: objects stored later are known to be in its form.
	Revision uint64
	// Whole unpacks the definition, schemas included.
	Whole func() (*extv1.CustomResourceDefinition, error)
	// Webhook converts objects of definitions that ask for it; nil: no object can be converted so.
	Webhook Webhook
	// Clock tells what has not been used for a while.
	Clock clock.PassiveClock
}

// Definition is a custom resource definition made ready to be served.
type Definition struct {
	CRD *extv1.CustomResourceDefinition
	// Versions are those that are served, and the one that is stored.
	Versions []*Version
	// Stored is the version that objects are stored in.
	Stored *Version

	options Options

	mu   sync.Mutex
	kept []releaser
}

// Version is one version of a custom resource.
type Version struct {
	*manifests.Kind
	Def *Definition
	// Spec is without its schema.
	Spec *extv1.CustomResourceDefinitionVersion

	structural *Lazy[*structuralSchema]
	programs   *Lazy[*programs]
}

// New makes a Definition.
func New(o Options) (*Definition, error) {
	d := &Definition{CRD: o.CRD, options: o}
	for i := range o.CRD.Spec.Versions {
		spec := &o.CRD.Spec.Versions[i]
		if !spec.Served && !spec.Storage {
			continue
		}
		v := d.version(spec)
		d.Versions = append(d.Versions, v)
		if spec.Storage {
			d.Stored = v
		}
	}
	if d.Stored == nil {
		return nil, fmt.Errorf("the definition %s has no storage version", o.CRD.Name)
	}
	return d, nil
}

// Served is the version of a name, nil for one that is not served.
func (d *Definition) Served(name string) *Version {
	if v := d.named(name); v != nil && v.Spec.Served {
		return v
	}
	return nil
}

// named is the version of a name, served or stored, nil if there is none.
func (d *Definition) named(name string) *Version {
	i := slices.IndexFunc(d.Versions, func(v *Version) bool { return v.Spec.Name == name })
	if i < 0 {
		return nil
	}
	return d.Versions[i]
}

// ReleaseUnused lets go of what has been compiled and was not used since a time.
func (d *Definition) ReleaseUnused(since time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range d.kept {
		k.release(since)
	}
}

func (d *Definition) version(spec *extv1.CustomResourceDefinitionVersion) *Version {
	crd, names := d.CRD, d.CRD.Status.AcceptedNames
	gv := schema.GroupVersion{Group: crd.Spec.Group, Version: spec.Name}
	gvk, list := gv.WithKind(names.Kind), gv.WithKind(names.ListKind)
	v := &Version{Def: d, Spec: spec}
	v.structural = Keep(d, v.makeStructural)
	v.programs = Keep(d, v.compile)
	// An unknown version is the only error, and this one is known.
	sub, _ := apihelpers.GetSubresourcesForVersion(crd, spec.Name)
	r := &rules{version: v, namespaced: crd.Spec.Scope == extv1.NamespaceScoped, hasStatus: sub != nil && sub.Status != nil}
	v.Kind = &manifests.Kind{
		GVK: gvk, Served: []schema.GroupVersionKind{gvk}, Resource: names.Plural, Singular: names.Singular,
		ShortNames: names.ShortNames, Categories: names.Categories, Namespaced: r.namespaced, HasStatus: r.hasStatus,
		RequireVersion: true,
		New:            func() runtime.Object { return emptyObject(gvk) },
		NewList:        func() runtime.Object { return emptyList(list) },
		Load:           v.load, Save: v.save, Rules: r,
	}
	for _, f := range spec.SelectableFields {
		r.selectable = append(r.selectable, selectableField{fieldName(f), steps(f.JSONPath)})
	}
	columns := Keep(d, v.tables)
	v.Kind.Tables = func() rest.TableConvertor {
		t, err := columns.Get()
		if err != nil {
			return rest.NewDefaultTableConvertor(v.GroupResource())
		}
		return t
	}
	if sub != nil && sub.Scale != nil {
		r.scale = sub.Scale
		v.Kind.Scale = scaleRules(sub.Scale)
	}
	return v
}

// tables makes the version's tables, of its age if it names no columns. Columns that can not be
// parsed are left out of a table that upstream makes all the same.
func (v *Version) tables() (rest.TableConvertor, error) {
	columns := v.Spec.AdditionalPrinterColumns
	if len(columns) == 0 {
		columns = []extv1.CustomResourceColumnDefinition{{
			Name: "Age", Type: "date", JSONPath: ".metadata.creationTimestamp",
			Description: metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"],
		}}
	}
	t, err := tableconvertor.New(columns)
	if t != nil {
		return t, nil
	}
	return nil, err
}

func emptyObject(gvk schema.GroupVersionKind) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(gvk)
	return u
}

func emptyList(gvk schema.GroupVersionKind) *unstructured.UnstructuredList {
	l := &unstructured.UnstructuredList{}
	l.SetGroupVersionKind(gvk)
	return l
}
