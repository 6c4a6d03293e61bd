package garbage

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"skiff/manifests/registry"
	"skiff/store"
)

// errOther ends the update of an object that another has taken the name of.
var errOther = errors.New("another object has taken the name")

// execute carries out a plan. add has an object looked at.
func (c *Collector) execute(ctx context.Context, o observation, p plan, add func(key)) error {
	for _, s := range p {
		if err := c.step(ctx, o, s, add); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

func (c *Collector) step(ctx context.Context, o observation, s step, add func(key)) error {
	switch s.verb {
	case look:
		add(s.on)
		return nil
	case del:
		return c.delete(ctx, o, s)
	case disown:
		return c.update(ctx, s.on, func(object store.Object) {
			object.SetOwnerReferences(slices.DeleteFunc(object.GetOwnerReferences(), func(r metav1.OwnerReference) bool {
				return slices.Contains(s.uids, r.UID)
			}))
		})
	case unblock:
		return c.update(ctx, s.on, func(object store.Object) {
			refs := object.GetOwnerReferences()
			for i := range refs {
				refs[i].BlockOwnerDeletion = ptr.To(false)
			}
			object.SetOwnerReferences(refs)
		})
	case unfinal:
		return c.update(ctx, s.on, func(object store.Object) {
			object.SetFinalizers(slices.DeleteFunc(object.GetFinalizers(), func(f string) bool { return f == s.finalizer }))
		})
	}
	return fmt.Errorf("unknown step %q", s.verb)
}

// delete deletes the object, provided its owners are still those that were seen.
func (c *Collector) delete(ctx context.Context, o observation, s step) error {
	options := &metav1.DeleteOptions{
		PropagationPolicy: &s.policy,
		Preconditions:     &metav1.Preconditions{UID: &s.on.uid, ResourceVersion: ptr.To(o.object.GetResourceVersion())},
	}
	err := c.deleteWith(ctx, s.on, options)
	if !apierrors.IsConflict(err) {
		return err
	}
	// Another write came first. If it left the owners alone, further writes like
	// it must not keep the object alive.
	now, ok := c.graph.store.Get(s.on.Key)
	if !ok || now.GetUID() != s.on.uid {
		return nil
	}
	if !reflect.DeepEqual(now.GetOwnerReferences(), o.object.GetOwnerReferences()) {
		return err
	}
	options.Preconditions.ResourceVersion = nil
	return c.deleteWith(ctx, s.on, options)
}

func (c *Collector) deleteWith(ctx context.Context, k key, options *metav1.DeleteOptions) error {
	_, _, err := c.resource(k).Delete(ctx, k.Namespace, k.Name, options, registry.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// update changes the metadata of an object, if it is still there.
func (c *Collector) update(ctx context.Context, k key, change func(store.Object)) error {
	_, _, err := c.resource(k).Update(ctx, k.Namespace, k.Name, func(current store.Object) (store.Object, error) {
		if current.GetUID() != k.uid {
			return nil, errOther
		}
		private := current.DeepCopyObject().(store.Object)
		change(private)
		return private, nil
	}, registry.UpdateOptions{})
	if apierrors.IsNotFound(err) || errors.Is(err, errOther) {
		return nil
	}
	return err
}

func (c *Collector) resource(k key) *registry.Resource {
	return c.options.Registry.Resource(schema.ParseGroupResource(k.Resource))
}
