// Package workload holds what the controllers of pods have in common: which pods are theirs, which
// go first, and how a new one is made. Each kind of workload has a folder of its own below.
package workload

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/orchestrator/controller"
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

// Owner is an object that controls others.
type Owner struct {
	Object store.Object
	Kind   schema.GroupVersionKind
	// Alive fails with controller.ErrOvertaken when the object is gone, has been replaced by another
	// of its name or is being deleted: then it must not take over anything, because what it controls
	// is the garbage collector's.
	Alive func() error
}

// Getter reads objects of one kind; a registry.Client is one.
type Getter[T store.Object] interface {
	Get(namespace, name string) (T, error)
}

// OwnerIn returns an owner that is read anew from owners whenever it is asked whether it is alive.
func OwnerIn[T store.Object](owners Getter[T], o T, kind schema.GroupVersionKind) Owner {
	return Owner{Object: o, Kind: kind, Alive: func() error {
		current, err := owners.Get(o.GetNamespace(), o.GetName())
		switch {
		case apierrors.IsNotFound(err):
			// Not NotFound itself, which would say that what it was to adopt is gone.
			return fmt.Errorf("%s %s is gone: %w", kind.Kind, o.GetName(), controller.ErrOvertaken)
		case err != nil:
			return err
		case current.GetUID() != o.GetUID() || current.GetDeletionTimestamp() != nil:
			return fmt.Errorf("%s %s is being deleted: %w", kind.Kind, o.GetName(), controller.ErrOvertaken)
		}
		return nil
	}}
}

// AdoptAndRelease carries out what Claim decided. All are tried, whatever becomes of the others.
func AdoptAndRelease[T store.Object](ctx context.Context, u Updater[T], owner Owner, adopt, release []T) error {
	var errs []error
	for _, o := range release {
		errs = append(errs, Release(ctx, u, o, owner.Object))
	}
	for _, o := range adopt {
		errs = append(errs, Adopt(ctx, u, o, owner))
	}
	return errors.Join(errs...)
}

// errReplaced ends a change of an object that is not the one it was meant for.
var errReplaced = errors.New("another object has taken the name")

// Adopt makes owner the controller of an object that has none. It is not an error when the object
// is gone. It fails with controller.ErrOvertaken when the owner is gone or being deleted, when another
// has become the object's controller, or the object is being deleted or bears other labels than
// those by which it was chosen: whoever makes a new plan for the same owner would adopt it for ever.
func Adopt[T store.Object](ctx context.Context, u Updater[T], o T, owner Owner) error {
	_, err := u.Update(ctx, o.GetNamespace(), o.GetName(), func(current T) error {
		if current.GetUID() != o.GetUID() {
			return errReplaced
		}
		if ref := metav1.GetControllerOfNoCopy(current); ref != nil && ref.UID != owner.Object.GetUID() ||
			current.GetDeletionTimestamp() != nil || !maps.Equal(current.GetLabels(), o.GetLabels()) {
			return controller.ErrOvertaken
		}
		if err := owner.Alive(); err != nil {
			return err
		}
		refs := without(current.GetOwnerReferences(), owner.Object)
		current.SetOwnerReferences(append(refs, *metav1.NewControllerRef(owner.Object, owner.Kind)))
		return nil
	})
	if err == nil || gone(err) {
		return nil
	}
	return fmt.Errorf("adopting %s/%s: %w", o.GetNamespace(), o.GetName(), err)
}

// Release ends owner's control of an object that its selector matches no more. It is not an error
// when the object is gone. It fails with controller.ErrOvertaken when the object's labels are others
// by now.
func Release[T store.Object](ctx context.Context, u Updater[T], o T, owner store.Object) error {
	_, err := u.Update(ctx, o.GetNamespace(), o.GetName(), func(current T) error {
		if current.GetUID() != o.GetUID() {
			return errReplaced
		}
		if !maps.Equal(current.GetLabels(), o.GetLabels()) {
			return controller.ErrOvertaken
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
