package manifests

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/core"
	kcorev1 "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/apis/core/validation"
)

func namespaceKind() *Kind {
	v1 := []schema.GroupVersion{corev1.SchemeGroupVersion}
	return newKind(coreKind("Namespace"), Kind{
		Resource: "namespaces", ShortNames: []string{"ns"}, HasStatus: true, ReturnsDeleted: true,
		New: newOf[*corev1.Namespace](), NewList: newOf[*corev1.NamespaceList](),
		Rules: &rules[*corev1.Namespace, core.Namespace]{
			toInternal:    kcorev1.Convert_v1_Namespace_To_core_Namespace,
			fromInternal:  kcorev1.Convert_core_Namespace_To_v1_Namespace,
			prepareCreate: prepareNamespace,
			canonicalize:  labelNamespace,
			validateCreate: func(_ context.Context, n *core.Namespace) field.ErrorList {
				return validation.ValidateNamespace(n)
			},
			updates: map[string]update[core.Namespace]{
				SubresourceNone:     namespaceUpdate(),
				SubresourceStatus:   namespaceStatusUpdate(),
				SubresourceFinalize: namespaceFinalizeUpdate(),
			},
			fields: fieldTable[*corev1.Namespace]{
				"status.phase": func(n *corev1.Namespace) string { return string(n.Status.Phase) },
			},
			reset: resetFields{
				SubresourceNone:     reset(v1, path("status")),
				SubresourceStatus:   reset(v1, path("spec")),
				SubresourceFinalize: reset(v1, path("status")),
			},
		},
	})
}

// prepareNamespace begins a namespace's life as active, and with the finalizer
// that keeps it until it is empty.
func prepareNamespace(n *core.Namespace) {
	n.Status = core.NamespaceStatus{Phase: core.NamespaceActive}
	if !slices.Contains(n.Spec.Finalizers, core.FinalizerKubernetes) {
		n.Spec.Finalizers = append(n.Spec.Finalizers, core.FinalizerKubernetes)
	}
}

// labelNamespace gives the namespace the label of its own name, which defaults
// could not when the name was generated.
func labelNamespace(n *core.Namespace) {
	if n.Labels == nil {
		n.Labels = map[string]string{}
	}
	n.Labels[corev1.LabelMetadataName] = n.Name
}

func namespaceUpdate() update[core.Namespace] {
	return update[core.Namespace]{
		prepare: func(n, old *core.Namespace) {
			n.Spec.Finalizers = old.Spec.Finalizers
			n.Status = old.Status
		},
		validate: func(_ context.Context, n, old *core.Namespace) field.ErrorList {
			return append(validation.ValidateNamespace(n), validation.ValidateNamespaceUpdate(n, old)...)
		},
	}
}

func namespaceStatusUpdate() update[core.Namespace] {
	return update[core.Namespace]{
		prepare: func(n, old *core.Namespace) { n.Spec = old.Spec },
		validate: func(_ context.Context, n, old *core.Namespace) field.ErrorList {
			return validation.ValidateNamespaceStatusUpdate(n, old)
		},
	}
}

func namespaceFinalizeUpdate() update[core.Namespace] {
	return update[core.Namespace]{
		prepare: func(n, old *core.Namespace) { n.Status = old.Status },
		validate: func(_ context.Context, n, old *core.Namespace) field.ErrorList {
			return validation.ValidateNamespaceFinalizeUpdate(n, old)
		},
	}
}
