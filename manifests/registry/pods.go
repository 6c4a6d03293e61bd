package registry

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
	"k8s.io/utils/ptr"

	"skiff/manifests"
	"skiff/store"
)

// Pods carries out the pods' subresources that are acts and not parts.
type Pods struct{ resource *Resource }

// Pods returns the acts on pods.
func (r *Registry) Pods() Pods { return Pods{r.resources[groupResource("pods")]} }

// Assign carries out a Binding: the pod that bears its name gets its target as
// node, its labels and its annotations. Its UID and resourceVersion are
// preconditions.
func (p Pods) Assign(ctx context.Context, namespace string, b *corev1.Binding, o CreateOptions) error {
	if errs := manifests.ValidateBinding(b); len(errs) > 0 {
		return apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Binding").GroupKind(), b.Name, errs)
	}
	if o.Validate != nil {
		if err := o.Validate(ctx, b.DeepCopy()); err != nil {
			return err
		}
	}
	if err := p.resource.ReviewPart(ctx, binding(namespace, b, o)); err != nil {
		return err
	}
	for {
		err := p.tryAssign(ctx, namespace, b, o.DryRun)
		if !raced(err) {
			return err
		}
	}
}

// binding is the request as the extension sees it.
func binding(namespace string, b *corev1.Binding, o CreateOptions) Request {
	return Request{
		Operation: Create, Namespace: namespace, Name: b.Name, Subresource: "binding", DryRun: o.DryRun, Options: optionsOf(o.Options),
		Part: &Part{GVK: corev1.SchemeGroupVersion.WithKind("Binding"), Object: b},
	}
}

func (p Pods) tryAssign(ctx context.Context, namespace string, b *corev1.Binding, dryRun bool) error {
	r := p.resource
	old, err := r.Get(namespace, b.Name)
	if err != nil {
		return err
	}
	if err := checkPreconditions(bindingPreconditions(b), old); err != nil {
		return apierrors.NewConflict(r.gr, b.Name, err)
	}
	pod := old.(*corev1.Pod)
	if err := assignable(pod); err != nil {
		return apierrors.NewConflict(groupResource("pods/binding"), b.Name, err)
	}
	if dryRun {
		return nil
	}
	revision, err := revisionOf(pod)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	_, err = r.store().Commit(ctx, store.Change{Key: r.key(namespace, b.Name), Expect: revision, Object: r.assigned(pod, b)})
	if err != nil && !raced(err) {
		return r.failed("binding", namespace, b.Name, err)
	}
	return err
}

func bindingPreconditions(b *corev1.Binding) *metav1.Preconditions {
	p := &metav1.Preconditions{}
	if b.UID != "" {
		p.UID = ptr.To[types.UID](b.UID)
	}
	if b.ResourceVersion != "" {
		p.ResourceVersion = ptr.To(b.ResourceVersion)
	}
	return p
}

func assignable(pod *corev1.Pod) error {
	switch {
	case pod.DeletionTimestamp != nil:
		return fmt.Errorf("pod %s is being deleted, cannot be assigned to a host", pod.Name)
	case pod.Spec.NodeName != "":
		return fmt.Errorf("pod %v is already assigned to node %q", pod.Name, pod.Spec.NodeName)
	case len(pod.Spec.SchedulingGates) != 0:
		return fmt.Errorf("pod %v has non-empty .spec.schedulingGates", pod.Name)
	}
	return nil
}

// assigned is the pod with its node.
func (r *Resource) assigned(old *corev1.Pod, b *corev1.Binding) *corev1.Pod {
	pod := old.DeepCopy()
	pod.Spec.NodeName = b.Target.Name
	pod.Status.NominatedNodeName = ""
	pod.Annotations = merged(pod.Annotations, b.Annotations)
	pod.Labels = merged(pod.Labels, b.Labels)
	r.setCondition(&pod.Status, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue})
	return pod
}

func merged(into, from map[string]string) map[string]string {
	if into == nil && len(from) > 0 {
		into = map[string]string{}
	}
	maps.Copy(into, from)
	return into
}

// setCondition sets a condition, with the time of the transition when its status
// changes.
func (r *Resource) setCondition(s *corev1.PodStatus, c corev1.PodCondition) {
	c.LastTransitionTime = r.now()
	i, old := podutil.GetPodCondition(s, c.Type)
	if old == nil {
		s.Conditions = append(s.Conditions, c)
		return
	}
	if old.Status == c.Status {
		c.LastTransitionTime = old.LastTransitionTime
	}
	s.Conditions[i] = c
}
