package autoscaling

import (
	"context"
	"errors"
	"fmt"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/orchestrator/controller"
	"skiff/store"
)

// target is what an autoscaler scales, as its Scale tells it.
type target struct {
	resource        *registry.Resource
	namespace, name string
	// want and have are its replicas, as specified and as counted.
	want, have int32
	selector   string
}

// findTarget reads the Scale of the object that an autoscaler refers to. Its version is of no
// consequence, as everywhere: a kind is one in all its versions.
func (c *Controller) findTarget(a *autoscalingv2.HorizontalPodAutoscaler) (target, error) {
	ref := a.Spec.ScaleTargetRef
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		return target{}, err
	}
	kind := c.kindOf(gv.WithKind(ref.Kind))
	switch {
	case kind == nil:
		return target{}, fmt.Errorf("no matches for kind %q in group %q", ref.Kind, gv.Group)
	case kind.Scale == nil:
		return target{}, errors.New("the server could not find the requested resource")
	}
	t := target{resource: c.options.Registry.Resource(kind.GroupResource()), namespace: a.Namespace, name: ref.Name}
	obj, err := t.resource.Get(t.namespace, t.name)
	if err != nil {
		return target{}, err
	}
	scale := kind.Scale.Get(obj)
	t.want, t.have, t.selector = scale.Spec.Replicas, scale.Status.Replicas, scale.Status.Selector
	return t, nil
}

// kindOf finds a kind by any of its versions, nil if there is none. Versions of built-in kinds that are
// no longer served lead to it too.
func (c *Controller) kindOf(gvk schema.GroupVersionKind) *manifests.Kind {
	for _, kind := range c.options.Registry.Kinds() {
		if kind.GVK.GroupKind() == gvk.GroupKind() {
			return kind
		}
	}
	return c.options.Registry.CustomKind(gvk)
}

// setReplicas scales a target that wants as many replicas as it did when it was looked at.
func (c *Controller) setReplicas(ctx context.Context, t target, replicas int32) error {
	scale := t.resource.Kind().Scale
	_, _, err := t.resource.Update(ctx, t.namespace, t.name, func(current store.Object) (store.Object, error) {
		if scale.Get(current).Spec.Replicas != t.want {
			return nil, controller.ErrOvertaken
		}
		obj := current.DeepCopyObject().(store.Object)
		scale.Set(obj, replicas)
		return obj, nil
	}, registry.UpdateOptions{})
	return err
}

func isOvertaken(err error) bool { return errors.Is(err, controller.ErrOvertaken) }

func parseSelector(text string) (labels.Selector, error) {
	if text == "" {
		return nil, errNoSelector
	}
	s, err := labels.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("couldn't convert selector into a corresponding internal selector object: %w", err)
	}
	return s, nil
}

// errNoSelector says that nothing tells which pods are the target's.
var errNoSelector = errors.New("selector is required")

// rivals are the autoscalers, this one among them, that control the same pods; none if it is alone.
func (c *Controller) rivals(a *autoscalingv2.HorizontalPodAutoscaler, pods []*corev1.Pod) []types.NamespacedName {
	all := []types.NamespacedName{controller.NameOf(a)}
	for _, other := range c.autoscalers.List(a.Namespace, nil) {
		if other.UID == a.UID || other.DeletionTimestamp != nil {
			continue
		}
		t, err := c.findTarget(other)
		if err != nil {
			continue
		}
		selector, err := parseSelector(t.selector)
		if err != nil {
			continue
		}
		for _, p := range pods {
			if selector.Matches(labels.Set(p.Labels)) {
				all = append(all, controller.NameOf(other))
				break
			}
		}
	}
	if len(all) == 1 {
		return nil
	}
	return all
}
