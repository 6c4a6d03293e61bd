package workload

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/store"
)

// Claims are what a controller makes of the objects it might control: pods for
// most, ReplicaSets for a Deployment.
type Claims[T store.Object] struct {
	// Owned are controlled by it already, and match its selector.
	Owned []T
	// Adopt match, and have no controller.
	Adopt []T
	// Release are controlled by it, and match no more.
	Release []T
}

// Claim sorts objects of owner's namespace by whether owner controls them or
// should. What another controls is never touched, and an owner that is being
// deleted changes nothing: its dependents are the garbage collector's by then.
func Claim[T store.Object](owner metav1.Object, selector labels.Selector, objects []T) Claims[T] {
	var c Claims[T]
	deleting := owner.GetDeletionTimestamp() != nil
	for _, o := range objects {
		matches := selector.Matches(labels.Set(o.GetLabels()))
		ref := metav1.GetControllerOfNoCopy(o)
		switch {
		case ref != nil && ref.UID != owner.GetUID():
		case ref != nil && matches:
			c.Owned = append(c.Owned, o)
		case deleting:
		case ref != nil:
			c.Release = append(c.Release, o)
		case matches && o.GetDeletionTimestamp() == nil:
			c.Adopt = append(c.Adopt, o)
		}
	}
	return c
}

// Updater changes objects of one kind; a registry.Client is one.
type Updater[T store.Object] interface {
	Update(ctx context.Context, namespace, name string, change func(T) error) (T, error)
}

// errReplaced ends a change of an object that is not the one it was meant for.
var errReplaced = errors.New("another object has taken the name")

// Adopt makes owner the controller of an object that has none. It is not an
// error when the object is gone.
func Adopt[T store.Object](ctx context.Context, u Updater[T], o T, owner store.Object, kind schema.GroupVersionKind) error {
	_, err := u.Update(ctx, o.GetNamespace(), o.GetName(), func(current T) error {
		if current.GetUID() != o.GetUID() {
			return errReplaced
		}
		if ref := metav1.GetControllerOfNoCopy(current); ref != nil && ref.UID != owner.GetUID() {
			return fmt.Errorf("%s %s controls it", ref.Kind, ref.Name)
		}
		refs := without(current.GetOwnerReferences(), owner)
		current.SetOwnerReferences(append(refs, *metav1.NewControllerRef(owner, kind)))
		return nil
	})
	if err == nil || gone(err) {
		return nil
	}
	return fmt.Errorf("adopting %s/%s: %w", o.GetNamespace(), o.GetName(), err)
}

// Release ends owner's control of an object. It is not an error when the object
// is gone.
func Release[T store.Object](ctx context.Context, u Updater[T], o T, owner store.Object) error {
	_, err := u.Update(ctx, o.GetNamespace(), o.GetName(), func(current T) error {
		if current.GetUID() != o.GetUID() {
			return errReplaced
		}
		current.SetOwnerReferences(without(current.GetOwnerReferences(), owner))
		return nil
	})
	if err == nil || gone(err) {
		return nil
	}
	return fmt.Errorf("releasing %s/%s: %w", o.GetNamespace(), o.GetName(), err)
}

// without are refs other than those to owner.
func without(refs []metav1.OwnerReference, owner metav1.Object) []metav1.OwnerReference {
	return slices.DeleteFunc(slices.Clone(refs), func(r metav1.OwnerReference) bool { return r.UID == owner.GetUID() })
}

func gone(err error) bool {
	return apierrors.IsNotFound(err) || errors.Is(err, errReplaced)
}
