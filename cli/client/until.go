package client

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	watchtools "k8s.io/client-go/tools/watch"
)

// Observer is told what a collection holds and then of each change. Either function ends the
// observation by returning true or an error.
type Observer struct {
	Listed  func([]unstructured.Unstructured) (bool, error)
	Changed func(watch.EventType, *unstructured.Unstructured) (bool, error)
}

// Observe lists a collection, or the one object that r names, and watches it until the observer has
// seen enough, and then returns true. It returns false when the server has ended the watch, or no
// longer has the version to watch from: the caller then observes anew.
//
// It is tools/watch's UntilWithoutRetry. Its RetryWatcher would not do: it retries whatever the
// server refuses, a kind that cannot be watched for instance, and never lists again.
func (c *Client) Observe(ctx context.Context, r Ref, o Observer) (bool, error) {
	collection, options := r, ListOptions{}
	if r.Name != "" {
		collection.Name, options.Fields = "", "metadata.name="+r.Name
	}
	items, version, err := c.List(ctx, collection, options)
	if err != nil {
		return false, OrDone(ctx, err)
	}
	if done, err := o.Listed(items); done || err != nil {
		return done, err
	}
	options.ResourceVersion = version
	events, err := c.Watch(ctx, collection, options)
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return false, nil
	}
	if err != nil {
		return false, OrDone(ctx, err)
	}
	_, err = watchtools.UntilWithoutRetry(ctx, events, func(e watch.Event) (bool, error) {
		u, ok := e.Object.(*unstructured.Unstructured)
		if !ok || e.Type == watch.Error {
			return false, watchtools.ErrWatchClosed
		}
		return o.Changed(e.Type, u)
	})
	if errors.Is(err, watchtools.ErrWatchClosed) {
		return false, ctx.Err()
	}
	return err == nil, OrDone(ctx, err)
}

// Until follows one object until met returns true or an error. met is called with each state of the
// object, and with nil when there is none of that name.
func (c *Client) Until(ctx context.Context, r Ref, met func(*unstructured.Unstructured) (bool, error)) error {
	for {
		done, err := c.Observe(ctx, r, Observer{
			Listed: func(items []unstructured.Unstructured) (bool, error) {
				if len(items) == 0 {
					return met(nil)
				}
				return met(&items[0])
			},
			Changed: func(t watch.EventType, u *unstructured.Unstructured) (bool, error) {
				if t == watch.Deleted {
					u = nil
				}
				return met(u)
			},
		})
		if done || err != nil {
			return err
		}
	}
}

// Instance is one object, and with a UID no later one of the same name.
type Instance struct {
	Ref
	UID types.UID
}

// Gone waits until an object is gone.
func (c *Client) Gone(ctx context.Context, i Instance) error {
	err := c.Until(ctx, i.Ref, func(u *unstructured.Unstructured) (bool, error) {
		return u == nil || i.UID != "" && u.GetUID() != i.UID, nil
	})
	if apierrors.IsNotFound(err) { // the kind itself is gone
		return nil
	}
	return err
}
