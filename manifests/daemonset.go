package manifests

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/apps"
	kappsv1 "k8s.io/kubernetes/pkg/apis/apps/v1"
	"k8s.io/kubernetes/pkg/apis/apps/validation"
	"k8s.io/kubernetes/pkg/apis/core"
)

func daemonSetKind() *Kind {
	served, versions := servedApps("DaemonSet", oldSets)
	return newKind(appsKind("DaemonSet"), Kind{
		Served:   served,
		Resource: "daemonsets", ShortNames: []string{"ds"}, Categories: []string{"all"},
		Namespaced: true, HasStatus: true,
		New: newOf[*appsv1.DaemonSet](), NewList: newOf[*appsv1.DaemonSetList](),
		Rules: &rules[*appsv1.DaemonSet, apps.DaemonSet]{
			namespaced:   true,
			toInternal:   kappsv1.Convert_v1_DaemonSet_To_apps_DaemonSet,
			fromInternal: kappsv1.Convert_apps_DaemonSet_To_v1_DaemonSet,
			prepareCreate: func(ds *apps.DaemonSet) {
				ds.Status = apps.DaemonSetStatus{}
				ds.Generation = 1
				ds.Spec.TemplateGeneration = max(ds.Spec.TemplateGeneration, 1)
				pod.DropDisabledTemplateFields(&ds.Spec.Template, nil)
			},
			validateCreate: func(_ context.Context, ds *apps.DaemonSet) field.ErrorList {
				return validation.ValidateDaemonSet(ds, pod.GetValidationOptionsFromPodTemplate(&ds.Spec.Template, nil))
			},
			warnCreate: func(ctx context.Context, ds *apps.DaemonSet) []string {
				return warnOfTemplate(ctx, field.NewPath("spec", "template"), &ds.Spec.Template, nil)
			},
			podSpec: func(o *apps.DaemonSet) (*field.Path, *core.PodSpec) {
				return field.NewPath("spec", "template", "spec"), &o.Spec.Template.Spec
			},
			updates: map[string]update[apps.DaemonSet]{
				SubresourceNone: daemonSetUpdate(),
				SubresourceStatus: {
					prepare: func(ds, old *apps.DaemonSet) { ds.Spec = old.Spec },
					validate: func(_ context.Context, ds, old *apps.DaemonSet) field.ErrorList {
						return validation.ValidateDaemonSetStatusUpdate(ds, old)
					},
				},
			},
			reset: specAndStatus(versions...),
		},
	})
}

// daemonSetUpdate counts the generations of the template too.
func daemonSetUpdate() update[apps.DaemonSet] {
	return update[apps.DaemonSet]{
		prepare: func(ds, old *apps.DaemonSet) {
			pod.DropDisabledTemplateFields(&ds.Spec.Template, &old.Spec.Template)
			ds.Status = old.Status
			ds.Spec.TemplateGeneration = old.Spec.TemplateGeneration
			if !equality.Semantic.DeepEqual(&ds.Spec.Template, &old.Spec.Template) {
				ds.Spec.TemplateGeneration++
			}
			bump(&ds.Generation, old.Generation, &ds.Spec, &old.Spec)
		},
		validate: func(_ context.Context, ds, old *apps.DaemonSet) field.ErrorList {
			opts := pod.GetValidationOptionsFromPodTemplate(&ds.Spec.Template, &old.Spec.Template)
			opts.AllowInvalidLabelValueInSelector = opts.AllowInvalidLabelValueInSelector ||
				metavalidation.LabelSelectorHasInvalidLabelValue(old.Spec.Selector)
			return validation.ValidateDaemonSetUpdate(ds, old, opts)
		},
		warn: func(ctx context.Context, ds, old *apps.DaemonSet) []string {
			if ds.Spec.TemplateGeneration == old.Spec.TemplateGeneration {
				return nil
			}
			return warnOfTemplate(ctx, field.NewPath("spec", "template"), &ds.Spec.Template, &old.Spec.Template)
		},
	}
}
