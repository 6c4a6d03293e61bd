package registry

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/store"
)

// namespaceHooks keep a namespace until its own finalizers, those of its
// specification, are gone: the namespace controller takes them away when the
// namespace is empty.
func namespaceHooks() hooks {
	return hooks{
		keep:   func(obj store.Object) bool { return len(obj.(*corev1.Namespace).Spec.Finalizers) > 0 },
		delete: deleteNamespace,
	}
}

// deleteNamespace begins the termination of a namespace on the first request,
// and leaves the general rules to decide once it is empty.
func deleteNamespace(d *deletion) bool {
	old := d.old.(*corev1.Namespace)
	if old.DeletionTimestamp.IsZero() {
		n := d.change().(*corev1.Namespace)
		n.DeletionTimestamp = d.now.DeepCopy()
		n.Status.Phase = corev1.NamespaceTerminating
		n.Finalizers = namespaceFinalizers(old.Finalizers, d.options)
		d.outcome, d.during = mark, d.resource.registry.lifecycle.close
		return true
	}
	if len(old.Spec.Finalizers) > 0 {
		d.outcome = leave
		return true
	}
	return false
}

// namespaceFinalizers differ from those of other kinds in that
// orphanDependents=false asks for the foreground.
func namespaceFinalizers(old []string, o *metav1.DeleteOptions) []string {
	orphan := slices.Contains(old, metav1.FinalizerOrphanDependents)
	foreground := slices.Contains(old, metav1.FinalizerDeleteDependents)
	switch {
	case o.OrphanDependents != nil:
		orphan, foreground = *o.OrphanDependents, !*o.OrphanDependents
	case o.PropagationPolicy != nil:
		orphan = *o.PropagationPolicy == metav1.DeletePropagationOrphan
		foreground = *o.PropagationPolicy == metav1.DeletePropagationForeground
	}
	finalizers := withoutCollector(old)
	if orphan {
		finalizers = append(finalizers, metav1.FinalizerOrphanDependents)
	}
	if foreground {
		finalizers = append(finalizers, metav1.FinalizerDeleteDependents)
	}
	return finalizers
}
