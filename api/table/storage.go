package table

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func volumeColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(),
		text("Capacity", "The volume's size."),
		text("Access Modes", "How many nodes and pods may mount the volume, and whether they may write."),
		text("Reclaim Policy", "What becomes of the volume when its claim is gone."),
		text("Status", "Whether the volume is free, in use or given up."),
		text("Claim", "The claim the volume is bound to."),
		text("StorageClass", "The storage class the volume belongs to."),
		text("VolumeAttributesClass", "The class of changeable attributes the volume belongs to."),
		text("Reason", "Why the volume is in its state."),
		ageColumn(),
		wide(text("VolumeMode", "Whether the volume holds a file system or is a raw device.")),
	}
}

func volumeCells(v *corev1.PersistentVolume, now time.Time) []any {
	claim := ""
	if ref := v.Spec.ClaimRef; ref != nil {
		claim = ref.Namespace + "/" + ref.Name
	}
	return []any{
		v.Name, storageSize(v.Spec.Capacity), accessModes(v.Spec.AccessModes), string(v.Spec.PersistentVolumeReclaimPolicy),
		phaseOf(&v.ObjectMeta, string(v.Status.Phase)), claim, storageClass(&v.ObjectMeta, v.Spec.StorageClassName),
		orOf(v.Spec.VolumeAttributesClassName, unset), v.Status.Reason, age(v.CreationTimestamp, now),
		orOf(v.Spec.VolumeMode, unset),
	}
}

func claimColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(),
		text("Status", "Whether the claim is bound to a volume."),
		text("Volume", "The volume the claim is bound to."),
		text("Capacity", "The volume's size."),
		text("Access Modes", "How many nodes and pods may mount the volume, and whether they may write."),
		text("StorageClass", "The storage class the claim asks for."),
		text("VolumeAttributesClass", "The class of changeable attributes the claim asks for."),
		ageColumn(),
		wide(text("VolumeMode", "Whether the claim asks for a file system or a raw device.")),
	}
}

func claimCells(c *corev1.PersistentVolumeClaim, now time.Time) []any {
	capacity, modes := "", ""
	if c.Spec.VolumeName != "" {
		capacity, modes = storageSize(c.Status.Capacity), accessModes(c.Status.AccessModes)
	}
	return []any{
		c.Name, phaseOf(&c.ObjectMeta, string(c.Status.Phase)), c.Spec.VolumeName, capacity, modes,
		storageClass(&c.ObjectMeta, orOf(c.Spec.StorageClassName, "")), orOf(c.Spec.VolumeAttributesClassName, unset),
		age(c.CreationTimestamp, now), orOf(c.Spec.VolumeMode, unset),
	}
}

func phaseOf(m *metav1.ObjectMeta, phase string) string {
	if m.DeletionTimestamp != nil {
		return "Terminating"
	}
	return phase
}

func storageSize(l corev1.ResourceList) string {
	size := l[corev1.ResourceStorage]
	return size.String()
}

// storageClass is the class an old annotation names, or else the field's.
func storageClass(m *metav1.ObjectMeta, field string) string {
	if class, ok := m.Annotations[corev1.BetaStorageClassAnnotation]; ok {
		return class
	}
	return field
}

// accessModes are the short names of modes, each once and in upstream's order.
func accessModes(modes []corev1.PersistentVolumeAccessMode) string {
	var short []string
	for _, m := range []struct {
		mode corev1.PersistentVolumeAccessMode
		name string
	}{
		{corev1.ReadWriteOnce, "RWO"}, {corev1.ReadOnlyMany, "ROX"},
		{corev1.ReadWriteMany, "RWX"}, {corev1.ReadWriteOncePod, "RWOP"},
	} {
		if slices.Contains(modes, m.mode) {
			short = append(short, m.name)
		}
	}
	return strings.Join(short, ",")
}
