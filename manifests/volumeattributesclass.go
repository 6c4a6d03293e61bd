package manifests

import (
	"context"

	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/storage"
	kstoragev1 "k8s.io/kubernetes/pkg/apis/storage/v1"
	"k8s.io/kubernetes/pkg/apis/storage/validation"
)

func volumeAttributesClassKind() *Kind {
	return storageKind("VolumeAttributesClass", Kind{
		Resource: "volumeattributesclasses", ShortNames: []string{"vac"}, ReturnsDeleted: true,
		New: newOf[*storagev1.VolumeAttributesClass](), NewList: newOf[*storagev1.VolumeAttributesClassList](),
		Rules: &rules[*storagev1.VolumeAttributesClass, storage.VolumeAttributesClass]{
			toInternal:   kstoragev1.Convert_v1_VolumeAttributesClass_To_storage_VolumeAttributesClass,
			fromInternal: kstoragev1.Convert_storage_VolumeAttributesClass_To_v1_VolumeAttributesClass,
			validateCreate: func(_ context.Context, c *storage.VolumeAttributesClass) field.ErrorList {
				return validation.ValidateVolumeAttributesClass(c)
			},
			warnCreate: func(context.Context, *storage.VolumeAttributesClass) []string {
				return warnOfStoredOnly("VolumeAttributesClass")
			},
			updates: map[string]update[storage.VolumeAttributesClass]{
				SubresourceNone: {
					validate: func(_ context.Context, c, old *storage.VolumeAttributesClass) field.ErrorList {
						return validation.ValidateVolumeAttributesClassUpdate(c, old)
					},
				},
			},
		},
	})
}
