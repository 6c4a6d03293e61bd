package quota

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"skiff/manifests"
	"skiff/store"
)

var claimMeter = meter{
	counts:  countsClaims,
	usage:   claimUsage,
	inScope: claimInScope,
	changes: func(obj, old store.Object, subresource string) bool {
		switch subresource {
		case manifests.SubresourceNone:
			return true
		case manifests.SubresourceStatus:
			c, before := obj.(*corev1.PersistentVolumeClaim), old.(*corev1.PersistentVolumeClaim)
			return !apiequality.Semantic.DeepEqual(c.Status.AllocatedResources, before.Status.AllocatedResources) ||
				!slices.Equal(attributesClasses(c), attributesClasses(before))
		}
		return false
	},
}

var claimCount = countName(schema.GroupResource{Resource: "persistentvolumeclaims"})

var claimResources = []corev1.ResourceName{corev1.ResourcePersistentVolumeClaims, corev1.ResourceRequestsStorage}

// ofClass stands between a storage class and a resource in the name of a limit
// for that class alone.
const ofClass = ".storageclass.storage.k8s.io/"

func countsClaims(name corev1.ResourceName) bool {
	return name == claimCount || slices.Contains(claimResources, name) ||
		slices.ContainsFunc(claimResources, func(r corev1.ResourceName) bool {
			return strings.HasSuffix(string(name), ofClass+string(r))
		})
}

func claimUsage(obj store.Object, _ time.Time) corev1.ResourceList {
	c := obj.(*corev1.PersistentVolumeClaim)
	used := corev1.ResourceList{claimCount: pieces(1)}
	class := storageClass(c)
	add := func(name corev1.ResourceName, amount resource.Quantity) {
		used[name] = amount
		if class != "" {
			used[corev1.ResourceName(class+ofClass)+name] = amount
		}
	}
	add(corev1.ResourcePersistentVolumeClaims, pieces(1))
	if storage, ok := claimedStorage(c); ok {
		add(corev1.ResourceRequestsStorage, storage)
	}
	return used
}

func storageClass(c *corev1.PersistentVolumeClaim) string {
	if class, ok := c.Annotations[corev1.BetaStorageClassAnnotation]; ok {
		return class
	}
	return ptr.Deref(c.Spec.StorageClassName, "")
}

// claimedStorage is what is asked for, or what was allocated if that is more, in
// whole bytes.
func claimedStorage(c *corev1.PersistentVolumeClaim) (resource.Quantity, bool) {
	storage, ok := c.Spec.Resources.Requests[corev1.ResourceStorage]
	if !ok {
		return storage, false
	}
	if allocated, ok := c.Status.AllocatedResources[corev1.ResourceStorage]; ok && allocated.Cmp(storage) > 0 {
		storage = allocated
	}
	storage = storage.DeepCopy()
	storage.RoundUp(0)
	return storage, true
}

func claimInScope(obj store.Object, s corev1.ScopedResourceSelectorRequirement) bool {
	if s.ScopeName != corev1.ResourceQuotaScopeVolumeAttributesClass {
		return false
	}
	classes := attributesClasses(obj.(*corev1.PersistentVolumeClaim))
	if len(classes) == 0 {
		return classIn(s, "")
	}
	return slices.ContainsFunc(classes, func(class string) bool { return classIn(s, class) })
}

// attributesClasses are the volume attributes classes a claim has, asks for or
// moves to.
func attributesClasses(c *corev1.PersistentVolumeClaim) []string {
	all := []string{ptr.Deref(c.Spec.VolumeAttributesClassName, ""), ptr.Deref(c.Status.CurrentVolumeAttributesClassName, "")}
	if m := c.Status.ModifyVolumeStatus; m != nil {
		all = append(all, m.TargetVolumeAttributesClassName)
	}
	all = slices.DeleteFunc(all, func(class string) bool { return class == "" })
	slices.Sort(all)
	return slices.Compact(all)
}
