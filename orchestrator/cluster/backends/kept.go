package backends

import (
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/manifests/registry"
)

// Kept returns a Service's slices that the controller of that name keeps and that are not being
// deleted.
func Kept(slices registry.Client[*discoveryv1.EndpointSlice], keeper, namespace, name string) []*discoveryv1.EndpointSlice {
	var kept []*discoveryv1.EndpointSlice
	for _, s := range slices.ByIndex(registry.IndexService, registry.ServiceOf(namespace, name)) {
		if s.Labels[discoveryv1.LabelManagedBy] == keeper && s.DeletionTimestamp == nil {
			kept = append(kept, s)
		}
	}
	return kept
}

// ServicesOf adds the Services of a changed slice, now and before, as far as the controller of that
// name keeps it.
func ServicesOf(keeper string, now, before *discoveryv1.EndpointSlice, add func(types.NamespacedName)) {
	for _, s := range []*discoveryv1.EndpointSlice{now, before} {
		if s != nil && s.Labels[discoveryv1.LabelManagedBy] == keeper && s.Labels[discoveryv1.LabelServiceName] != "" {
			add(types.NamespacedName{Namespace: s.Namespace, Name: s.Labels[discoveryv1.LabelServiceName]})
		}
	}
}
