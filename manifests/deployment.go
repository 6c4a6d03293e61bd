package manifests

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/apps"
	kappsv1 "k8s.io/kubernetes/pkg/apis/apps/v1"
	"k8s.io/kubernetes/pkg/apis/apps/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/utils/ptr"
)

func deploymentKind() *Kind {
	served, versions := servedApps("Deployment", oldDeployments)
	return newKind(appsKind("Deployment"), Kind{
		Served:   served,
		Resource: "deployments", ShortNames: []string{"deploy"}, Categories: []string{"all"},
		Namespaced: true, HasStatus: true,
		New: newOf[*appsv1.Deployment](), NewList: newOf[*appsv1.DeploymentList](),
		Scale: deploymentScale(),
		Rules: &rules[*appsv1.Deployment, apps.Deployment]{
			namespaced:   true,
			toInternal:   kappsv1.Convert_v1_Deployment_To_apps_Deployment,
			fromInternal: kappsv1.Convert_apps_Deployment_To_v1_Deployment,
			prepareCreate: func(d *apps.Deployment) {
				d.Status = apps.DeploymentStatus{}
				d.Generation = 1
				pod.DropDisabledTemplateFields(&d.Spec.Template, nil)
			},
			validateCreate: func(_ context.Context, d *apps.Deployment) field.ErrorList {
				return validation.ValidateDeployment(d, pod.GetValidationOptionsFromPodTemplate(&d.Spec.Template, nil))
			},
			warnCreate: func(ctx context.Context, d *apps.Deployment) []string {
				return append(warnOfName(d.Name, "Pod names and hostnames"),
					warnOfTemplate(ctx, field.NewPath("spec", "template"), &d.Spec.Template, nil)...)
			},
			podSpec: func(o *apps.Deployment) (*field.Path, *core.PodSpec) {
				return field.NewPath("spec", "template", "spec"), &o.Spec.Template.Spec
			},
			updates: map[string]update[apps.Deployment]{
				SubresourceNone:   deploymentUpdate(),
				SubresourceStatus: deploymentStatusUpdate(),
			},
			reset: resetFields{
				SubresourceNone:   reset(versions, path("status")),
				SubresourceStatus: reset(versions, path("spec"), path("metadata", "labels")),
			},
		},
	})
}

// deploymentUpdate bumps the generation for annotations too: they are copied to
// the deployment's replica sets.
func deploymentUpdate() update[apps.Deployment] {
	return update[apps.Deployment]{
		prepare: func(d, old *apps.Deployment) {
			d.Status = old.Status
			pod.DropDisabledTemplateFields(&d.Spec.Template, &old.Spec.Template)
			bump(&d.Generation, old.Generation, &d.Spec, &old.Spec)
			bump(&d.Generation, old.Generation, d.Annotations, old.Annotations)
		},
		validate: func(_ context.Context, d, old *apps.Deployment) field.ErrorList {
			return validation.ValidateDeploymentUpdate(d, old, pod.GetValidationOptionsFromPodTemplate(&d.Spec.Template, &old.Spec.Template))
		},
		warn: func(ctx context.Context, d, old *apps.Deployment) []string {
			if d.Generation == old.Generation {
				return nil
			}
			return warnOfTemplate(ctx, field.NewPath("spec", "template"), &d.Spec.Template, &old.Spec.Template)
		},
	}
}

func deploymentStatusUpdate() update[apps.Deployment] {
	return update[apps.Deployment]{
		prepare: func(d, old *apps.Deployment) { d.Spec, d.Labels = old.Spec, old.Labels },
		validate: func(_ context.Context, d, old *apps.Deployment) field.ErrorList {
			return validation.ValidateDeploymentStatusUpdate(d, old)
		},
	}
}

func deploymentScale() *ScaleRules {
	return &ScaleRules{
		ReplicasPath: path("spec", "replicas"),
		Get: func(obj Object) *autoscalingv1.Scale {
			d := obj.(*appsv1.Deployment)
			return scaleOf(d, ptr.Deref(d.Spec.Replicas, 0), d.Status.Replicas, selectorText(d.Spec.Selector))
		},
		Set: func(obj Object, replicas int32) { obj.(*appsv1.Deployment).Spec.Replicas = &replicas },
	}
}
