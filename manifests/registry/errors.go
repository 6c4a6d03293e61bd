package registry

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/store"
)

// errModified is the reason of a conflict between two writers
// (k8s.io/apiserver/pkg/registry/generic/registry.OptimisticLockErrorMsg).
var errModified = errors.New("the object has been modified; please apply your changes to the latest version and try again")

// errVersionOnCreate is upstream's storage.ErrResourceVersionSetOnCreate, which
// clients get as an internal error.
var errVersionOnCreate = errors.New("resourceVersion should not be set on objects to be created")

// raced says that another writer came first, so that the write is to be tried
// again on what is stored now.
func raced(err error) bool {
	var conflict store.ErrConflict
	return errors.As(err, &conflict) || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrExists) || errors.Is(err, errOvertaken)
}

// failed is the API error for a commit that did not come about for reasons that
// lie with the store.
func (r *Resource) failed(doing, namespace, name string, err error) error {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return err // it was refused
	}
	if errors.Is(err, store.ErrClosed) {
		return apierrors.NewServiceUnavailable("skiff is stopping")
	}
	err = fmt.Errorf("%s %s: %w", doing, r.key(namespace, name), err)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return apierrors.NewTimeoutError(err.Error(), 0)
	}
	return apierrors.NewInternalError(err)
}

// waitFor returns when the store has reached a revision, or after a while the
// error that upstream has for a resourceVersion that is too large.
func (r *Resource) waitFor(ctx context.Context, revision uint64) error {
	s := r.store()
	if s.Revision() >= revision {
		return nil
	}
	wait, cancel := context.WithCancel(ctx)
	defer cancel()
	timer := r.registry.options.Clock.NewTimer(r.registry.options.FutureVersionWait)
	defer timer.Stop()
	reached := make(chan error, 1)
	go func() { reached <- s.WaitRevision(wait, revision) }()
	select {
	case err := <-reached:
		if err == nil {
			return nil
		}
		return r.failed("waiting for a version of", "", "", err)
	case <-timer.C():
		cancel()
		if err := <-reached; err == nil {
			return nil // it came at the last moment
		}
		return tooLarge(revision, s.Revision())
	}
}

// tooLarge is upstream's storage.NewTooLargeResourceVersionError.
func tooLarge(wanted, current uint64) error {
	err := apierrors.NewTimeoutError(fmt.Sprintf("Too large resource version: %d, current: %d", wanted, current), 1)
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{
		Type:    metav1.CauseTypeResourceVersionTooLarge,
		Message: "Too large resource version",
	}}
	return err
}

// revisionOf is the revision a stored object is at.
func revisionOf(obj store.Object) (uint64, error) {
	revision, err := strconv.ParseUint(obj.GetResourceVersion(), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("resourceVersion of stored %s/%s: %w", obj.GetNamespace(), obj.GetName(), err)
	}
	return revision, nil
}

func formatRevision(revision uint64) string { return strconv.FormatUint(revision, 10) }
