package admission

import (
	"context"
	"errors"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"skiff/manifests/registry"
	"skiff/store"
)

// RuntimeClass refuses pods of a class that does not exist, and gives the others their class's
// overhead and scheduling (k8s.io/kubernetes/plugin/pkg/admission/runtimeclass).
type RuntimeClass struct{ Reader Reader }

func (c RuntimeClass) Admit(_ context.Context, r registry.Request) error {
	pod := newPod(r)
	if pod == nil {
		return nil
	}
	class, err := c.classOf(r, pod)
	if err != nil {
		return err
	}
	if class == nil || class.Overhead == nil {
		if pod.Spec.Overhead != nil {
			return forbidden(r, errors.New("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"))
		}
	} else if overhead := class.Overhead.PodFixed; len(pod.Spec.Overhead) > 0 && !equality.Semantic.DeepEqual(pod.Spec.Overhead, overhead) {
		return forbidden(r, errors.New("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"))
	} else {
		pod.Spec.Overhead = overhead.DeepCopy()
	}
	if class == nil || class.Scheduling == nil {
		return nil
	}
	return schedule(r, pod, class.Scheduling)
}

// classOf is the class that a pod names, or nil.
func (c RuntimeClass) classOf(r registry.Request, pod *corev1.Pod) (*nodev1.RuntimeClass, error) {
	name := pod.Spec.RuntimeClassName
	if name == nil {
		return nil, nil
	}
	found, ok := c.Reader.Get(store.Key{Resource: "runtimeclasses.node.k8s.io", Name: *name})
	if !ok {
		return nil, forbidden(r, fmt.Errorf("pod rejected: RuntimeClass %q not found", *name))
	}
	return found.(*nodev1.RuntimeClass), nil
}

// schedule adds the class's constraints to the pod's own.
func schedule(r registry.Request, pod *corev1.Pod, s *nodev1.Scheduling) error {
	selector := maps.Clone(pod.Spec.NodeSelector)
	for key, want := range s.NodeSelector {
		if has, ok := selector[key]; ok && has != want {
			return forbidden(r, fmt.Errorf("conflict: runtimeClass.scheduling.nodeSelector[%s] = %s; pod.spec.nodeSelector[%s] = %s", key, want, key, has))
		}
		if selector == nil {
			selector = map[string]string{}
		}
		selector[key] = want
	}
	pod.Spec.NodeSelector = selector
	for _, t := range s.Tolerations {
		if !tolerates(pod.Spec.Tolerations, t) {
			pod.Spec.Tolerations = append(pod.Spec.Tolerations, t)
		}
	}
	return nil
}

func tolerates(all []corev1.Toleration, t corev1.Toleration) bool {
	for i := range all {
		if equality.Semantic.DeepEqual(all[i], t) {
			return true
		}
	}
	return false
}
