package manifests

import (
	"context"
	"strconv"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/core"
	kcorev1 "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/utils/ptr"
)

// replicationControllerKind keeps its pods when it is deleted by a request that
// says nothing of them, as core/v1 always has.
func replicationControllerKind() *Kind {
	return newKind(coreKind("ReplicationController"), Kind{
		Resource: "replicationcontrollers", ShortNames: []string{"rc"}, Categories: []string{"all"},
		Namespaced: true, HasStatus: true, Dependents: OrphanDependents,
		New: newOf[*corev1.ReplicationController](), NewList: newOf[*corev1.ReplicationControllerList](),
		Scale: replicationControllerScale(),
		Rules: &rules[*corev1.ReplicationController, core.ReplicationController]{
			namespaced:   true,
			toInternal:   kcorev1.Convert_v1_ReplicationController_To_core_ReplicationController,
			fromInternal: kcorev1.Convert_core_ReplicationController_To_v1_ReplicationController,
			prepareCreate: func(rc *core.ReplicationController) {
				rc.Status = core.ReplicationControllerStatus{}
				rc.Generation = 1
				pod.DropDisabledTemplateFields(rc.Spec.Template, nil)
			},
			validateCreate: func(_ context.Context, rc *core.ReplicationController) field.ErrorList {
				return validation.ValidateReplicationController(rc, pod.GetValidationOptionsFromPodTemplate(rc.Spec.Template, nil))
			},
			warnCreate: func(ctx context.Context, rc *core.ReplicationController) []string {
				return append(warnOfName(rc.Name, "Pod names and hostnames"),
					warnOfTemplate(ctx, field.NewPath("spec", "template"), rc.Spec.Template, nil)...)
			},
			podSpec: func(o *core.ReplicationController) (*field.Path, *core.PodSpec) {
				if o.Spec.Template == nil {
					return nil, nil
				}
				return field.NewPath("spec", "template", "spec"), &o.Spec.Template.Spec
			},
			updates: map[string]update[core.ReplicationController]{
				SubresourceNone:   replicationControllerUpdate(),
				SubresourceStatus: replicationControllerStatusUpdate(),
			},
			fields: fieldTable[*corev1.ReplicationController]{
				"status.replicas": func(rc *corev1.ReplicationController) string {
					return strconv.Itoa(int(rc.Status.Replicas))
				},
			},
			reset: specAndStatus(corev1.SchemeGroupVersion),
		},
	})
}

func replicationControllerUpdate() update[core.ReplicationController] {
	return update[core.ReplicationController]{
		prepare: func(rc, old *core.ReplicationController) {
			rc.Status = old.Status
			pod.DropDisabledTemplateFields(rc.Spec.Template, old.Spec.Template)
			bump(&rc.Generation, old.Generation, &rc.Spec, &old.Spec)
		},
		validate: func(_ context.Context, rc, old *core.ReplicationController) field.ErrorList {
			opts := pod.GetValidationOptionsFromPodTemplate(rc.Spec.Template, old.Spec.Template)
			return validation.ValidateReplicationControllerUpdate(rc, old, opts)
		},
		warn: func(ctx context.Context, rc, old *core.ReplicationController) []string {
			if rc.Generation == old.Generation {
				return nil
			}
			return warnOfTemplate(ctx, field.NewPath("spec", "template"), rc.Spec.Template, old.Spec.Template)
		},
	}
}

func replicationControllerStatusUpdate() update[core.ReplicationController] {
	return update[core.ReplicationController]{
		prepare: func(rc, old *core.ReplicationController) { rc.Spec = old.Spec },
		validate: func(_ context.Context, rc, old *core.ReplicationController) field.ErrorList {
			return validation.ValidateReplicationControllerStatusUpdate(rc, old)
		},
	}
}

func replicationControllerScale() *ScaleRules {
	return &ScaleRules{
		ReplicasPath: path("spec", "replicas"),
		Get: func(obj Object) *autoscalingv1.Scale {
			rc := obj.(*corev1.ReplicationController)
			selector := labels.SelectorFromSet(rc.Spec.Selector).String()
			return scaleOf(rc, ptr.Deref(rc.Spec.Replicas, 0), rc.Status.Replicas, selector)
		},
		Set: func(obj Object, replicas int32) {
			obj.(*corev1.ReplicationController).Spec.Replicas = &replicas
		},
	}
}
