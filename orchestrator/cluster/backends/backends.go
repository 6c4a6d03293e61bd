// Package backends finds the pods that Services lead to, and the Services that lead to a pod. The
// controllers of Endpoints and of EndpointSlices share it.
package backends

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/manifests/podfacts"
	"skiff/manifests/registry"
	"skiff/orchestrator/controller"
)

// Pods reads pods; a registry.Client is one.
type Pods interface {
	ByIndex(index, value string) []*corev1.Pod
}

// Services reads Services; a registry.Client is one.
type Services interface {
	ByIndex(index, value string) []*corev1.Service
}

// few is a number of pods that is looked through faster than another label is looked up.
const few = 64

// Selected returns the pods that a Service selects, in the order of their names. A Service without a
// selector selects none.
func Selected(pods Pods, s *corev1.Service) []*corev1.Pod {
	// One label finds candidates, and it had better be a rare one.
	var candidates []*corev1.Pod
	for i, key := range slices.Sorted(maps.Keys(s.Spec.Selector)) {
		bearing := pods.ByIndex(registry.IndexLabel, registry.LabelOf(s.Namespace, key, s.Spec.Selector[key]))
		if i == 0 || len(bearing) < len(candidates) {
			candidates = bearing
		}
		if len(candidates) <= few {
			break
		}
	}
	return slices.DeleteFunc(candidates, func(p *corev1.Pod) bool { return !selects(s, p) })
}

func selects(s *corev1.Service, p *corev1.Pod) bool {
	for key, value := range s.Spec.Selector {
		if got, ok := p.Labels[key]; !ok || got != value {
			return false
		}
	}
	return len(s.Spec.Selector) > 0
}

// Selecting adds the Services that select a pod.
func Selecting(services Services, p *corev1.Pod, add func(types.NamespacedName)) {
	for key, value := range p.Labels {
		for _, s := range services.ByIndex(registry.IndexSelector, registry.LabelOf(p.Namespace, key, value)) {
			if selects(s, p) {
				add(controller.NameOf(s))
			}
		}
	}
}

// Concerns adds the Services that a change of a pod concerns: those that select it and those that
// did. A change that no Service can show, such as another heartbeat in the status, concerns none.
func Concerns(services Services, now, before *corev1.Pod, add func(types.NamespacedName)) {
	if now != nil && before != nil && same(now, before) {
		return
	}
	if now != nil {
		Selecting(services, now, add)
	}
	if before != nil && (now == nil || !maps.Equal(now.Labels, before.Labels)) {
		Selecting(services, before, add)
	}
}

// same reports whether two states of a pod are the same endpoint of the same Services. The ports of
// a pod's containers never change.
func same(a, b *corev1.Pod) bool {
	return a.UID == b.UID && maps.Equal(a.Labels, b.Labels) &&
		a.Spec.Hostname == b.Spec.Hostname && a.Spec.Subdomain == b.Spec.Subdomain && a.Spec.NodeName == b.Spec.NodeName &&
		(a.DeletionTimestamp == nil) == (b.DeletionTimestamp == nil) &&
		podfacts.Terminal(a) == podfacts.Terminal(b) && podfacts.Ready(a) == podfacts.Ready(b) &&
		a.Status.PodIP == b.Status.PodIP && slices.Equal(a.Status.PodIPs, b.Status.PodIPs)
}
