package manifests

import (
	"context"

	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	storageutil "k8s.io/kubernetes/pkg/api/storage"
	"k8s.io/kubernetes/pkg/apis/storage"
	kstoragev1 "k8s.io/kubernetes/pkg/apis/storage/v1"
	"k8s.io/kubernetes/pkg/apis/storage/validation"
)

// The kinds of this file belong to drivers of volumes (CSI), which skiff does not run: it serves
// them for the programs that look whether they are there.

func csiDriverKind() *Kind {
	return storageKind("CSIDriver", Kind{
		Resource: "csidrivers", RequireVersion: true, ReturnsDeleted: true,
		New: newOf[*storagev1.CSIDriver](), NewList: newOf[*storagev1.CSIDriverList](),
		Rules: &rules[*storagev1.CSIDriver, storage.CSIDriver]{
			toInternal:   kstoragev1.Convert_v1_CSIDriver_To_storage_CSIDriver,
			fromInternal: kstoragev1.Convert_storage_CSIDriver_To_v1_CSIDriver,
			validateCreate: func(_ context.Context, d *storage.CSIDriver) field.ErrorList {
				return validation.ValidateCSIDriver(d)
			},
			warnCreate: func(context.Context, *storage.CSIDriver) []string { return warnOfStoredOnly("CSIDriver") },
			updates: map[string]update[storage.CSIDriver]{
				SubresourceNone: {
					prepare: func(d, old *storage.CSIDriver) { bump(&d.Generation, old.Generation, d.Spec, old.Spec) },
					validate: func(_ context.Context, d, old *storage.CSIDriver) field.ErrorList {
						return validation.ValidateCSIDriverUpdate(d, old)
					},
				},
			},
		},
	})
}

// csiNodeKind has no status: upstream serves one with its feature CSIVolumeHealth alone, which is
// alpha.
func csiNodeKind() *Kind {
	return storageKind("CSINode", Kind{
		Resource: "csinodes", RequireVersion: true, ReturnsDeleted: true,
		New: newOf[*storagev1.CSINode](), NewList: newOf[*storagev1.CSINodeList](),
		Rules: &rules[*storagev1.CSINode, storage.CSINode]{
			toInternal:    kstoragev1.Convert_v1_CSINode_To_storage_CSINode,
			fromInternal:  kstoragev1.Convert_storage_CSINode_To_v1_CSINode,
			prepareCreate: func(n *storage.CSINode) { n.Status = storage.CSINodeStatus{} },
			validateCreate: func(_ context.Context, n *storage.CSINode) field.ErrorList {
				return validation.ValidateCSINode(n)
			},
			warnCreate: func(context.Context, *storage.CSINode) []string { return warnOfStoredOnly("CSINode") },
			updates: map[string]update[storage.CSINode]{
				SubresourceNone: {
					prepare: func(n, old *storage.CSINode) { n.Status = old.Status },
					validate: func(_ context.Context, n, old *storage.CSINode) field.ErrorList {
						return validation.ValidateCSINodeUpdate(n, old)
					},
				},
			},
		},
	})
}

func csiStorageCapacityKind() *Kind {
	review := func(c *storage.CSIStorageCapacity) field.ErrorList {
		return validation.ValidateCSIStorageCapacity(c, validation.CSIStorageCapacityValidateOptions{})
	}
	return storageKind("CSIStorageCapacity", Kind{
		Resource: "csistoragecapacities", Namespaced: true, RequireVersion: true,
		New: newOf[*storagev1.CSIStorageCapacity](), NewList: newOf[*storagev1.CSIStorageCapacityList](),
		Rules: &rules[*storagev1.CSIStorageCapacity, storage.CSIStorageCapacity]{
			namespaced:   true,
			toInternal:   kstoragev1.Convert_v1_CSIStorageCapacity_To_storage_CSIStorageCapacity,
			fromInternal: kstoragev1.Convert_storage_CSIStorageCapacity_To_v1_CSIStorageCapacity,
			validateCreate: func(_ context.Context, c *storage.CSIStorageCapacity) field.ErrorList {
				return review(c)
			},
			warnCreate: func(_ context.Context, c *storage.CSIStorageCapacity) []string {
				return append(storageutil.GetWarningsForCSIStorageCapacity(c), warnOfStoredOnly("CSIStorageCapacity")...)
			},
			updates: map[string]update[storage.CSIStorageCapacity]{
				SubresourceNone: {
					validate: func(_ context.Context, c, old *storage.CSIStorageCapacity) field.ErrorList {
						return append(review(c), validation.ValidateCSIStorageCapacityUpdate(c, old)...)
					},
					warn: func(_ context.Context, c, _ *storage.CSIStorageCapacity) []string {
						return storageutil.GetWarningsForCSIStorageCapacity(c)
					},
				},
			},
		},
	})
}

func volumeAttachmentKind() *Kind {
	v1 := []schema.GroupVersion{storagev1.SchemeGroupVersion}
	return storageKind("VolumeAttachment", Kind{
		Resource: "volumeattachments", HasStatus: true, RequireVersion: true, ReturnsDeleted: true,
		New: newOf[*storagev1.VolumeAttachment](), NewList: newOf[*storagev1.VolumeAttachmentList](),
		Rules: &rules[*storagev1.VolumeAttachment, storage.VolumeAttachment]{
			toInternal:    kstoragev1.Convert_v1_VolumeAttachment_To_storage_VolumeAttachment,
			fromInternal:  kstoragev1.Convert_storage_VolumeAttachment_To_v1_VolumeAttachment,
			prepareCreate: func(a *storage.VolumeAttachment) { a.Status = storage.VolumeAttachmentStatus{} },
			validateCreate: func(_ context.Context, a *storage.VolumeAttachment) field.ErrorList {
				return validation.ValidateVolumeAttachment(a)
			},
			warnCreate: func(context.Context, *storage.VolumeAttachment) []string { return warnOfStoredOnly("VolumeAttachment") },
			updates: map[string]update[storage.VolumeAttachment]{
				SubresourceNone: {
					prepare: func(a, old *storage.VolumeAttachment) { a.Status = old.Status },
					validate: func(_ context.Context, a, old *storage.VolumeAttachment) field.ErrorList {
						return validation.ValidateVolumeAttachmentUpdate(a, old)
					},
				},
				SubresourceStatus: {
					prepare: func(a, old *storage.VolumeAttachment) {
						a.Spec = old.Spec
						metav1.ResetObjectMetaForStatus(&a.ObjectMeta, &old.ObjectMeta)
					},
					validate: func(_ context.Context, a, old *storage.VolumeAttachment) field.ErrorList {
						return validation.ValidateVolumeAttachmentUpdate(a, old)
					},
				},
			},
			reset: resetFields{
				SubresourceNone:   reset(v1, path("status")),
				SubresourceStatus: reset(v1, path("metadata"), path("spec")),
			},
		},
	})
}
