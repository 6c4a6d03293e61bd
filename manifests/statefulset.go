package manifests

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	pvcutil "k8s.io/kubernetes/pkg/api/persistentvolumeclaim"
	"k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/apps"
	kappsv1 "k8s.io/kubernetes/pkg/apis/apps/v1"
	"k8s.io/kubernetes/pkg/apis/apps/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/features"
	"k8s.io/utils/ptr"
)

func statefulSetKind() *Kind {
	served, versions := servedApps("StatefulSet", oldStatefulSets)
	return newKind(appsKind("StatefulSet"), Kind{
		Served:   served,
		Resource: "statefulsets", ShortNames: []string{"sts"}, Categories: []string{"all"},
		Namespaced: true, HasStatus: true,
		New: newOf[*appsv1.StatefulSet](), NewList: newOf[*appsv1.StatefulSetList](),
		Scale: statefulSetScale(),
		Rules: &rules[*appsv1.StatefulSet, apps.StatefulSet]{
			namespaced:   true,
			toInternal:   kappsv1.Convert_v1_StatefulSet_To_apps_StatefulSet,
			fromInternal: kappsv1.Convert_apps_StatefulSet_To_v1_StatefulSet,
			prepareCreate: func(s *apps.StatefulSet) {
				s.Status = apps.StatefulSetStatus{}
				s.Generation = 1
				dropMaxUnavailable(s, nil)
				pod.DropDisabledTemplateFields(&s.Spec.Template, nil)
			},
			validateCreate: func(_ context.Context, s *apps.StatefulSet) field.ErrorList {
				opts := validation.StatefulSetValidationOptions{
					AllowStatefulSetRecreateStrategy: utilfeature.DefaultFeatureGate.Enabled(features.StatefulSetRecreateStrategy),
				}
				return validation.ValidateStatefulSet(s, opts, pod.GetValidationOptionsFromPodTemplate(&s.Spec.Template, nil))
			},
			warnCreate: func(ctx context.Context, s *apps.StatefulSet) []string {
				return append(warnOfTemplate(ctx, field.NewPath("spec", "template"), &s.Spec.Template, nil), warnOfStatefulSet(s)...)
			},
			podSpec: func(o *apps.StatefulSet) (*field.Path, *core.PodSpec) {
				return field.NewPath("spec", "template", "spec"), &o.Spec.Template.Spec
			},
			updates: map[string]update[apps.StatefulSet]{
				SubresourceNone: statefulSetUpdate(),
				SubresourceStatus: {
					prepare: func(s, old *apps.StatefulSet) { s.Spec = old.Spec },
					validate: func(_ context.Context, s, old *apps.StatefulSet) field.ErrorList {
						return validation.ValidateStatefulSetStatusUpdate(s, old)
					},
				},
			},
			reset: specAndStatus(versions...),
		},
	})
}

func statefulSetUpdate() update[apps.StatefulSet] {
	return update[apps.StatefulSet]{
		prepare: func(s, old *apps.StatefulSet) {
			s.Status = old.Status
			dropMaxUnavailable(s, old)
			pod.DropDisabledTemplateFields(&s.Spec.Template, &old.Spec.Template)
			bump(&s.Generation, old.Generation, &s.Spec, &old.Spec)
		},
		validate: func(_ context.Context, s, old *apps.StatefulSet) field.ErrorList {
			opts := validation.StatefulSetValidationOptions{
				// Neither can be changed, so that what is stored must be borne with.
				AllowInvalidServiceName:          true,
				SkipValidateVolumeClaimTemplates: true,
				AllowStatefulSetRecreateStrategy: utilfeature.DefaultFeatureGate.Enabled(features.StatefulSetRecreateStrategy) ||
					old.Spec.UpdateStrategy.Type == apps.RecreateStatefulSetStrategyType,
			}
			return validation.ValidateStatefulSetUpdate(s, old, opts, pod.GetValidationOptionsFromPodTemplate(&s.Spec.Template, &old.Spec.Template))
		},
		warn: func(ctx context.Context, s, old *apps.StatefulSet) []string {
			warnings := warnOfStatefulSet(s)
			if s.Generation == old.Generation {
				return warnings
			}
			return append(warnOfTemplate(ctx, field.NewPath("spec", "template"), &s.Spec.Template, &old.Spec.Template), warnings...)
		},
	}
}

// dropMaxUnavailable drops the field of a feature that may be off, unless the
// stored set has it.
func dropMaxUnavailable(s, old *apps.StatefulSet) {
	rolling := s.Spec.UpdateStrategy.RollingUpdate
	if rolling == nil || utilfeature.DefaultFeatureGate.Enabled(features.MaxUnavailableStatefulSet) {
		return
	}
	used := old != nil && old.Spec.UpdateStrategy.RollingUpdate != nil && old.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable != nil
	if !used {
		rolling.MaxUnavailable = nil
	}
}

func warnOfStatefulSet(s *apps.StatefulSet) []string {
	var warnings []string
	for i, claim := range s.Spec.VolumeClaimTemplates {
		at := field.NewPath("spec", "volumeClaimTemplates").Index(i)
		warnings = append(warnings, pvcutil.GetWarningsForPersistentVolumeClaimSpec(at, claim.Spec)...)
		warnings = append(warnings, warnOfFields(at.Child("spec"), &claim.Spec, unhonouredClaimFields)...)
	}
	if ptr.Deref(s.Spec.RevisionHistoryLimit, 0) < 0 {
		warnings = append(warnings, "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended")
	}
	return warnings
}

func statefulSetScale() *ScaleRules {
	return &ScaleRules{
		ReplicasPath: path("spec", "replicas"),
		Get: func(obj Object) *autoscalingv1.Scale {
			s := obj.(*appsv1.StatefulSet)
			return scaleOf(s, ptr.Deref(s.Spec.Replicas, 0), s.Status.Replicas, selectorText(s.Spec.Selector))
		},
		Set: func(obj Object, replicas int32) { obj.(*appsv1.StatefulSet).Spec.Replicas = &replicas },
	}
}
