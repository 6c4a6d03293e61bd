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
	"skiff/orchestrator/controller"
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
		return c.update(ctx, s.on, func(object store.Object) error {
			if s.on == o.key && !sameOwners(object, o.object) {
				return controller.ErrOvertaken
			}
			object.SetOwnerReferences(slices.DeleteFunc(object.GetOwnerReferences(), func(r metav1.OwnerReference) bool {
				return slices.Contains(s.uids, r.UID)
			}))
			return nil
		})
	case unblock:
		return c.update(ctx, s.on, func(object store.Object) error {
			if !sameOwners(object, o.object) {
				return controller.ErrOvertaken
			}
			refs := object.GetOwnerReferences()
			for i := range refs {
				refs[i].BlockOwnerDeletion = ptr.To(false)
			}
			object.SetOwnerReferences(refs)
			return nil
		})
	case unfinal:
		return c.update(ctx, s.on, func(object store.Object) error {
			if c.holdsBack(s) {
				return controller.ErrOvertaken
			}
			object.SetFinalizers(slices.DeleteFunc(object.GetFinalizers(), func(f string) bool { return f == s.finalizer }))
			return nil
		})
	}
	return fmt.Errorf("unknown step %q", s.verb)
}

// sameOwners reports whether an object refers to the owners that were seen.
func sameOwners(now, seen store.Object) bool {
	return reflect.DeepEqual(now.GetOwnerReferences(), seen.GetOwnerReferences())
}

// holdsBack reports whether a dependent has come that the finalizer is there for.
func (c *Collector) holdsBack(s step) bool {
	dependents := c.graph.dependents(s.on)
	if s.finalizer == metav1.FinalizerOrphanDependents {
		return len(dependents) > 0
	}
	return slices.ContainsFunc(dependents, func(d dependent) bool { return d.blocks })
}

// delete deletes the object, provided its owners are still those that were seen, and what is to
// become of its dependents. Writes that leave these alone do not keep it alive.
func (c *Collector) delete(ctx context.Context, o observation, s step) error {
	for seen := o.object; ; {
		options := controller.AsSeen(seen)
		options.PropagationPolicy = &s.policy
		err := c.deleteWith(ctx, s.on, &options)
		if !apierrors.IsConflict(err) {
			return err
		}
		now, ok := c.graph.store.Get(s.on.Key)
		switch {
		case !ok || now.GetUID() != s.on.uid:
			return nil
		case !sameOwners(now, o.object) || existingPolicy(now) != existingPolicy(o.object):
			return controller.ErrOvertaken
		case now.GetResourceVersion() == seen.GetResourceVersion():
			return err // it is not the version that is in conflict
		}
		seen = now
	}
}

func (c *Collector) deleteWith(ctx context.Context, k key, options *metav1.DeleteOptions) error {
	_, _, err := c.resource(k).Delete(ctx, k.Namespace, k.Name, options, registry.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// update changes the metadata of an object, if it is still there.
func (c *Collector) update(ctx context.Context, k key, change func(store.Object) error) error {
	_, _, err := c.resource(k).Update(ctx, k.Namespace, k.Name, func(current store.Object) (store.Object, error) {
		if current.GetUID() != k.uid {
			return nil, errOther
		}
		private := current.DeepCopyObject().(store.Object)
		return private, change(private)
	}, registry.UpdateOptions{})
	if apierrors.IsNotFound(err) || errors.Is(err, errOther) {
		return nil
	}
	return err
}

func (c *Collector) resource(k key) *registry.Resource {
	return c.options.Registry.Resource(schema.ParseGroupResource(k.Resource))
}
