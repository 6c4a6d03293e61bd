// Package gone waits for objects to disappear.
package gone

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"skiff/cli/client"
)

// Object is an object to wait for. With a UID, another one of the same name does not count.
type Object struct {
	client.Ref
	UID types.UID
}

// Wait returns when o is gone, or with ctx's error. It looks again whenever the server ends the watch.
func Wait(ctx context.Context, c *client.Client, o Object) error {
	for {
		version, there, err := present(ctx, c, o)
		if err != nil || !there {
			return err
		}
		done, err := watchUntilGone(ctx, c, o, version)
		if err != nil || done {
			return err
		}
	}
}

// present looks for o, and returns the version to watch from.
func present(ctx context.Context, c *client.Client, o Object) (version string, there bool, err error) {
	collection := o.Ref
	collection.Name = ""
	items, version, err := c.List(ctx, collection, client.ListOptions{Fields: "metadata.name=" + o.Name})
	if apierrors.IsNotFound(err) { // the whole kind went
		return "", false, nil
	}
	if err != nil {
		return "", false, client.OrDone(ctx, err)
	}
	for _, i := range items {
		if o.UID == "" || i.GetUID() == o.UID {
			return version, true, nil
		}
	}
	return version, false, nil
}

func watchUntilGone(ctx context.Context, c *client.Client, o Object, version string) (bool, error) {
	w, err := c.Watch(ctx, o.Ref, client.ListOptions{ResourceVersion: version})
	if err != nil {
		return false, client.OrDone(ctx, err)
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case e, ok := <-w.ResultChan():
			if !ok || e.Type == watch.Error {
				return false, ctx.Err()
			}
			if gone(e, o.UID) {
				return true, nil
			}
		}
	}
}

// gone tells from an event whether the object is gone; one of another UID has taken its place already.
func gone(e watch.Event, uid types.UID) bool {
	if e.Type == watch.Deleted {
		return true
	}
	if _, ok := e.Object.(*unstructured.Unstructured); !ok || e.Type == watch.Bookmark {
		return false
	}
	m, err := meta.Accessor(e.Object)
	return err == nil && uid != "" && m.GetUID() != uid
}
