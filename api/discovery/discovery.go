// Package discovery tells clients what the API serves, in the legacy documents (/api, /apis,
// /apis/<group>, /apis/<group>/<version>) and in the aggregated one that clients prefer since
// Kubernetes 1.26. https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
package discovery

import (
	"slices"
	"strings"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Version is one group version and what it serves.
type Version struct {
	GroupVersion schema.GroupVersion
	// Resources are in the order in which they are to be listed: each resource before its
	// subresources, which are named resource/subresource.
	Resources []metav1.APIResource
}

// groupOrder is upstream's order of groups (apiVersionPriorities in k8s.io/kubernetes
// pkg/controlplane/apiserver/aggregator.go); clients resolve an ambiguous resource name in this
// order. Groups that are not named follow by name.
func groupOrder() []string {
	return []string{
		"", "apps", "events.k8s.io", "authentication.k8s.io", "authorization.k8s.io", "autoscaling", "batch",
		"networking.k8s.io", "policy", "rbac.authorization.k8s.io", "storage.k8s.io",
		"admissionregistration.k8s.io", "apiextensions.k8s.io", "scheduling.k8s.io", "coordination.k8s.io",
		"node.k8s.io", "discovery.k8s.io",
	}
}

// group is the versions of one group, the preferred one first.
type group struct {
	name     string
	versions []Version
}

// groupsOf gathers versions into groups, in the order of groupOrder. Versions keep their order.
func groupsOf(versions []Version) []group {
	var groups []group
	for _, v := range versions {
		at := slices.IndexFunc(groups, func(g group) bool { return g.name == v.GroupVersion.Group })
		if at < 0 {
			at = len(groups)
			groups = append(groups, group{name: v.GroupVersion.Group})
		}
		groups[at].versions = append(groups[at].versions, v)
	}
	order := groupOrder()
	rank := func(name string) int {
		if i := slices.Index(order, name); i >= 0 {
			return i
		}
		return len(order)
	}
	slices.SortStableFunc(groups, func(a, b group) int {
		if d := rank(a.name) - rank(b.name); d != 0 {
			return d
		}
		return strings.Compare(a.name, b.name)
	})
	return groups
}

// legacy is the group as /apis lists it.
func (g group) legacy() metav1.APIGroup {
	out := metav1.APIGroup{TypeMeta: metav1.TypeMeta{Kind: "APIGroup", APIVersion: "v1"}, Name: g.name}
	for _, v := range g.versions {
		out.Versions = append(out.Versions, metav1.GroupVersionForDiscovery{
			GroupVersion: v.GroupVersion.String(),
			Version:      v.GroupVersion.Version,
		})
	}
	out.PreferredVersion = out.Versions[0]
	return out
}

// legacy is the version's list of resources.
func (v Version) legacy() *metav1.APIResourceList {
	return &metav1.APIResourceList{
		TypeMeta:     metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"},
		GroupVersion: v.GroupVersion.String(),
		APIResources: v.Resources,
	}
}

// aggregated is the group as the aggregated document lists it.
func (g group) aggregated() apidiscoveryv2.APIGroupDiscovery {
	out := apidiscoveryv2.APIGroupDiscovery{ObjectMeta: metav1.ObjectMeta{Name: g.name}}
	for _, v := range g.versions {
		out.Versions = append(out.Versions, v.aggregated())
	}
	return out
}

func (v Version) aggregated() apidiscoveryv2.APIVersionDiscovery {
	out := apidiscoveryv2.APIVersionDiscovery{
		Version:   v.GroupVersion.Version,
		Freshness: apidiscoveryv2.DiscoveryFreshnessCurrent,
	}
	for _, r := range v.Resources {
		parent, sub, isSub := strings.Cut(r.Name, "/")
		if !isSub {
			out.Resources = append(out.Resources, v.resource(r))
			continue
		}
		at := slices.IndexFunc(out.Resources, func(d apidiscoveryv2.APIResourceDiscovery) bool { return d.Resource == parent })
		if at < 0 {
			continue // a subresource is only ever listed behind its resource
		}
		out.Resources[at].Subresources = append(out.Resources[at].Subresources, apidiscoveryv2.APISubresourceDiscovery{
			Subresource:  sub,
			ResponseKind: v.kindOf(r),
			Verbs:        r.Verbs,
		})
	}
	return out
}

func (v Version) resource(r metav1.APIResource) apidiscoveryv2.APIResourceDiscovery {
	scope := apidiscoveryv2.ScopeCluster
	if r.Namespaced {
		scope = apidiscoveryv2.ScopeNamespace
	}
	return apidiscoveryv2.APIResourceDiscovery{
		Resource:         r.Name,
		ResponseKind:     v.kindOf(r),
		Scope:            scope,
		SingularResource: r.SingularName,
		Verbs:            r.Verbs,
		ShortNames:       r.ShortNames,
		Categories:       r.Categories,
	}
}

// kindOf is the kind a resource answers with: of the version that lists it, unless it says
// otherwise.
func (v Version) kindOf(r metav1.APIResource) *metav1.GroupVersionKind {
	kind := &metav1.GroupVersionKind{Group: v.GroupVersion.Group, Version: v.GroupVersion.Version, Kind: r.Kind}
	if r.Version != "" {
		kind.Group, kind.Version = r.Group, r.Version
	}
	return kind
}
