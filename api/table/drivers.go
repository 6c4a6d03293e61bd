package table

import (
	"cmp"
	"strings"
	"time"

	nodev1 "k8s.io/api/node/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func storageClassColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(),
		text("Provisioner", "Who makes the volumes of the class."),
		text("ReclaimPolicy", "What becomes of a volume when its claim is gone."),
		text("VolumeBindingMode", "When a claim gets its volume."),
		text("AllowVolumeExpansion", "Whether claims may ask for more later."),
		ageColumn(),
	}
}

// storageClassCells marks every class that asks to be the default one, for a row knows nothing of
// the others. Upstream marks the youngest of them.
func storageClassCells(c *storagev1.StorageClass, now time.Time) []any {
	name := c.Name
	if c.Annotations["storageclass.kubernetes.io/is-default-class"] == "true" || c.Annotations["storageclass.beta.kubernetes.io/is-default-class"] == "true" {
		name += " (default)"
	}
	return []any{
		name, c.Provisioner, orOf(c.ReclaimPolicy, "Delete"), orOf(c.VolumeBindingMode, "Immediate"),
		c.AllowVolumeExpansion != nil && *c.AllowVolumeExpansion, age(c.CreationTimestamp, now),
	}
}

func runtimeClassColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{nameColumn(), text("Handler", "The runtime that runs the class's pods."), ageColumn()}
}

func runtimeClassCells(c *nodev1.RuntimeClass, now time.Time) []any {
	return []any{c.Name, c.Handler, age(c.CreationTimestamp, now)}
}

func csiDriverColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(),
		truth("AttachRequired", "Whether volumes are attached to a node before they are mounted."),
		truth("PodInfoOnMount", "Whether the driver is told of the pod."),
		truth("StorageCapacity", "Whether pods are scheduled by the driver's capacity."),
		text("TokenRequests", "The audiences of the tokens the driver is given."),
		truth("RequiresRepublish", "Whether the driver is called again and again."),
		text("Modes", "How long the driver's volumes live."),
		ageColumn(),
	}
}

func csiDriverCells(d *storagev1.CSIDriver, now time.Time) []any {
	tokens := unset
	if d.Spec.TokenRequests != nil {
		var audiences []string
		for _, t := range d.Spec.TokenRequests {
			audiences = append(audiences, t.Audience)
		}
		tokens = strings.Join(audiences, ",")
	}
	var modes []string
	for _, m := range d.Spec.VolumeLifecycleModes {
		modes = append(modes, string(m))
	}
	is := func(b *bool) bool { return b != nil && *b }
	return []any{
		d.Name, d.Spec.AttachRequired == nil || *d.Spec.AttachRequired, is(d.Spec.PodInfoOnMount), is(d.Spec.StorageCapacity),
		tokens, is(d.Spec.RequiresRepublish), cmp.Or(strings.Join(modes, ","), none), age(d.CreationTimestamp, now),
	}
}

func csiNodeColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{nameColumn(), number("Drivers", "How many CSI drivers the node has."), ageColumn()}
}

func csiNodeCells(n *storagev1.CSINode, now time.Time) []any {
	return []any{n.Name, int64(len(n.Spec.Drivers)), age(n.CreationTimestamp, now)}
}

func csiStorageCapacityColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(), text("StorageClassName", "The class that has the capacity."), text("Capacity", "How much there is."),
	}
}

func csiStorageCapacityCells(c *storagev1.CSIStorageCapacity, _ time.Time) []any {
	capacity := unset
	if c.Capacity != nil {
		capacity = c.Capacity.String()
	}
	return []any{c.Name, c.StorageClassName, capacity}
}

func attachmentColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(),
		text("Attacher", "The driver that attaches the volume."),
		text("PV", "The volume."),
		text("Node", "The node it is attached to."),
		truth("Attached", "Whether it is attached."),
		ageColumn(),
	}
}

func attachmentCells(a *storagev1.VolumeAttachment, now time.Time) []any {
	return []any{
		a.Name, a.Spec.Attacher, orOf(a.Spec.Source.PersistentVolumeName, ""), a.Spec.NodeName, a.Status.Attached, age(a.CreationTimestamp, now),
	}
}
