package registry

import (
	"context"
	"fmt"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"skiff/store"
)

// Get returns the newest state of an object, or a NotFound status error.
func (r *Resource) Get(namespace, name string) (store.Object, error) {
	if obj, ok := r.store().Get(r.key(namespace, name)); ok {
		return r.load(obj)
	}
	return nil, apierrors.NewNotFound(r.gr, name)
}

// GetAt returns an object that is no older than resourceVersion ("" or "0": any
// will do), waiting a while for a version that is yet to come.
func (r *Resource) GetAt(ctx context.Context, namespace, name, resourceVersion string) (store.Object, error) {
	revision, err := parseVersion(resourceVersion)
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("invalid resource version: %v", err))
	}
	if err := r.waitFor(ctx, revision); err != nil {
		return nil, err
	}
	return r.Get(namespace, name)
}

// parseVersion is 0 for a resourceVersion that asks for nothing in particular.
func parseVersion(resourceVersion string) (uint64, error) {
	if resourceVersion == "" {
		return 0, nil
	}
	return strconv.ParseUint(resourceVersion, 10, 64)
}
