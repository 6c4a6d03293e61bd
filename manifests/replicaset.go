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

func replicaSetKind() *Kind {
	served, versions := servedApps("ReplicaSet", oldSets)
	return newKind(appsKind("ReplicaSet"), Kind{
		Served:   served,
		Resource: "replicasets", ShortNames: []string{"rs"}, Categories: []string{"all"},
		Namespaced: true, HasStatus: true,
		New: newOf[*appsv1.ReplicaSet](), NewList: newOf[*appsv1.ReplicaSetList](),
		Scale: replicaSetScale(),
		Rules: &rules[*appsv1.ReplicaSet, apps.ReplicaSet]{
			namespaced:   true,
			toInternal:   kappsv1.Convert_v1_ReplicaSet_To_apps_ReplicaSet,
			fromInternal: kappsv1.Convert_apps_ReplicaSet_To_v1_ReplicaSet,
			prepareCreate: func(rs *apps.ReplicaSet) {
				rs.Status = apps.ReplicaSetStatus{}
				rs.Generation = 1
				pod.DropDisabledTemplateFields(&rs.Spec.Template, nil)
			},
			validateCreate: func(_ context.Context, rs *apps.ReplicaSet) field.ErrorList {
				return validation.ValidateReplicaSet(rs, pod.GetValidationOptionsFromPodTemplate(&rs.Spec.Template, nil))
			},
			warnCreate: func(ctx context.Context, rs *apps.ReplicaSet) []string {
				return append(warnOfName(rs.Name, "Pod names and hostnames"),
					warnOfTemplate(ctx, field.NewPath("spec", "template"), &rs.Spec.Template, nil)...)
			},
			podSpec: func(o *apps.ReplicaSet) (*field.Path, *core.PodSpec) {
				return field.NewPath("spec", "template", "spec"), &o.Spec.Template.Spec
			},
			updates: map[string]update[apps.ReplicaSet]{
				SubresourceNone:   replicaSetUpdate(),
				SubresourceStatus: replicaSetStatusUpdate(),
			},
			reset: specAndStatus(versions...),
		},
	})
}

func replicaSetUpdate() update[apps.ReplicaSet] {
	return update[apps.ReplicaSet]{
		prepare: func(rs, old *apps.ReplicaSet) {
			rs.Status = old.Status
			pod.DropDisabledTemplateFields(&rs.Spec.Template, &old.Spec.Template)
			bump(&rs.Generation, old.Generation, &rs.Spec, &old.Spec)
		},
		validate: func(_ context.Context, rs, old *apps.ReplicaSet) field.ErrorList {
			opts := pod.GetValidationOptionsFromPodTemplate(&rs.Spec.Template, &old.Spec.Template)
			return validation.ValidateReplicaSetUpdate(rs, old, opts)
		},
		warn: func(ctx context.Context, rs, old *apps.ReplicaSet) []string {
			if rs.Generation == old.Generation {
				return nil
			}
			return warnOfTemplate(ctx, field.NewPath("spec", "template"), &rs.Spec.Template, &old.Spec.Template)
		},
	}
}

func replicaSetStatusUpdate() update[apps.ReplicaSet] {
	return update[apps.ReplicaSet]{
		prepare: func(rs, old *apps.ReplicaSet) { rs.Spec = old.Spec },
		validate: func(_ context.Context, rs, old *apps.ReplicaSet) field.ErrorList {
			return validation.ValidateReplicaSetStatusUpdate(rs, old)
		},
	}
}

func replicaSetScale() *ScaleRules {
	return &ScaleRules{
		ReplicasPath: path("spec", "replicas"),
		Get: func(obj Object) *autoscalingv1.Scale {
			rs := obj.(*appsv1.ReplicaSet)
			return scaleOf(rs, ptr.Deref(rs.Spec.Replicas, 0), rs.Status.Replicas, selectorText(rs.Spec.Selector))
		},
		Set: func(obj Object, replicas int32) { obj.(*appsv1.ReplicaSet).Spec.Replicas = &replicas },
	}
}
