package manifests

import (
	"context"

	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	storageutil "k8s.io/kubernetes/pkg/api/storage"
	"k8s.io/kubernetes/pkg/apis/storage"
	kstoragev1 "k8s.io/kubernetes/pkg/apis/storage/v1"
	"k8s.io/kubernetes/pkg/apis/storage/validation"
)

func storageKind(kind string, k Kind) *Kind {
	return newKind(storagev1.SchemeGroupVersion.WithKind(kind), k)
}

func storageClassKind() *Kind {
	return storageKind("StorageClass", Kind{
		Resource: "storageclasses", ShortNames: []string{"sc"}, ReturnsDeleted: true,
		New: newOf[*storagev1.StorageClass](), NewList: newOf[*storagev1.StorageClassList](),
		Rules: &rules[*storagev1.StorageClass, storage.StorageClass]{
			toInternal:   kstoragev1.Convert_v1_StorageClass_To_storage_StorageClass,
			fromInternal: kstoragev1.Convert_storage_StorageClass_To_v1_StorageClass,
			validateCreate: func(_ context.Context, c *storage.StorageClass) field.ErrorList {
				return validation.ValidateStorageClass(c)
			},
			warnCreate: func(_ context.Context, c *storage.StorageClass) []string {
				return append(storageutil.GetWarningsForStorageClass(c), warnOfStoredOnly("StorageClass")...)
			},
			updates: map[string]update[storage.StorageClass]{
				SubresourceNone: {
					validate: func(_ context.Context, c, old *storage.StorageClass) field.ErrorList {
						return append(validation.ValidateStorageClass(c), validation.ValidateStorageClassUpdate(c, old)...)
					},
					warn: func(_ context.Context, c, _ *storage.StorageClass) []string {
						return storageutil.GetWarningsForStorageClass(c)
					},
				},
			},
		},
	})
}
