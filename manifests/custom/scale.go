package custom

import (
	"fmt"
	"math"
	"strings"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"skiff/manifests"
)

// scaleRules read and write the counts of replicas where a definition says that they are. Objects
// whose counts are no numbers are refused before they are stored, so that nothing can fail here.
func scaleRules(s *extv1.CustomResourceSubresourceScale) *manifests.ScaleRules {
	want, have := plainSteps(s.SpecReplicasPath), plainSteps(s.StatusReplicasPath)
	at := fieldpath.Path{}
	for _, step := range want {
		at = append(at, fieldpath.PathElement{FieldName: &step})
	}
	return &manifests.ScaleRules{
		ReplicasPath: at,
		Missing: func(obj manifests.Object) error {
			if _, found, err := unstructured.NestedInt64(content(obj), want...); err != nil || !found {
				return fmt.Errorf("the spec replicas field %q does not exist", s.SpecReplicasPath)
			}
			return nil
		},
		Get: func(obj manifests.Object) *autoscalingv1.Scale {
			scale := &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{
				Name: obj.GetName(), Namespace: obj.GetNamespace(), UID: obj.GetUID(),
				ResourceVersion: obj.GetResourceVersion(), CreationTimestamp: obj.GetCreationTimestamp(),
			}}
			n, _, _ := unstructured.NestedInt64(content(obj), want...)
			scale.Spec.Replicas = int32(n)
			n, _, _ = unstructured.NestedInt64(content(obj), have...)
			scale.Status.Replicas = int32(n)
			if s.LabelSelectorPath != nil {
				scale.Status.Selector, _, _ = unstructured.NestedString(content(obj), plainSteps(*s.LabelSelectorPath)...)
			}
			return scale
		},
		Set: func(obj manifests.Object, n int32) {
			// It fails where a parent is no object, which the schema has refused.
			_ = unstructured.SetNestedField(content(obj), int64(n), want...)
		},
	}
}

func content(obj manifests.Object) map[string]any {
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return nil
	}
	return u.Object
}

// plainSteps are those of a path to replicas, which can be of fields alone.
func plainSteps(path string) []string { return strings.Split(strings.TrimPrefix(path, "."), ".") }

// scaleErrors are what is wrong with the counts, the specification's left out for a status.
func (r *rules) scaleErrors(u *unstructured.Unstructured, subresource string) (errs field.ErrorList) {
	if r.scale == nil {
		return nil
	}
	if subresource != manifests.SubresourceStatus {
		errs = append(errs, countErrors(u, r.scale.SpecReplicasPath)...)
	}
	errs = append(errs, countErrors(u, r.scale.StatusReplicasPath)...)
	if path := r.scale.LabelSelectorPath; path != nil {
		text, _, err := unstructured.NestedString(u.Object, plainSteps(*path)...)
		if err != nil {
			errs = append(errs, field.Invalid(field.NewPath(*path), text, err.Error()))
		}
	}
	return errs
}

func countErrors(u *unstructured.Unstructured, path string) field.ErrorList {
	refused := func(n int64, reason string) field.ErrorList {
		return field.ErrorList{field.Invalid(field.NewPath(path), n, reason)}
	}
	n, _, err := unstructured.NestedInt64(u.Object, plainSteps(path)...)
	switch {
	case err != nil:
		return refused(n, err.Error())
	case n < 0:
		return refused(n, "should be a non-negative integer")
	case n > math.MaxInt32:
		return refused(n, fmt.Sprintf("should be less than or equal to %v", math.MaxInt32))
	}
	return nil
}
