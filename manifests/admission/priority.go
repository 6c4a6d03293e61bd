package admission

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/utils/ptr"

	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/store"
)

const priorityClasses = "priorityclasses.scheduling.k8s.io"

// Priority resolves the priority of a pod from its priority class, or from the
// default one, and sees to it that there is only one default class.
type Priority struct{ Reader Reader }

func (p Priority) Admit(_ context.Context, r registry.Request) error {
	if r.Subresource != "" || r.Operation == registry.Delete {
		return nil
	}
	switch obj := r.Object.(type) {
	case *schedulingv1.PriorityClass:
		return p.admitClass(r, obj)
	case *corev1.Pod:
		if old, ok := r.Old.(*corev1.Pod); ok {
			keepPriority(obj, old)
			return nil
		}
		return p.resolve(r, obj)
	}
	return nil
}

// keepPriority restores what a client left out of an update.
func keepPriority(pod, old *corev1.Pod) {
	if pod.Spec.Priority == nil {
		pod.Spec.Priority = old.Spec.Priority
	}
	if pod.Spec.PreemptionPolicy == nil {
		pod.Spec.PreemptionPolicy = old.Spec.PreemptionPolicy
	}
}

func (p Priority) resolve(r registry.Request, pod *corev1.Pod) error {
	class, err := p.classOf(r, pod)
	if err != nil {
		return err
	}
	pod.Spec.PriorityClassName = class.Name
	if given := pod.Spec.Priority; given != nil && *given != class.Value {
		return forbidden(r, fmt.Errorf("the integer value of priority (%d) must not be provided in pod spec; priority admission controller computed %d from the given PriorityClass name", *given, class.Value))
	}
	pod.Spec.Priority = ptr.To(class.Value)
	if class.PreemptionPolicy == nil {
		return nil
	}
	policy := *class.PreemptionPolicy
	if given := pod.Spec.PreemptionPolicy; given != nil && *given != policy {
		return forbidden(r, fmt.Errorf("the string value of PreemptionPolicy (%s) must not be provided in pod spec; priority admission controller computed %s from the given PriorityClass name", *given, policy))
	}
	pod.Spec.PreemptionPolicy = &policy
	return nil
}

// classOf is the class a pod names, or the default one, or, when there is none,
// one without a name.
func (p Priority) classOf(r registry.Request, pod *corev1.Pod) (*schedulingv1.PriorityClass, error) {
	if name := pod.Spec.PriorityClassName; name != "" {
		found, ok := p.Reader.Get(store.Key{Resource: priorityClasses, Name: name})
		if !ok {
			return nil, forbidden(r, fmt.Errorf("no PriorityClass with name %v was found", name))
		}
		return found.(*schedulingv1.PriorityClass), nil
	}
	if class := p.defaultClass(); class != nil {
		return class, nil
	}
	return &schedulingv1.PriorityClass{
		Value:            int32(manifests.PriorityWithoutClass),
		PreemptionPolicy: ptr.To(corev1.PreemptLowerPriority),
	}, nil
}

// defaultClass is the class marked as global default, the one of the lowest
// value should there be several.
func (p Priority) defaultClass() *schedulingv1.PriorityClass {
	var lowest *schedulingv1.PriorityClass
	p.Reader.Snapshot(priorityClasses).Ascend("", store.Key{}, func(obj store.Object) bool {
		class := obj.(*schedulingv1.PriorityClass)
		if class.GlobalDefault && (lowest == nil || class.Value < lowest.Value) {
			lowest = class
		}
		return true
	})
	return lowest
}

func (p Priority) admitClass(r registry.Request, class *schedulingv1.PriorityClass) error {
	if !class.GlobalDefault {
		return nil
	}
	other := p.defaultClass()
	if other == nil || r.Operation == registry.Update && other.Name == class.Name {
		return nil
	}
	return forbidden(r, fmt.Errorf("PriorityClass %v is already marked as default. Only one default can exist", other.Name))
}
