package scheduling

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"
)

// What a container that asks for nothing is taken to use, so that a node is not
// thought free however many of them it runs (k8s.io/kubernetes
// pkg/scheduler/util/pod_resources.go).
const (
	usualMilliCPU = 100
	usualMemory   = 200 << 20
)

// resources are amounts of what nodes have and pods ask for: processor time in
// thousandths of a core, the rest in bytes or pieces.
type resources struct {
	milliCPU, memory, ephemeral int64
	// other holds extended resources and huge pages.
	other map[corev1.ResourceName]int64
}

func resourcesOf(list corev1.ResourceList) resources {
	var r resources
	for name, q := range list {
		switch name {
		case corev1.ResourceCPU:
			r.milliCPU = q.MilliValue()
		case corev1.ResourceMemory:
			r.memory = q.Value()
		case corev1.ResourceEphemeralStorage:
			r.ephemeral = q.Value()
		case corev1.ResourcePods, corev1.ResourceStorage:
		default:
			if r.other == nil {
				r.other = map[corev1.ResourceName]int64{}
			}
			r.other[name] = q.Value()
		}
	}
	return r
}

// add adds sign times b to r.
func (r *resources) add(b resources, sign int64) {
	r.milliCPU += sign * b.milliCPU
	r.memory += sign * b.memory
	r.ephemeral += sign * b.ephemeral
	for name, n := range b.other {
		if r.other == nil {
			r.other = map[corev1.ResourceName]int64{}
		}
		r.other[name] += sign * n
	}
}

func (r resources) nothing() bool {
	return r.milliCPU == 0 && r.memory == 0 && r.ephemeral == 0 && len(r.other) == 0
}

// equal reports whether two pods take up as much of what a resize can change.
func (r resources) equal(b resources) bool { return r.milliCPU == b.milliCPU && r.memory == b.memory }

// requestsOf is what a pod asks for, its init containers and overhead included. While it is being
// resized that is the most of what it asks for, was allocated and has.
func requestsOf(p *corev1.Pod) resources {
	return resourcesOf(resourcehelper.PodRequests(p, resourcehelper.PodResourcesOptions{UseStatusResources: true}))
}

// usageOf is requestsOf with the usual use of containers that ask for nothing.
func usageOf(p *corev1.Pod) resources {
	return resourcesOf(resourcehelper.PodRequests(p, resourcehelper.PodResourcesOptions{
		UseStatusResources: true,
		NonMissingContainerRequests: corev1.ResourceList{
			corev1.ResourceCPU:    *resource.NewMilliQuantity(usualMilliCPU, resource.DecimalSI),
			corev1.ResourceMemory: *resource.NewQuantity(usualMemory, resource.BinarySI),
		},
	}))
}
