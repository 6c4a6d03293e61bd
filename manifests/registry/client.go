package registry

import (
	"context"
	"fmt"
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"skiff/manifests"
	"skiff/store"
)

// Client is the typed view of a resource for controllers. What it returns is
// shared and read-only; what it writes goes the same way as a request through
// the API.
type Client[T store.Object] struct {
	resource *Resource
}

// For returns the client of T's kind. It panics if T is not the type of a
// served kind, which is a mistake of the program.
func For[T store.Object](r *Registry) Client[T] {
	resource, ok := r.types[reflect.TypeFor[T]()]
	if !ok {
		panic(fmt.Sprintf("registry: %s is not the type of a served kind", reflect.TypeFor[T]()))
	}
	return Client[T]{resource: resource}
}

// Get returns the object, or a NotFound status error.
func (c Client[T]) Get(namespace, name string) (T, error) {
	obj, err := c.resource.Get(namespace, name)
	return typed[T](obj, err)
}

// List returns the matching objects of a namespace ("" for all), in order of
// namespace and name. A nil selector matches everything.
func (c Client[T]) List(namespace string, selector labels.Selector) []T {
	return c.all(c.resource.store().Snapshot(c.resource.name), c.resource.newSelection(namespace, selector, nil))
}

// ByIndex returns the objects that have the value in the index.
func (c Client[T]) ByIndex(index, value string) []T {
	found := c.resource.store().ByIndex(c.resource.name, index, value)
	out := make([]T, len(found))
	for i, obj := range found {
		out[i] = obj.(T)
	}
	return out
}

// Create stores obj, which it takes over, in obj's namespace. It gets the
// defaults that decoding gives to what comes through the API.
func (c Client[T]) Create(ctx context.Context, obj T) (T, error) {
	manifests.Scheme().Default(obj)
	created, err := c.resource.Create(ctx, obj.GetNamespace(), obj, CreateOptions{})
	return typed[T](created, err)
}

// Update changes an object: change gets a private copy. A change that changes
// nothing writes nothing. When another writer comes first, change is called
// again on what that one stored.
func (c Client[T]) Update(ctx context.Context, namespace, name string, change func(T) error) (T, error) {
	return c.UpdateSubresource(ctx, namespace, name, manifests.SubresourceNone, change)
}

// UpdateStatus is Update for the status subresource.
func (c Client[T]) UpdateStatus(ctx context.Context, namespace, name string, change func(T) error) (T, error) {
	return c.UpdateSubresource(ctx, namespace, name, manifests.SubresourceStatus, change)
}

// UpdateSubresource is Update for a named subresource, such as a namespace's
// finalize.
func (c Client[T]) UpdateSubresource(ctx context.Context, namespace, name, subresource string, change func(T) error) (T, error) {
	apply := func(current store.Object) (store.Object, error) {
		obj := current.DeepCopyObject().(T)
		if err := change(obj); err != nil {
			return nil, err
		}
		manifests.Scheme().Default(obj)
		return obj, nil
	}
	updated, _, err := c.resource.Update(ctx, namespace, name, apply, UpdateOptions{Subresource: subresource, existing: true})
	return typed[T](updated, err)
}

// Delete deletes an object as a request with these options does.
func (c Client[T]) Delete(ctx context.Context, namespace, name string, o metav1.DeleteOptions) error {
	_, _, err := c.resource.Delete(ctx, namespace, name, &o, DeleteOptions{})
	return err
}

// Events returns the present objects and a watch of every later change, with
// none lost between the two. The watch ends with ctx.
func (c Client[T]) Events(ctx context.Context) ([]T, *store.Watch, error) {
	snapshot, changes, err := c.resource.store().SnapshotAndWatch(ctx, c.resource.name)
	if err != nil {
		return nil, nil, fmt.Errorf("watching %s: %w", c.resource.name, err)
	}
	return c.all(snapshot, selection{kind: c.resource.kind}), changes, nil
}

func (c Client[T]) all(snapshot store.Snapshot, sel selection) []T {
	var out []T
	snapshot.Ascend(sel.namespace, store.Key{}, func(obj store.Object) bool {
		if sel.matches(obj) {
			out = append(out, obj.(T))
		}
		return true
	})
	return out
}

func typed[T store.Object](obj store.Object, err error) (T, error) {
	if err != nil {
		var none T
		return none, err
	}
	return obj.(T), nil
}
