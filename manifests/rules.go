package manifests

import (
	"context"
	"reflect"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validate"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/features"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/kubernetes/pkg/apis/core"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// rules implements Rules for the stored type V, with functions on the type I
// that upstream's validation works on. Converting between the two is next to
// free: the types agree in memory, and the conversions share what the object
// points to. Hence no function may write through a pointer into an old object.
//
// A nil function does nothing.
type rules[V Object, I any] struct {
	namespaced bool

	toInternal   func(V, *I, conversion.Scope) error
	fromInternal func(*I, V, conversion.Scope) error

	prepareCreate func(*I)
	// prepareCreateBy is prepareCreate for what depends on whose request it is.
	prepareCreateBy func(context.Context, *I)
	validateCreate  func(context.Context, *I) field.ErrorList
	warnCreate      func(context.Context, *I) []string
	canonicalize    func(*I)

	// podSpec is the specification of a pod that the object holds, and where, so that what skiff does not
	// support is refused. It is nil, and so is what it returns, if there is none.
	podSpec func(*I) (*field.Path, *core.PodSpec)

	// updates holds the rules of the object (key "") and of its subresources.
	updates map[string]update[I]

	// feature holds the options that declarative validation asks for.
	features map[string]bool

	// fields are the selectable fields beside those of the metadata.
	fields fieldTable[V]
	grace  func(V, *metav1.DeleteOptions) *int64
	// reset lists, by subresource and served version, what a write can't set.
	reset resetFields
}

// update is what one way of updating an object may change.
type update[I any] struct {
	prepare  func(obj, old *I)
	validate func(ctx context.Context, obj, old *I) field.ErrorList
	warn     func(ctx context.Context, obj, old *I) []string
}

func (r *rules[V, I]) Create(ctx context.Context, obj Object) Review {
	v := obj.(V)
	in := new(I)
	if err := r.toInternal(v, in, nil); err != nil {
		return refused(err)
	}
	if r.prepareCreate != nil {
		r.prepareCreate(in)
	}
	if r.prepareCreateBy != nil {
		r.prepareCreateBy(ctx, in)
	}
	if err := r.fromInternal(in, v, nil); err != nil {
		return refused(err)
	}
	if errs := r.errorsOfCreate(ctx, v, in); len(errs) > 0 {
		return Review{Errors: errs}
	}
	var warnings []string
	if r.warnCreate != nil {
		warnings = r.warnCreate(ctx, in)
	}
	return Review{Warnings: warnings, Errors: r.settle(v, in)}
}

func (r *rules[V, I]) errorsOfCreate(ctx context.Context, v V, in *I) field.ErrorList {
	var errs field.ErrorList
	if r.validateCreate != nil {
		errs = r.validateCreate(ctx, in)
	}
	errs = append(errs, r.unsupported(in)...)
	if len(errs) == 0 {
		// Only now, so that a kind's own, more telling, errors come first.
		errs = validation.ValidateObjectMetaAccessor(v, r.namespaced, pathSegment, field.NewPath("metadata"))
	}
	return withDeclared(ctx, errs, Scheme().Validate(ctx, r.features, v))
}

// unsupported are the reasons for which skiff refuses the pod that an object holds.
func (r *rules[V, I]) unsupported(in *I) field.ErrorList {
	if r.podSpec == nil {
		return nil
	}
	path, spec := r.podSpec(in)
	if spec == nil {
		return nil
	}
	return unsupported(path, spec)
}

func (r *rules[V, I]) Update(ctx context.Context, obj, old Object, subresource string) Review {
	v, vOld := obj.(V), old.(V)
	in, inOld := new(I), new(I)
	if err := r.toInternal(v, in, nil); err != nil {
		return refused(err)
	}
	if err := r.toInternal(vOld, inOld, nil); err != nil {
		return refused(err)
	}
	u, known := r.updates[subresource]
	if !known {
		return Review{Errors: field.ErrorList{field.InternalError(nil, errUnknownSubresource(subresource))}}
	}
	if u.prepare != nil {
		u.prepare(in, inOld)
	}
	if err := r.fromInternal(in, v, nil); err != nil {
		return refused(err)
	}
	if errs := r.errorsOfUpdate(ctx, u, v, vOld, in, inOld, subresource); len(errs) > 0 {
		return Review{Errors: errs}
	}
	var warnings []string
	if u.warn != nil {
		warnings = u.warn(ctx, in, inOld)
	}
	return Review{Warnings: warnings, Errors: r.settle(v, in)}
}

func (r *rules[V, I]) errorsOfUpdate(ctx context.Context, u update[I], v, vOld V, in, inOld *I, subresource string) field.ErrorList {
	metadata := field.NewPath("metadata")
	errs := validation.ValidateObjectMetaAccessor(v, r.namespaced, pathSegment, metadata)
	errs = append(errs, validation.ValidateObjectMetaAccessorUpdate(v, vOld, metadata)...)
	if u.validate != nil {
		errs = append(errs, u.validate(ctx, in, inOld)...)
	}
	if len(r.unsupported(inOld)) == 0 { // else the object is older than the rule
		errs = append(errs, r.unsupported(in)...)
	}
	var path []string
	if subresource != SubresourceNone {
		path = []string{subresource}
	}
	return withDeclared(ctx, errs, Scheme().ValidateUpdate(ctx, r.features, v, vOld, path...))
}

// settle brings a valid object into its canonical form.
func (r *rules[V, I]) settle(v V, in *I) field.ErrorList {
	if r.canonicalize == nil {
		return nil
	}
	r.canonicalize(in)
	if err := r.fromInternal(in, v, nil); err != nil {
		return refused(err).Errors
	}
	return nil
}

func (r *rules[V, I]) Fields(obj Object) fields.Fields {
	return selectable[V]{obj: obj.(V), own: r.fields}
}

func (r *rules[V, I]) Grace(obj Object, o *metav1.DeleteOptions) *int64 {
	if r.grace == nil {
		return nil
	}
	return r.grace(obj.(V), o)
}

func (r *rules[V, I]) ResetFields(subresource string) map[fieldpath.APIVersion]*fieldpath.Set {
	return r.reset[subresource]
}

// withDeclared adds the errors of upstream's declarative validation to those of
// its hand-written one, as k8s.io/apiserver/pkg/registry/rest does: of a rule
// that both know, the declared error is the one that is shown.
func withDeclared(ctx context.Context, written, declared field.ErrorList) field.ErrorList {
	if len(declared) == 0 {
		return written
	}
	beta := utilfeature.DefaultFeatureGate.Enabled(features.DeclarativeValidationBeta)
	enforced := validate.FilterEnforcedDeclarativeErrors(ctx, declared, beta)
	written = validate.FilterCoveredHandwrittenErrors(ctx, written.MarkFromImperative(), enforced, beta)
	return append(written, enforced...)
}

func refused(err error) Review {
	return Review{Errors: field.ErrorList{field.InternalError(nil, err)}}
}

func pathSegment(name string, prefix bool) []string {
	if prefix {
		return content.IsPathSegmentPrefix(name)
	}
	return content.IsPathSegmentName(name)
}

// newOf returns a constructor of the type V points to.
func newOf[V runtime.Object]() func() runtime.Object {
	t := reflect.TypeFor[V]().Elem()
	return func() runtime.Object { return reflect.New(t).Interface().(runtime.Object) }
}

// bump raises the generation when two specifications differ.
func bump(generation *int64, old int64, spec, oldSpec any) {
	if !equality.Semantic.DeepEqual(spec, oldSpec) {
		*generation = old + 1
	}
}
