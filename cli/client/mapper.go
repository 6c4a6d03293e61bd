package client

import (
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// newMapper returns a mapper from kinds to resources and back. Where several versions or groups
// have one, the server's order of preference decides, as in k8s.io/client-go/restmapper.
func newMapper(groups []*metav1.APIGroup, lists []*metav1.APIResourceList) meta.RESTMapper {
	byVersion := map[string][]metav1.APIResource{}
	for _, l := range lists {
		byVersion[l.GroupVersion] = l.APIResources
	}
	out := meta.PriorityRESTMapper{}
	var all meta.MultiRESTMapper
	for _, g := range groups {
		for _, v := range preferredFirst(g) {
			gv := schema.GroupVersion{Group: g.Name, Version: v}
			if resources, ok := byVersion[gv.String()]; ok {
				all = append(all, versionMapper(gv, resources))
				out.ResourcePriority = append(out.ResourcePriority, gv.WithResource(meta.AnyResource))
				out.KindPriority = append(out.KindPriority, gv.WithKind(meta.AnyKind))
			}
		}
	}
	out.Delegate = all
	return out
}

func preferredFirst(g *metav1.APIGroup) []string {
	out := []string{}
	if g.PreferredVersion.Version != "" {
		out = append(out, g.PreferredVersion.Version)
	}
	for _, v := range g.Versions {
		if v.Version != g.PreferredVersion.Version {
			out = append(out, v.Version)
		}
	}
	return out
}

func versionMapper(gv schema.GroupVersion, resources []metav1.APIResource) meta.RESTMapper {
	m := meta.NewDefaultRESTMapper([]schema.GroupVersion{gv})
	for _, r := range resources {
		if strings.Contains(r.Name, "/") {
			continue
		}
		scope := meta.RESTScopeRoot
		if r.Namespaced {
			scope = meta.RESTScopeNamespace
		}
		singular := r.SingularName
		if singular == "" {
			singular = strings.ToLower(r.Kind)
		}
		// The kind as it is written comes last: the last one added is the resource's.
		for _, kind := range []string{strings.ToLower(r.Kind), r.Kind} {
			m.AddSpecific(gv.WithKind(kind), gv.WithResource(r.Name), gv.WithResource(singular), scope)
		}
		m.Add(gv.WithKind(r.Kind+"List"), scope)
	}
	return m
}
