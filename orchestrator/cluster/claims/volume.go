package claims

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"skiff/manifests/enginevolume"
)

func isOurs(v *corev1.PersistentVolume) bool { return enginevolume.Name(v) != "" }

// engineVolume names the engine's volume for a claim: data-web-0_3f2a9c1e, with
// the namespace in between unless it is the default one. The start of the UID
// keeps apart claims that bear one name after another, or in two instances on one
// engine.
func engineVolume(c *corev1.PersistentVolumeClaim) string {
	parts := []string{c.Name}
	if c.Namespace != corev1.NamespaceDefault {
		parts = append(parts, c.Namespace)
	}
	return strings.Join(append(parts, strings.ReplaceAll(string(c.UID), "-", "")[:min(12, len(c.UID))]), "_")
}

// newVolume is the volume that is made for a claim. class is the one that it names, nil for none.
func newVolume(c *corev1.PersistentVolumeClaim, class *storagev1.StorageClass) *corev1.PersistentVolume {
	reclaim := corev1.PersistentVolumeReclaimDelete
	if class != nil {
		reclaim = ptr.Deref(class.ReclaimPolicy, reclaim)
	}
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{
			Name: volumeName(c), Annotations: map[string]string{provisionedBy: enginevolume.Driver}, Finalizers: []string{protectsVolume},
		},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: corev1.ResourceList{corev1.ResourceStorage: request(c)}, AccessModes: slices.Clone(c.Spec.AccessModes),
			PersistentVolumeReclaimPolicy: reclaim, StorageClassName: className(c), VolumeMode: c.Spec.VolumeMode,
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				CSI: &corev1.CSIPersistentVolumeSource{Driver: enginevolume.Driver, VolumeHandle: engineVolume(c)},
			},
			ClaimRef: reference(c),
		},
	}
}

func reference(c *corev1.PersistentVolumeClaim) *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: c.Namespace, Name: c.Name, UID: c.UID, ResourceVersion: c.ResourceVersion,
	}
}

// volumePlan is what is to be done about one volume.
type volumePlan struct {
	// phase is what the volume's status shall say, and message why.
	phase   corev1.PersistentVolumePhase
	message string
	// erase its data, and with it the volume.
	erase bool
	// unprotect lets a volume go that somebody has deleted.
	unprotect bool
}

// planVolume decides what is to be done about a volume. claim is the one it is
// reserved for, nil if there is none of that name and UID.
func planVolume(v *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) volumePlan {
	ref, deleted := v.Spec.ClaimRef, v.DeletionTimestamp != nil
	deletes := v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete
	switch {
	case ref == nil || ref.UID == "":
		return volumePlan{phase: corev1.VolumeAvailable, unprotect: deleted}
	case claim != nil:
		return volumePlan{phase: corev1.VolumeBound}
	case deletes && isOurs(v):
		return volumePlan{phase: corev1.VolumeReleased, erase: true}
	case deletes && !deleted:
		return volumePlan{phase: corev1.VolumeFailed, message: "error getting deleter volume plugin for volume \"" + v.Name + "\": no volume plugin matched"}
	}
	return volumePlan{phase: corev1.VolumeReleased, unprotect: deleted}
}
