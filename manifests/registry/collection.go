package registry

import (
	"context"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/store"
)

// collectionWorkers is how many objects of a collection are deleted at a time,
// so that they share the store's transactions.
const collectionWorkers = 64

// DeleteCollection deletes what List would return, and returns it. It is not
// atomic: an error may leave some of it deleted.
func (r *Resource) DeleteCollection(ctx context.Context, namespace string, options *metav1.DeleteOptions, list ListOptions, o DeleteOptions) ([]store.Object, metav1.ListMeta, error) {
	items, meta, err := r.List(ctx, namespace, list)
	if err != nil {
		return nil, metav1.ListMeta{}, err
	}
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(collectionWorkers)
	for _, item := range items {
		workers.Go(func() error {
			// Each has its own options: a deletion changes them.
			_, _, err := r.Delete(ctx, item.GetNamespace(), item.GetName(), options.DeepCopy(), o)
			if apierrors.IsNotFound(err) {
				return nil
			}
			return err
		})
	}
	if err := workers.Wait(); err != nil {
		return nil, metav1.ListMeta{}, err
	}
	return items, meta, nil
}
