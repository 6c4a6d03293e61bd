package custom

import (
	"context"
	"fmt"

	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/common"

	"skiff/manifests"
)

// write is what is validated.
type write struct {
	object, old *unstructured.Unstructured // old is nil for a create
	subresource string
}

func (w write) status() bool { return w.subresource == manifests.SubresourceStatus }

// validate asks everything that upstream's strategies ask, in their order. What was wrong before
// and did not change is let through (ratcheting).
func (r *rules) validate(ctx context.Context, w write) field.ErrorList {
	p, err := r.version.programs.Get()
	if err != nil {
		return refused(err)
	}
	s, err := r.version.Schema()
	if err != nil {
		return refused(err)
	}
	var changes *common.CorrelatedObject
	var ratcheting []cel.Option
	if w.old != nil {
		changes = common.NewCorrelatedObject(w.object.Object, w.old.Object, &model.Structural{Structural: s})
		ratcheting = append(ratcheting, cel.WithRatcheting(changes))
	}
	errs := r.typeErrors(w.object)
	if len(errs) == 0 {
		errs = append(r.metadataErrors(w), schemaErrors(w, p, s, changes)...)
		errs = append(errs, r.scaleErrors(w.object, w.subresource)...)
	}
	if !w.status() {
		errs = append(errs, objectmeta.Validate(ctx, nil, w.object.Object, s, false)...)
	}
	errs = append(errs, listErrors(w, s)...)
	return append(errs, expressionErrors(ctx, w, p.cel, s, errs, ratcheting)...)
}

func (r *rules) typeErrors(u *unstructured.Unstructured) (errs field.ErrorList) {
	want := r.version.GVK
	if u.GetKind() != want.Kind {
		errs = append(errs, field.Invalid(field.NewPath("kind"), u.GetKind(), fmt.Sprintf("must be %v", want.Kind)))
	}
	if gv := want.GroupVersion().String(); u.GetAPIVersion() != gv {
		errs = append(errs, field.Invalid(field.NewPath("apiVersion"), u.GetAPIVersion(), fmt.Sprintf("must be %v", gv)))
	}
	return errs
}

func (r *rules) metadataErrors(w write) field.ErrorList {
	at := field.NewPath("metadata")
	if w.old == nil {
		return apivalidation.ValidateObjectMetaAccessor(w.object, r.namespaced, apivalidation.NameIsDNSSubdomain, at)
	}
	return apivalidation.ValidateObjectMetaAccessorUpdate(w.object, w.old, at)
}

func schemaErrors(w write, p *programs, s *structural.Structural, changes *common.CorrelatedObject) field.ErrorList {
	switch {
	case w.old == nil:
		return validation.ValidateCustomResource(nil, w.object.Object, p.object)
	case !w.status():
		return validation.ValidateCustomResourceUpdate(nil, w.object.Object, w.old.Object, p.object, validation.WithRatcheting(changes))
	}
	status, ok := w.object.Object["status"]
	if !ok || p.status == nil {
		return nil
	}
	var options []validation.ValidationOption
	if s != nil {
		options = append(options, validation.WithRatcheting(changes.Key("status")))
	}
	return validation.ValidateCustomResourceUpdate(field.NewPath("status"), status, w.old.Object["status"], p.status, options...)
}

// listErrors are about lists that are to be sets or maps.
func listErrors(w write, s *structural.Structural) field.ErrorList {
	if w.old != nil && len(listtype.ValidateListSetsAndMaps(nil, s, w.old.Object)) > 0 {
		return nil
	}
	return listtype.ValidateListSetsAndMaps(nil, s, w.object.Object)
}

// expressionErrors are those of the schema's CEL expressions, which look at objects that are valid
// otherwise.
func expressionErrors(ctx context.Context, w write, v *cel.Validator, s *structural.Structural, errs field.ErrorList, o []cel.Option) field.ErrorList {
	if v == nil {
		return nil
	}
	for _, e := range errs {
		switch e.Type {
		case field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid:
			return field.ErrorList{field.Invalid(nil, nil, "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation")}
		}
	}
	var before any
	if w.old != nil {
		before = w.old.Object
	}
	found, _ := v.Validate(ctx, nil, s, w.object.Object, before, celconfig.RuntimeCELCostBudget, o...)
	return found
}
