package manifests

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	pvutil "k8s.io/kubernetes/pkg/api/persistentvolume"
	"k8s.io/kubernetes/pkg/apis/core"
	kcorev1 "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/apis/core/validation"
	volumevalidation "k8s.io/kubernetes/pkg/volume/validation"
)

func persistentVolumeKind() *Kind {
	return newKind(coreKind("PersistentVolume"), Kind{
		Resource: "persistentvolumes", ShortNames: []string{"pv"}, HasStatus: true, ReturnsDeleted: true,
		New: newOf[*corev1.PersistentVolume](), NewList: newOf[*corev1.PersistentVolumeList](),
		Rules: &rules[*corev1.PersistentVolume, core.PersistentVolume]{
			toInternal:   kcorev1.Convert_v1_PersistentVolume_To_core_PersistentVolume,
			fromInternal: kcorev1.Convert_core_PersistentVolume_To_v1_PersistentVolume,
			prepareCreate: func(v *core.PersistentVolume) {
				pvutil.DropDisabledSpecFields(&v.Spec, nil)
				// The volume was created now: its creationTimestamp is set already.
				v.Status = core.PersistentVolumeStatus{Phase: core.VolumePending, LastPhaseTransitionTime: v.CreationTimestamp.DeepCopy()}
			},
			validateCreate: func(_ context.Context, v *core.PersistentVolume) field.ErrorList {
				errs := validation.ValidatePersistentVolume(v, validation.ValidationOptionsForPersistentVolume(v, nil))
				return append(errs, volumevalidation.ValidatePersistentVolume(v)...)
			},
			warnCreate: func(_ context.Context, v *core.PersistentVolume) []string {
				return append(pvutil.GetWarningsForPersistentVolume(v), unhonouredVolumeSource(&v.Spec)...)
			},
			updates: map[string]update[core.PersistentVolume]{
				SubresourceNone:   persistentVolumeUpdate(),
				SubresourceStatus: persistentVolumeStatusUpdate(),
			},
			reset: specAndStatus(corev1.SchemeGroupVersion),
		},
	})
}

func persistentVolumeUpdate() update[core.PersistentVolume] {
	return update[core.PersistentVolume]{
		prepare: func(v, old *core.PersistentVolume) {
			v.Status = old.Status
			pvutil.DropDisabledSpecFields(&v.Spec, &old.Spec)
		},
		validate: func(_ context.Context, v, old *core.PersistentVolume) field.ErrorList {
			opts := validation.ValidationOptionsForPersistentVolume(v, old)
			errs := validation.ValidatePersistentVolume(v, opts)
			errs = append(errs, volumevalidation.ValidatePersistentVolume(v)...)
			return append(errs, validation.ValidatePersistentVolumeUpdate(v, old, opts)...)
		},
		warn: func(_ context.Context, v, _ *core.PersistentVolume) []string {
			return pvutil.GetWarningsForPersistentVolume(v)
		},
	}
}

func persistentVolumeStatusUpdate() update[core.PersistentVolume] {
	return update[core.PersistentVolume]{
		// lastPhaseTransitionTime is the registry's, which has the time.
		prepare: func(v, old *core.PersistentVolume) { v.Spec = old.Spec },
		validate: func(_ context.Context, v, old *core.PersistentVolume) field.ErrorList {
			return validation.ValidatePersistentVolumeStatusUpdate(v, old)
		},
	}
}
