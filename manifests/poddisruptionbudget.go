package manifests

import (
	"context"

	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/policy"
	kpolicyv1 "k8s.io/kubernetes/pkg/apis/policy/v1"
	"k8s.io/kubernetes/pkg/apis/policy/validation"
)

func podDisruptionBudgetKind() *Kind {
	return newKind(policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget"), Kind{
		Resource: "poddisruptionbudgets", ShortNames: []string{"pdb"}, Namespaced: true, HasStatus: true, RequireVersion: true,
		New: newOf[*policyv1.PodDisruptionBudget](), NewList: newOf[*policyv1.PodDisruptionBudgetList](),
		Rules: &rules[*policyv1.PodDisruptionBudget, policy.PodDisruptionBudget]{
			namespaced:   true,
			toInternal:   kpolicyv1.Convert_v1_PodDisruptionBudget_To_policy_PodDisruptionBudget,
			fromInternal: kpolicyv1.Convert_policy_PodDisruptionBudget_To_v1_PodDisruptionBudget,
			prepareCreate: func(b *policy.PodDisruptionBudget) {
				b.Status = policy.PodDisruptionBudgetStatus{}
				b.Generation = 1
				stripOldSelector(b, nil)
			},
			validateCreate: func(_ context.Context, b *policy.PodDisruptionBudget) field.ErrorList {
				return validation.ValidatePodDisruptionBudget(b, validation.PodDisruptionBudgetValidationOptions{})
			},
			updates: map[string]update[policy.PodDisruptionBudget]{
				SubresourceNone: {
					prepare: func(b, old *policy.PodDisruptionBudget) {
						b.Status = old.Status
						bump(&b.Generation, old.Generation, &b.Spec, &old.Spec)
						stripOldSelector(b, old)
					},
					validate: func(_ context.Context, b, old *policy.PodDisruptionBudget) field.ErrorList {
						return validation.ValidatePodDisruptionBudget(b, validation.PodDisruptionBudgetValidationOptions{
							AllowInvalidLabelValueInSelector: selectsInvalidLabels(old),
						})
					},
				},
				SubresourceStatus: {
					prepare: func(b, old *policy.PodDisruptionBudget) { b.Spec = old.Spec },
					validate: func(_ context.Context, b, old *policy.PodDisruptionBudget) field.ErrorList {
						return validation.ValidatePodDisruptionBudgetStatusUpdate(b.Status, old.Status, field.NewPath("status"), policyv1.SchemeGroupVersion)
					},
				},
			},
			reset: specAndStatus(policyv1.SchemeGroupVersion),
		},
	})
}

// stripOldSelector drops from a changed selector the label by which upstream
// tells what an empty selector meant in v1beta1, unless it stands alone.
func stripOldSelector(b, old *policy.PodDisruptionBudget) {
	switch {
	case old != nil && equality.Semantic.DeepEqual(old.Spec.Selector, b.Spec.Selector):
	case equality.Semantic.DeepEqual(b.Spec.Selector, policy.NonV1beta1MatchNoneSelector):
	case equality.Semantic.DeepEqual(b.Spec.Selector, policy.NonV1beta1MatchAllSelector):
	default:
		policy.StripPDBV1beta1Label(b.Spec.Selector)
	}
}

// selectsInvalidLabels reports whether a selector that is stored would not be
// accepted any more: it may stay.
func selectsInvalidLabels(b *policy.PodDisruptionBudget) bool {
	return b.Spec.Selector != nil &&
		len(metavalidation.ValidateLabelSelector(b.Spec.Selector, metavalidation.LabelSelectorValidationOptions{}, nil)) > 0
}
