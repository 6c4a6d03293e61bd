package manifests

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/apps"
	kappsv1 "k8s.io/kubernetes/pkg/apis/apps/v1"
	"k8s.io/kubernetes/pkg/apis/apps/validation"
)

func controllerRevisionKind() *Kind {
	return newKind(appsKind("ControllerRevision"), Kind{
		Resource: "controllerrevisions", Namespaced: true,
		New: newOf[*appsv1.ControllerRevision](), NewList: newOf[*appsv1.ControllerRevisionList](),
		Rules: &rules[*appsv1.ControllerRevision, apps.ControllerRevision]{
			namespaced:   true,
			toInternal:   kappsv1.Convert_v1_ControllerRevision_To_apps_ControllerRevision,
			fromInternal: kappsv1.Convert_apps_ControllerRevision_To_v1_ControllerRevision,
			validateCreate: func(_ context.Context, r *apps.ControllerRevision) field.ErrorList {
				return validation.ValidateControllerRevisionCreate(r)
			},
			updates: map[string]update[apps.ControllerRevision]{
				SubresourceNone: {
					validate: func(_ context.Context, r, old *apps.ControllerRevision) field.ErrorList {
						return validation.ValidateControllerRevisionUpdate(r, old)
					},
				},
			},
		},
	})
}
