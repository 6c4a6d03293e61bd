package admission

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	resourcehelper "k8s.io/component-helpers/resource"

	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/store"
)

// PodResize refuses to resize a pod beyond what its node has, however little else runs there
// (upstream's plugin/pkg/admission/podresize).
type PodResize struct{ Reader Reader }

// causeNodeCapacity is upstream's cause of such a refusal.
const causeNodeCapacity metav1.CauseType = "NodeCapacity"

// Admit implements registry.Admitter.
func (PodResize) Admit(context.Context, registry.Request) error { return nil }

// Validate implements registry.Validator.
func (p PodResize) Validate(_ context.Context, r registry.Request) error {
	pod, ok := r.Object.(*corev1.Pod)
	if !ok || r.Subresource != manifests.SubresourceResize || pod.Spec.NodeName == "" || pod.Generation == r.Old.GetGeneration() {
		return nil
	}
	obj, ok := p.Reader.Get(store.Key{Resource: "nodes", Name: pod.Spec.NodeName})
	if !ok {
		return forbidden(r, fmt.Errorf("node %q not found", pod.Spec.NodeName))
	}
	lacking := beyond(pod, obj.(*corev1.Node).Status.Allocatable)
	if len(lacking) == 0 {
		return nil
	}
	err := forbidden(r, fmt.Errorf("node didn't have enough allocatable resources: %s", strings.Join(lacking, "; ")))
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{Type: causeNodeCapacity})
	return err
}

// beyond is what a pod requests more of than a node has, in upstream's words.
func beyond(pod *corev1.Pod, allocatable corev1.ResourceList) []string {
	requests := resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{})
	var lacking []string
	if wants, has := requests.Cpu(), allocatable.Cpu(); wants.Cmp(*has) > 0 {
		lacking = append(lacking, fmt.Sprintf("cpu, requested: %d, allocatable: %d", wants.MilliValue(), has.MilliValue()))
	}
	if wants, has := requests.Memory(), allocatable.Memory(); wants.Cmp(*has) > 0 {
		lacking = append(lacking, fmt.Sprintf("memory, requested: %d, allocatable: %d", wants.Value(), has.Value()))
	}
	return lacking
}
