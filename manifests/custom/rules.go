package custom

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"skiff/manifests"
)

// rules are those of a version, which follow strategy.go and status_strategy.go in
// k8s.io/apiextensions-apiserver pkg/registry/customresource.
type rules struct {
	version    *Version
	namespaced bool
	hasStatus  bool
	scale      *extv1.CustomResourceSubresourceScale // nil if there is no such subresource
	selectable []selectableField
}

var _ manifests.Rules = (*rules)(nil)

// Create implements manifests.Rules.
func (r *rules) Create(ctx context.Context, obj manifests.Object) manifests.Review {
	u := obj.(*unstructured.Unstructured)
	if r.hasStatus {
		delete(u.Object, "status")
	}
	u.SetGeneration(1)
	r.version.Default(u) // admission may have added what has defaults
	return r.review(ctx, write{object: u})
}

// Update implements manifests.Rules.
func (r *rules) Update(ctx context.Context, obj, old manifests.Object, subresource string) manifests.Review {
	u, before := obj.(*unstructured.Unstructured), old.(*unstructured.Unstructured)
	r.version.Default(u)
	if subresource == manifests.SubresourceStatus {
		takeStatus(u, before)
	} else {
		r.keepStatus(u, before)
		if !apiequality.Semantic.DeepEqual(beyondMetadata(u), beyondMetadata(before)) {
			u.SetGeneration(before.GetGeneration() + 1)
		}
	}
	return r.review(ctx, write{object: u, old: before, subresource: subresource})
}

func (r *rules) review(ctx context.Context, w write) manifests.Review {
	errs := r.validate(ctx, w)
	if len(errs) > 0 || w.subresource == manifests.SubresourceStatus {
		return manifests.Review{Errors: errs}
	}
	var known []string
	if w.old != nil {
		known = w.old.GetFinalizers()
	}
	return manifests.Review{Warnings: finalizerWarnings(w.object.GetFinalizers(), known)}
}

// keepStatus restores the status, which is written through its subresource alone.
func (r *rules) keepStatus(u, old *unstructured.Unstructured) {
	if !r.hasStatus {
		return
	}
	if status, ok := old.Object["status"]; ok {
		u.Object["status"] = status
	} else {
		delete(u.Object, "status")
	}
}

// takeStatus makes u the old object with a new status, and with the managed fields that tell who
// has set it.
func takeStatus(u, old *unstructured.Unstructured) {
	status, ok := u.Object["status"]
	managed := u.GetManagedFields()
	u.Object = old.DeepCopy().Object
	u.SetManagedFields(managed)
	if ok {
		u.Object["status"] = status
	} else {
		delete(u.Object, "status")
	}
}

func beyondMetadata(u *unstructured.Unstructured) map[string]any {
	out := make(map[string]any, len(u.Object))
	for k, v := range u.Object {
		if k != "metadata" {
			out[k] = v
		}
	}
	return out
}

// finalizerWarnings are upstream's for new finalizers whose names could be anybody's.
func finalizerWarnings(finalizers, known []string) (warnings []string) {
	standard := []string{metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents, string(corev1.FinalizerKubernetes)}
	added := slices.DeleteFunc(slices.Clone(finalizers), func(f string) bool { return slices.Contains(known, f) })
	slices.Sort(added)
	const at = "metadata.finalizers"
	for _, f := range slices.Compact(added) {
		for _, wrong := range validation.IsQualifiedName(f) {
			warnings = append(warnings, fmt.Sprintf("%s: %q: %s", at, f, wrong))
		}
		if strings.Contains(f, "/") || slices.Contains(standard, f) {
			continue
		}
		path := ""
		if strings.Contains(f, ".") {
			path = " including a path (/)"
		}
		warnings = append(warnings, fmt.Sprintf(
			"%s: %q: prefer a domain-qualified finalizer name%s to avoid accidental conflicts with other finalizer writers", at, f, path))
	}
	return warnings
}

// Grace implements manifests.Rules: custom resources know no graceful deletion.
func (r *rules) Grace(manifests.Object, *metav1.DeleteOptions) *int64 { return nil }

// ResetFields implements manifests.Rules.
func (r *rules) ResetFields(subresource string) map[fieldpath.APIVersion]*fieldpath.Set {
	gv := fieldpath.APIVersion(r.version.GVK.GroupVersion().String())
	set := func(names ...string) map[fieldpath.APIVersion]*fieldpath.Set {
		s := fieldpath.NewSet()
		for _, name := range names {
			s.Insert(fieldpath.MakePathOrDie(name))
		}
		return map[fieldpath.APIVersion]*fieldpath.Set{gv: s}
	}
	switch {
	case !r.hasStatus:
		return nil
	case subresource == manifests.SubresourceStatus:
		return set("metadata", "spec")
	}
	return set("status")
}

func refused(err error) field.ErrorList { return field.ErrorList{field.InternalError(nil, err)} }
