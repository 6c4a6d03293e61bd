package manifests

import (
	"context"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/kubernetes/pkg/apis/autoscaling"
	kautoscalingv1 "k8s.io/kubernetes/pkg/apis/autoscaling/v1"
	kautoscalingv2 "k8s.io/kubernetes/pkg/apis/autoscaling/v2"
	"k8s.io/kubernetes/pkg/apis/autoscaling/validation"
	"k8s.io/kubernetes/pkg/features"
)

// addAutoscalingGroup serves the group in its two versions. Autoscalers are stored as v2 has them, and
// served as v1 by upstream's conversion, which keeps in annotations what v1 has no fields for; a Scale
// is of v1.
func addAutoscalingGroup(s *runtime.Scheme) error {
	for _, add := range []func(*runtime.Scheme) error{autoscalingv2.AddToScheme, autoscalingv1.AddToScheme} {
		if err := add(s); err != nil {
			return err
		}
	}
	internal := schema.GroupVersion{Group: autoscalingv2.GroupName, Version: runtime.APIVersionInternal}
	s.AddKnownTypes(internal, &autoscalingv2.HorizontalPodAutoscaler{}, &autoscalingv2.HorizontalPodAutoscalerList{}, &autoscalingv1.Scale{})
	if err := servedAs[autoscalingv1.HorizontalPodAutoscalerList, autoscalingv2.HorizontalPodAutoscalerList](s,
		kautoscalingv1.Convert_v1_HorizontalPodAutoscaler_To_autoscaling_HorizontalPodAutoscaler, kautoscalingv2.Convert_autoscaling_HorizontalPodAutoscaler_To_v2_HorizontalPodAutoscaler,
		kautoscalingv2.Convert_v2_HorizontalPodAutoscaler_To_autoscaling_HorizontalPodAutoscaler, kautoscalingv1.Convert_autoscaling_HorizontalPodAutoscaler_To_v1_HorizontalPodAutoscaler); err != nil {
		return err
	}
	return s.SetVersionPriority(autoscalingv2.SchemeGroupVersion, autoscalingv1.SchemeGroupVersion)
}

func horizontalPodAutoscalerKind() *Kind {
	v1, v2 := autoscalingv1.SchemeGroupVersion, autoscalingv2.SchemeGroupVersion
	return newKind(v2.WithKind("HorizontalPodAutoscaler"), Kind{
		Served:   []schema.GroupVersionKind{v2.WithKind("HorizontalPodAutoscaler"), v1.WithKind("HorizontalPodAutoscaler")},
		Resource: "horizontalpodautoscalers", ShortNames: []string{"hpa"}, Categories: []string{"all"}, Namespaced: true, HasStatus: true,
		New: newOf[*autoscalingv2.HorizontalPodAutoscaler](), NewList: newOf[*autoscalingv2.HorizontalPodAutoscalerList](),
		Rules: &rules[*autoscalingv2.HorizontalPodAutoscaler, autoscaling.HorizontalPodAutoscaler]{
			namespaced:   true,
			toInternal:   kautoscalingv2.Convert_v2_HorizontalPodAutoscaler_To_autoscaling_HorizontalPodAutoscaler,
			fromInternal: kautoscalingv2.Convert_autoscaling_HorizontalPodAutoscaler_To_v2_HorizontalPodAutoscaler,
			prepareCreate: func(a *autoscaling.HorizontalPodAutoscaler) {
				a.Status = autoscaling.HorizontalPodAutoscalerStatus{}
				a.Generation = 1
			},
			validateCreate: func(_ context.Context, a *autoscaling.HorizontalPodAutoscaler) field.ErrorList {
				return validation.ValidateHorizontalPodAutoscaler(a, autoscalerOptions(a, nil))
			},
			updates: map[string]update[autoscaling.HorizontalPodAutoscaler]{
				SubresourceNone: {
					prepare: func(a, old *autoscaling.HorizontalPodAutoscaler) {
						a.Status = old.Status
						bump(&a.Generation, old.Generation, &a.Spec, &old.Spec)
					},
					validate: func(_ context.Context, a, old *autoscaling.HorizontalPodAutoscaler) field.ErrorList {
						return validation.ValidateHorizontalPodAutoscalerUpdate(a, old, autoscalerOptions(a, old))
					},
				},
				SubresourceStatus: {
					prepare: func(a, old *autoscaling.HorizontalPodAutoscaler) { a.Spec = old.Spec },
					validate: func(_ context.Context, a, old *autoscaling.HorizontalPodAutoscaler) field.ErrorList {
						return validation.ValidateHorizontalPodAutoscalerStatusUpdate(a, old)
					},
				},
			},
			features: map[string]bool{string(features.HPAScaleToZero): utilfeature.DefaultFeatureGate.Enabled(features.HPAScaleToZero)},
			reset:    specAndStatus(v1, v2),
		},
	})
}

// autoscalerOptions are those of upstream's strategy: what is stored may stay as it is, and the one kind
// of the core group that can be scaled may leave its version out.
func autoscalerOptions(a, old *autoscaling.HorizontalPodAutoscaler) validation.HorizontalPodAutoscalerSpecValidationOptions {
	o := validation.HorizontalPodAutoscalerSpecValidationOptions{
		MinReplicasLowerBound:           1,
		ScaleTargetRefValidationOptions: validation.CrossVersionObjectReferenceValidationOptions{RequiredCoveredByDeclarative: true},
		ObjectMetricsValidationOptions:  validation.CrossVersionObjectReferenceValidationOptions{AllowEmptyAPIGroup: true},
	}
	if utilfeature.DefaultFeatureGate.Enabled(features.HPAScaleToZero) || old != nil && old.Spec.MinReplicas != nil && *old.Spec.MinReplicas == 0 {
		o.MinReplicasLowerBound = 0
	}
	ref := a.Spec.ScaleTargetRef
	switch {
	case old != nil && old.Spec.ScaleTargetRef.APIVersion == ref.APIVersion && old.Spec.ScaleTargetRef.Kind == ref.Kind:
		o.ScaleTargetRefValidationOptions.AllowInvalidAPIVersion = true
	case ref.Kind == "ReplicationController":
		o.ScaleTargetRefValidationOptions.AllowEmptyAPIGroup = true
	}
	if old != nil {
		for _, m := range old.Spec.Metrics {
			if m.Type == autoscaling.ObjectMetricSourceType && m.Object != nil && validation.ValidateAPIVersion(m.Object.DescribedObject, o.ObjectMetricsValidationOptions) != nil {
				o.ObjectMetricsValidationOptions.AllowInvalidAPIVersion = true
			}
		}
	}
	return o
}
