package node

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcehelper "k8s.io/component-helpers/resource"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"skiff/manifests/podfacts"
	"skiff/manifests/registry"
	"skiff/orchestrator/node/pod"
)

// shortage is a resource of which a node has too little for a pod. Amounts are in thousandths of a
// processor, bytes or pieces.
type shortage struct {
	resource                  corev1.ResourceName
	requested, used, capacity int64
}

func (s *shortage) String() string {
	return fmt.Sprintf("Node didn't have enough resource: %s, requested: %d, used: %d, capacity: %d", s.resource, s.requested, s.used, s.capacity)
}

// lacking returns kubelet's rejection of a pod for which the node has too little of a resource, nil if
// it has enough.
func (a *Agent) lacking(pod *corev1.Pod) *pod.Rejection {
	if s := a.shortOf(pod); s != nil {
		return rejection("OutOf"+string(s.resource), s.String())
	}
	return nil
}

// shortOf returns of which resource the node has too little for a pod, nil if of none. It follows
// fitsRequest of k8s.io/kubernetes/pkg/scheduler/framework/plugins/noderesources/fit.go, which
// kubelet uses too.
func (a *Agent) shortOf(pod *corev1.Pod) *shortage {
	node, err := a.nodes.Get("", a.Name)
	if err != nil || len(node.Status.Allocatable) == 0 {
		return nil // the node's capacity is not known yet
	}
	has := node.Status.Allocatable
	pods, used := a.allocated(pod)
	if most := has.Pods().Value(); pods+1 > most {
		return &shortage{corev1.ResourcePods, 1, pods, most}
	}
	wants := requestsOf(pod)
	for _, name := range resourceOrder(wants) {
		capacity, ok := has[name]
		if !ok && isExtended(name) {
			continue // the cluster's, not the node's
		}
		if want, most := amount(name, wants), amount(name, corev1.ResourceList{name: capacity}); want > 0 && want > most-used[name] {
			return &shortage{name, want, used[name], most}
		}
	}
	return nil
}

// allocated is how many other pods the node runs, and the sum of what is allocated for them.
func (a *Agent) allocated(p *corev1.Pod) (pods int64, used map[corev1.ResourceName]int64) {
	used = map[corev1.ResourceName]int64{}
	for _, other := range a.pods.ByIndex(registry.IndexNode, a.Name) {
		if other.UID == p.UID || podfacts.Terminal(other) || !a.begun(other) && other.Status.StartTime == nil {
			continue
		}
		pods++
		asks := requestsOf(a.allocatedTo(other))
		for name := range asks {
			used[name] += amount(name, asks)
		}
	}
	return pods, used
}

// allocatedTo is a pod with what is allocated for it.
func (a *Agent) allocatedTo(p *corev1.Pod) *corev1.Pod {
	if r := a.records.get(p.UID); r != nil {
		return r.allocated(p)
	}
	return p
}

func requestsOf(pod *corev1.Pod) corev1.ResourceList {
	return resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{})
}

// amount is the quantity of a resource in a list, in thousandths of a processor, bytes or pieces.
func amount(name corev1.ResourceName, list corev1.ResourceList) int64 {
	q := list[name]
	if name == corev1.ResourceCPU {
		return q.MilliValue()
	}
	return q.Value()
}

// resourceOrder is the resources of a list in the order in which they are checked.
func resourceOrder(list corev1.ResourceList) []corev1.ResourceName {
	order := []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage}
	for _, name := range slices.Sorted(maps.Keys(list)) {
		if !slices.Contains(order, name) {
			order = append(order, name)
		}
	}
	return order
}

// isExtended reports whether a resource is not one of Kubernetes' own.
func isExtended(name corev1.ResourceName) bool {
	return strings.Contains(string(name), "/") && !strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix)
}

// isWantedBy reports whether a pod's node selector and affinity allow this node.
func (a *Agent) isWantedBy(pod *corev1.Pod) bool {
	node, err := a.nodes.Get("", a.Name)
	if err != nil {
		return true // not registered yet: there are no labels to compare with
	}
	matches, err := nodeaffinity.GetRequiredNodeAffinity(pod).Match(node)
	return err == nil && matches
}
