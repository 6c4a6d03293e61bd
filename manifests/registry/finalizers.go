package registry

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/manifests"
)

// finalizers are those the object has when its deletion begins: the garbage
// collector's are set by the propagation policy of the request, or else stay as
// they are. It says whether they change.
func (d *deletion) finalizers() ([]string, bool) {
	old := d.old.GetFinalizers()
	finalizers := withoutCollector(old)
	switch d.policy() {
	case metav1.DeletePropagationOrphan:
		finalizers = append(finalizers, metav1.FinalizerOrphanDependents)
	case metav1.DeletePropagationForeground:
		finalizers = append(finalizers, metav1.FinalizerDeleteDependents)
	}
	return finalizers, !sameSet(finalizers, old)
}

// policy is what becomes of the dependents. The request decides, then a
// finalizer the object already has, then its kind.
func (d *deletion) policy() metav1.DeletionPropagation {
	kind := d.resource.kind
	if kind.Dependents == manifests.NoDependents {
		return metav1.DeletePropagationBackground
	}
	if orphan := d.options.OrphanDependents; orphan != nil {
		if *orphan {
			return metav1.DeletePropagationOrphan
		}
		return metav1.DeletePropagationBackground
	}
	if d.options.PropagationPolicy != nil {
		return *d.options.PropagationPolicy
	}
	for _, finalizer := range d.old.GetFinalizers() {
		switch finalizer {
		case metav1.FinalizerOrphanDependents:
			return metav1.DeletePropagationOrphan
		case metav1.FinalizerDeleteDependents:
			return metav1.DeletePropagationForeground
		}
	}
	if kind.Dependents == manifests.OrphanDependents {
		return metav1.DeletePropagationOrphan
	}
	return metav1.DeletePropagationBackground
}

// withoutCollector leaves out the garbage collector's finalizers.
func withoutCollector(finalizers []string) []string {
	return slices.DeleteFunc(slices.Clone(finalizers), func(f string) bool {
		return f == metav1.FinalizerOrphanDependents || f == metav1.FinalizerDeleteDependents
	})
}

func sameSet(a, b []string) bool {
	contains := func(all, some []string) bool {
		return !slices.ContainsFunc(some, func(f string) bool { return !slices.Contains(all, f) })
	}
	return contains(a, b) && contains(b, a)
}
