package disruption

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"skiff/manifests/registry"
	"skiff/store"
)

// scales finds how many pods the controllers of pods shall have.
func (c *Controller) scales(pods []*corev1.Pod) (scales map[types.UID]int32, unmanaged []string, err error) {
	scales = map[types.UID]int32{}
	seen := map[types.UID]bool{}
	for _, pod := range pods {
		ref := metav1.GetControllerOfNoCopy(pod)
		switch {
		case ref == nil:
			unmanaged = append(unmanaged, pod.Name)
			continue
		case seen[ref.UID]:
			continue
		}
		seen[ref.UID] = true
		owner, resource, err := c.topController(pod.Namespace, ref)
		if err != nil {
			return nil, nil, err
		}
		if owner == nil {
			return nil, nil, fmt.Errorf("found no controllers for pod %q", pod.Name)
		}
		if resource.Kind().Scale == nil {
			return nil, nil, fmt.Errorf("%s does not implement the scale subresource", resource.Kind().GroupResource())
		}
		scales[owner.GetUID()] = resource.Kind().Scale.Get(owner).Spec.Replicas
	}
	return scales, unmanaged, nil
}

// topController is the object that says how many pods there shall be: a
// ReplicaSet's Deployment, if it has one. It is nil when there is none any more.
func (c *Controller) topController(namespace string, ref *metav1.OwnerReference) (store.Object, *registry.Resource, error) {
	owner, resource, err := c.lookUp(namespace, ref)
	if err != nil || owner == nil {
		return nil, nil, err
	}
	if _, isSet := owner.(*appsv1.ReplicaSet); !isSet {
		return owner, resource, nil
	}
	above := metav1.GetControllerOfNoCopy(owner)
	if above == nil || above.Kind != "Deployment" {
		return owner, resource, nil
	}
	if d, of, err := c.lookUp(namespace, above); err == nil && d != nil {
		return d, of, nil
	}
	return owner, resource, nil
}

func (c *Controller) lookUp(namespace string, ref *metav1.OwnerReference) (store.Object, *registry.Resource, error) {
	gvk := schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind)
	for _, kind := range append(slices.Clip(c.registry.Kinds()), c.registry.CustomKinds()...) {
		if kind.GVK.GroupKind() != gvk.GroupKind() {
			continue
		}
		resource := c.registry.Resource(kind.GroupResource())
		owner, err := resource.Get(namespace, ref.Name)
		if apierrors.IsNotFound(err) || err == nil && owner.GetUID() != ref.UID {
			return nil, nil, nil
		}
		return owner, resource, err
	}
	return nil, nil, fmt.Errorf("no matches for kind %q in version %q", ref.Kind, ref.APIVersion)
}
