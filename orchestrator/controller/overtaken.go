package controller

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/store"
)

// ErrOvertaken ends a write that was decided on what is no longer so. A Reconcile that returns it is
// called again after the key's backoff, but has not failed: nothing is logged.
//
// Between a decision and the write that carries it out, others write too. So a write checks again:
// an update looks at the object that it is given, and a deletion bears the version that was seen.
var ErrOvertaken = errors.New("it has changed since this was decided")

// AsSeen returns the options to delete o only as long as it is what was seen. Otherwise the deletion
// is refused with a Conflict, and whoever changed the object has caused another look at it.
func AsSeen(o metav1.Object) metav1.DeleteOptions {
	uid, version := o.GetUID(), o.GetResourceVersion()
	return metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version}}
}

// Remover notes in an object's status why it goes, and deletes it. A registry.Client is one.
type Remover[T store.Object] interface {
	UpdateStatus(ctx context.Context, namespace, name string, change func(T) error) (T, error)
	Delete(ctx context.Context, namespace, name string, o metav1.DeleteOptions) error
}

// Remove deletes an object after note has written into its status why. note gets the object as it is
// and returns ErrOvertaken if it is not to go any more. The deletion holds for the version that note
// has made: when another writer comes between the two, both are done again. Remove fails with
// ErrOvertaken also when another object has taken the name, and with NotFound when none is left.
func Remove[T store.Object](ctx context.Context, c Remover[T], seen T, grace *int64, note func(T) error) error {
	for {
		noted, err := c.UpdateStatus(ctx, seen.GetNamespace(), seen.GetName(), func(current T) error {
			if current.GetUID() != seen.GetUID() {
				return ErrOvertaken
			}
			return note(current)
		})
		if err != nil {
			return err
		}
		options := AsSeen(noted)
		options.GracePeriodSeconds = grace
		err = c.Delete(ctx, seen.GetNamespace(), seen.GetName(), options)
		if !apierrors.IsConflict(err) {
			return err
		}
	}
}
