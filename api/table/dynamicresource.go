package table

import (
	"strings"
	"time"

	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func resourceClaimColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{nameColumn(), text("State", "Whether devices are allocated, and for whom."), ageColumn()}
}

func resourceClaimCells(c *resourcev1.ResourceClaim, now time.Time) []any {
	var states []string
	if c.DeletionTimestamp != nil {
		states = append(states, "deleted")
	}
	switch {
	case c.Status.Allocation != nil:
		states = append(states, "allocated")
		if len(c.Status.ReservedFor) > 0 {
			states = append(states, "reserved")
		}
	case c.DeletionTimestamp == nil:
		states = append(states, "pending")
	}
	return []any{c.Name, strings.Join(states, ","), age(c.CreationTimestamp, now)}
}

func resourceSliceColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(), text("Node", "The node that has the devices."), text("Driver", "The driver of the devices."),
		text("Pool", "The pool that the devices belong to."), ageColumn(),
	}
}

func resourceSliceCells(s *resourcev1.ResourceSlice, now time.Time) []any {
	return []any{s.Name, orOf(s.Spec.NodeName, ""), s.Spec.Driver, s.Spec.Pool.Name, age(s.CreationTimestamp, now)}
}

func attributesClassColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{nameColumn(), text("DriverName", "The driver that knows the attributes."), ageColumn()}
}

func attributesClassCells(c *storagev1.VolumeAttributesClass, now time.Time) []any {
	return []any{c.Name, c.DriverName, age(c.CreationTimestamp, now)}
}
