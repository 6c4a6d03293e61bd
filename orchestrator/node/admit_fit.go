package node

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcehelper "k8s.io/component-helpers/resource"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"skiff/manifests/registry"
)

// lacking tells of what the node has too little for a pod, nil if of nothing. It follows fitsRequest of
// k8s.io/kubernetes/pkg/scheduler/framework/plugins/noderesources/fit.go, which kubelet asks too.
func (a *Agent) lacking(pod *corev1.Pod) *refusal {
	node, err := a.nodes.Get("", a.Name)
	if err != nil || len(node.Status.Allocatable) == 0 {
		return nil // the node has not said yet what it has
	}
	has := node.Status.Allocatable
	pods, used := a.taken(pod)
	if most := has.Pods().Value(); pods+1 > most {
		return outOf(corev1.ResourcePods, 1, pods, most)
	}
	wants := requestsOf(pod)
	for _, name := range resourceOrder(wants) {
		capacity, ok := has[name]
		if !ok && isExtended(name) {
			continue // the cluster's, rather than a node's
		}
		if want, most := amount(name, wants), amount(name, corev1.ResourceList{name: capacity}); want > 0 && want > most-used[name] {
			return outOf(name, want, used[name], most)
		}
	}
	return nil
}

func outOf(name corev1.ResourceName, requested, used, capacity int64) *refusal {
	return reject("OutOf"+string(name), fmt.Sprintf("Node didn't have enough resource: %s, requested: %d, used: %d, capacity: %d",
		name, requested, used, capacity))
}

// taken is how many other pods the node has, and what they ask for.
func (a *Agent) taken(pod *corev1.Pod) (pods int64, used map[corev1.ResourceName]int64) {
	used = map[corev1.ResourceName]int64{}
	for _, other := range a.pods.ByIndex(registry.IndexNode, a.Name) {
		if other.UID == pod.UID || isTerminal(other.Status.Phase) || !a.begun(other) && other.Status.StartTime == nil {
			continue
		}
		pods++
		asks := requestsOf(other)
		for name := range asks {
			used[name] += amount(name, asks)
		}
	}
	return pods, used
}

func requestsOf(pod *corev1.Pod) corev1.ResourceList {
	return resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{})
}

// amount is how much of a resource a list has: thousandths of a processor, bytes or pieces.
func amount(name corev1.ResourceName, list corev1.ResourceList) int64 {
	q := list[name]
	if name == corev1.ResourceCPU {
		return q.MilliValue()
	}
	return q.Value()
}

// resourceOrder are the resources of a list in the order in which they are looked at.
func resourceOrder(list corev1.ResourceList) []corev1.ResourceName {
	order := []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage}
	for _, name := range slices.Sorted(maps.Keys(list)) {
		if !slices.Contains(order, name) {
			order = append(order, name)
		}
	}
	return order
}

// isExtended tells whether a resource is none of Kubernetes' own.
func isExtended(name corev1.ResourceName) bool {
	return strings.Contains(string(name), "/") && !strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix)
}

// isWantedBy tells whether a pod's node selector and affinity allow this node.
func (a *Agent) isWantedBy(pod *corev1.Pod) bool {
	node, err := a.nodes.Get("", a.Name)
	if err != nil {
		return true // not registered yet: there are no labels to compare with
	}
	matches, err := nodeaffinity.GetRequiredNodeAffinity(pod).Match(node)
	return err == nil && matches
}
