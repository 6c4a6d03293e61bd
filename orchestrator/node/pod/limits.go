package pod

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
)

// Limits are the limits of a container: its own or, where they are lower, the pod's
// (spec.resources). The pod's limits hold for all its containers together. Those that the API lets
// in are limits of one container at a time, or are kept by the containers' own.
func Limits(p *corev1.Pod, c *corev1.Container) corev1.ResourceList {
	if p.Spec.Resources == nil {
		return c.Resources.Limits
	}
	limits := maps.Clone(c.Resources.Limits)
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		whole, limited := p.Spec.Resources.Limits[name]
		if own, ok := limits[name]; limited && (!ok || whole.Cmp(own) < 0) {
			if limits == nil {
				limits = corev1.ResourceList{}
			}
			limits[name] = whole
		}
	}
	return limits
}

// Requests are the requests of a container: its own or, for what the only container of a pod does
// not say, the pod's.
func Requests(p *corev1.Pod, c *corev1.Container) corev1.ResourceList {
	if p.Spec.Resources == nil || len(p.Spec.Containers) > 1 {
		return c.Resources.Requests
	}
	requests := maps.Clone(p.Spec.Resources.Requests)
	if requests == nil {
		requests = corev1.ResourceList{}
	}
	maps.Copy(requests, c.Resources.Requests)
	return requests
}
