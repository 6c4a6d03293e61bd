package admission

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/manifests/registry"
	"skiff/store"
)

// immortalNamespaces may not be deleted: skiff makes them.
var immortalNamespaces = []string{
	metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease,
}

// NamespaceLifecycle refuses new objects in a namespace that does not exist or
// that is being deleted, and the deletion of the namespaces skiff itself makes.
type NamespaceLifecycle struct{ Reader Reader }

var namespaces = schema.GroupResource{Resource: "namespaces"}

func (l NamespaceLifecycle) Admit(_ context.Context, r registry.Request) error {
	if r.Kind.GroupResource() == namespaces {
		if r.Operation == registry.Delete && slices.Contains(immortalNamespaces, r.Name) {
			return apierrors.NewForbidden(namespaces, r.Name, errors.New("this namespace may not be deleted"))
		}
		return nil
	}
	return l.Guard(r)
}

// Guard implements registry.Guard.
func (l NamespaceLifecycle) Guard(r registry.Request) error {
	if r.Operation != registry.Create || !r.Kind.Namespaced {
		return nil
	}
	found, ok := l.Reader.Get(store.Key{Resource: "namespaces", Name: r.Namespace})
	if !ok {
		return apierrors.NewNotFound(namespaces, r.Namespace)
	}
	if found.(*corev1.Namespace).Status.Phase == corev1.NamespaceTerminating {
		return terminating(r)
	}
	return nil
}

func terminating(r registry.Request) error {
	err := forbidden(r, fmt.Errorf("unable to create new content in namespace %s because it is being terminated", r.Namespace))
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{
		Type:    corev1.NamespaceTerminatingCause,
		Message: fmt.Sprintf("namespace %s is being terminated", r.Namespace),
		Field:   "metadata.namespace",
	})
	return err
}
