package manifests

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	pvcutil "k8s.io/kubernetes/pkg/api/persistentvolumeclaim"
	"k8s.io/kubernetes/pkg/apis/core"
	kcorev1 "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/apis/core/validation"
)

func persistentVolumeClaimKind() *Kind {
	return newKind(coreKind("PersistentVolumeClaim"), Kind{
		Resource: "persistentvolumeclaims", ShortNames: []string{"pvc"}, Namespaced: true, HasStatus: true, ReturnsDeleted: true,
		New: newOf[*corev1.PersistentVolumeClaim](), NewList: newOf[*corev1.PersistentVolumeClaimList](),
		Rules: &rules[*corev1.PersistentVolumeClaim, core.PersistentVolumeClaim]{
			namespaced:   true,
			toInternal:   kcorev1.Convert_v1_PersistentVolumeClaim_To_core_PersistentVolumeClaim,
			fromInternal: kcorev1.Convert_core_PersistentVolumeClaim_To_v1_PersistentVolumeClaim,
			prepareCreate: func(c *core.PersistentVolumeClaim) {
				c.Status = core.PersistentVolumeClaimStatus{}
				pvcutil.DropDisabledFields(&c.Spec, nil)
				pvcutil.EnforceDataSourceBackwardsCompatibility(&c.Spec, nil)
				pvcutil.NormalizeDataSources(&c.Spec)
				// The status is new, and so are its defaults: upstream applies these
				// before it clears the status, and again when it reads the object.
				c.Status.Phase = core.ClaimPending
			},
			validateCreate: func(_ context.Context, c *core.PersistentVolumeClaim) field.ErrorList {
				return validation.ValidatePersistentVolumeClaim(c, validation.ValidationOptionsForPersistentVolumeClaim(c, nil))
			},
			warnCreate: func(_ context.Context, c *core.PersistentVolumeClaim) []string {
				return append(pvcutil.GetWarningsForPersistentVolumeClaim(c), warnOfFields(field.NewPath("spec"), &c.Spec, unhonouredClaimFields)...)
			},
			updates: map[string]update[core.PersistentVolumeClaim]{
				SubresourceNone:   persistentVolumeClaimUpdate(),
				SubresourceStatus: persistentVolumeClaimStatusUpdate(),
			},
			reset: specAndStatus(corev1.SchemeGroupVersion),
		},
	})
}

func persistentVolumeClaimUpdate() update[core.PersistentVolumeClaim] {
	return update[core.PersistentVolumeClaim]{
		prepare: func(c, old *core.PersistentVolumeClaim) {
			c.Status = old.Status
			pvcutil.DropDisabledFields(&c.Spec, &old.Spec)
			// Clients that know only one of dataSource and dataSourceRef leave the
			// other one out.
			pvcutil.EnforceDataSourceBackwardsCompatibility(&c.Spec, &old.Spec)
			pvcutil.NormalizeDataSources(&c.Spec)
			pvcutil.NormalizeDataSources(&old.Spec)
		},
		validate: func(_ context.Context, c, old *core.PersistentVolumeClaim) field.ErrorList {
			return validation.ValidatePersistentVolumeClaimUpdate(c, old, validation.ValidationOptionsForPersistentVolumeClaim(c, old))
		},
		warn: func(_ context.Context, c, _ *core.PersistentVolumeClaim) []string {
			return pvcutil.GetWarningsForPersistentVolumeClaim(c)
		},
	}
}

func persistentVolumeClaimStatusUpdate() update[core.PersistentVolumeClaim] {
	return update[core.PersistentVolumeClaim]{
		prepare: func(c, old *core.PersistentVolumeClaim) {
			c.Spec = old.Spec
			pvcutil.DropDisabledFieldsFromStatus(c, old)
		},
		validate: func(_ context.Context, c, old *core.PersistentVolumeClaim) field.ErrorList {
			return validation.ValidatePersistentVolumeClaimStatusUpdate(c, old, validation.ValidationOptionsForPersistentVolumeClaim(c, old))
		},
	}
}
