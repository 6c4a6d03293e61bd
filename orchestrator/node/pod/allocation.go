package pod

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Allocation is what a node has set aside for a pod: the resources that it admitted the pod with, or
// those of the last resize that it accepted. It shares what it refers to with the pod it is made from.
type Allocation struct {
	initContainers, containers []corev1.Container
	whole                      *corev1.ResourceRequirements
}

// Allocate is the allocation of what a pod asks for.
func Allocate(p *corev1.Pod) *Allocation {
	return &Allocation{initContainers: p.Spec.InitContainers, containers: p.Spec.Containers, whole: p.Spec.Resources}
}

// RecallAllocation is what an earlier daemon had set aside for a pod, as the pod's status shows it, and
// what the pod asks for where it shows nothing.
func RecallAllocation(p *corev1.Pod) *Allocation {
	return &Allocation{
		initContainers: recallResources(p.Spec.InitContainers, p.Status.InitContainerStatuses),
		containers:     recallResources(p.Spec.Containers, p.Status.ContainerStatuses),
		whole:          p.Spec.Resources,
	}
}

func recallResources(spec []corev1.Container, statuses []corev1.ContainerStatus) []corev1.Container {
	return withResources(spec, func(c *corev1.Container) corev1.ResourceRequirements {
		s := FindStatus(statuses, c.Name)
		if s == nil || s.Resources == nil {
			return c.Resources
		}
		return corev1.ResourceRequirements{Requests: s.AllocatedResources, Limits: s.Resources.Limits}
	})
}

// Matches reports whether a pod asks for what is allocated.
func (l *Allocation) Matches(p *corev1.Pod) bool { return l.Apply(p) == p }

// Apply is the pod with the resources that are allocated in place of those it asks for; the pod itself
// if they are the same. A nil allocation is what the pod asks for.
func (l *Allocation) Apply(p *corev1.Pod) *corev1.Pod {
	if l == nil || same(l.initContainers, p.Spec.InitContainers) && same(l.containers, p.Spec.Containers) && l.whole == p.Spec.Resources {
		return p
	}
	of := func(list []corev1.Container) func(*corev1.Container) corev1.ResourceRequirements {
		return func(c *corev1.Container) corev1.ResourceRequirements {
			if i := slices.IndexFunc(list, func(other corev1.Container) bool { return other.Name == c.Name }); i >= 0 {
				return list[i].Resources
			}
			return c.Resources
		}
	}
	initContainers := withResources(p.Spec.InitContainers, of(l.initContainers))
	containers := withResources(p.Spec.Containers, of(l.containers))
	if same(initContainers, p.Spec.InitContainers) && same(containers, p.Spec.Containers) && sameWhole(l.whole, p.Spec.Resources) {
		return p
	}
	applied := *p
	applied.Spec.InitContainers, applied.Spec.Containers, applied.Spec.Resources = initContainers, containers, l.whole
	return &applied
}

// same reports whether two lists are one.
func same(a, b []corev1.Container) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

func sameWhole(a, b *corev1.ResourceRequirements) bool {
	if a == nil || b == nil {
		return a == b
	}
	return len(changedResources(a, b)) == 0
}

// withResources is the list with the CPU and memory of other requirements; the list itself if they are
// the same.
func withResources(list []corev1.Container, of func(*corev1.Container) corev1.ResourceRequirements) []corev1.Container {
	out := list
	for i := range list {
		want := of(&list[i])
		if len(changedResources(&want, &list[i].Resources)) == 0 {
			continue
		}
		if same(out, list) {
			out = slices.Clone(list)
		}
		out[i].Resources.Requests = resized(list[i].Resources.Requests, want.Requests)
		out[i].Resources.Limits = resized(list[i].Resources.Limits, want.Limits)
	}
	return out
}

// resizable are the resources that can be changed while a container runs.
var resizable = []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory}

// resized is a list with the resizable resources of another.
func resized(list, from corev1.ResourceList) corev1.ResourceList {
	out := maps.Clone(list)
	for _, name := range resizable {
		delete(out, name)
		if q, ok := from[name]; ok {
			if out == nil {
				out = corev1.ResourceList{}
			}
			out[name] = q
		}
	}
	return out
}

// changedResources are the resizable resources in which two requirements differ.
func changedResources(a, b *corev1.ResourceRequirements) []corev1.ResourceName {
	var changed []corev1.ResourceName
	for _, name := range resizable {
		if !sameQuantity(a.Requests, b.Requests, name) || !sameQuantity(a.Limits, b.Limits, name) {
			changed = append(changed, name)
		}
	}
	return changed
}

func sameQuantity(a, b corev1.ResourceList, name corev1.ResourceName) bool {
	p, inA := a[name]
	q, inB := b[name]
	return inA == inB && p.Cmp(q) == 0
}
