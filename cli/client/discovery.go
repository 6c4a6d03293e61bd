package client

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

// client-go's discovery client does all this too, but links the types of every API group: twelve
// megabytes.

// aggregated asks for all groups in one document; servers before Kubernetes 1.27 answer with the
// older list of names.
// https://kubernetes.io/docs/concepts/overview/kubernetes-api/#aggregated-discovery
const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"

type discoverer struct {
	ctx  context.Context
	rest rest.Interface

	groups []*metav1.APIGroup
	lists  []*metav1.APIResourceList
}

func discover(ctx context.Context, c rest.Interface) (*Catalog, error) {
	d := &discoverer{ctx: ctx, rest: c}
	for _, root := range []string{"/api", "/apis"} {
		if err := d.root(root); err != nil {
			return nil, err
		}
	}
	return newCatalog(d.groups, d.lists), nil
}

// root reads /api (the legacy core group) or /apis (all others).
func (d *discoverer) root(path string) error {
	raw, mediaType, err := d.get(path, aggregated)
	if err != nil {
		return err
	}
	if strings.Contains(mediaType, "as=APIGroupDiscoveryList") {
		var all apidiscoveryv2.APIGroupDiscoveryList
		if err := json.Unmarshal(raw, &all); err != nil {
			return fmt.Errorf("reading %s of the server: %w", path, err)
		}
		for i := range all.Items {
			d.addGroup(&all.Items[i])
		}
		return nil
	}
	if path == "/api" {
		return d.oldCore(raw)
	}
	return d.oldGroups(raw)
}

func (d *discoverer) addGroup(g *apidiscoveryv2.APIGroupDiscovery) {
	group := &metav1.APIGroup{Name: g.Name}
	for _, v := range g.Versions {
		gv := schema.GroupVersion{Group: g.Name, Version: v.Version}
		group.Versions = append(group.Versions, metav1.GroupVersionForDiscovery{GroupVersion: gv.String(), Version: v.Version})
		d.lists = append(d.lists, resourcesOf(gv, v.Resources))
	}
	if len(group.Versions) > 0 {
		group.PreferredVersion = group.Versions[0]
		d.groups = append(d.groups, group)
	}
}

func resourcesOf(gv schema.GroupVersion, resources []apidiscoveryv2.APIResourceDiscovery) *metav1.APIResourceList {
	list := &metav1.APIResourceList{GroupVersion: gv.String()}
	for _, r := range resources {
		main := metav1.APIResource{
			Name: r.Resource, SingularName: r.SingularResource, Namespaced: r.Scope == apidiscoveryv2.ScopeNamespace,
			Verbs: r.Verbs, ShortNames: r.ShortNames, Categories: r.Categories,
		}
		answersWith(&main, r.ResponseKind)
		if r.ResponseKind != nil {
			list.APIResources = append(list.APIResources, main)
		}
		for _, s := range r.Subresources {
			sub := metav1.APIResource{Name: r.Resource + "/" + s.Subresource, Namespaced: main.Namespaced, Verbs: s.Verbs}
			answersWith(&sub, s.ResponseKind)
			list.APIResources = append(list.APIResources, sub)
		}
	}
	return list
}

func answersWith(r *metav1.APIResource, kind *metav1.GroupVersionKind) {
	if kind != nil {
		r.Group, r.Version, r.Kind = kind.Group, kind.Version, kind.Kind
	}
}

func (d *discoverer) oldCore(raw []byte) error {
	var versions metav1.APIVersions
	if err := json.Unmarshal(raw, &versions); err != nil {
		return fmt.Errorf("reading /api of the server: %w", err)
	}
	group := &metav1.APIGroup{}
	for _, v := range versions.Versions {
		group.Versions = append(group.Versions, metav1.GroupVersionForDiscovery{GroupVersion: v, Version: v})
	}
	return d.addOld(group, "/api/")
}

func (d *discoverer) oldGroups(raw []byte) error {
	var groups metav1.APIGroupList
	if err := json.Unmarshal(raw, &groups); err != nil {
		return fmt.Errorf("reading /apis of the server: %w", err)
	}
	for i := range groups.Groups {
		if err := d.addOld(&groups.Groups[i], "/apis/"); err != nil {
			return err
		}
	}
	return nil
}

// addOld reads the resources of a group version by version. A version whose server does not answer,
// as that of an aggregated API, is left out: the others are of use without it.
func (d *discoverer) addOld(group *metav1.APIGroup, prefix string) error {
	if len(group.Versions) == 0 {
		return nil
	}
	d.groups = append(d.groups, group)
	for _, v := range group.Versions {
		raw, _, err := d.get(prefix+v.GroupVersion, "application/json")
		if d.ctx.Err() != nil {
			return err
		}
		if err != nil {
			continue
		}
		list := &metav1.APIResourceList{}
		if err := json.Unmarshal(raw, list); err != nil {
			return fmt.Errorf("reading the resources of %s: %w", v.GroupVersion, err)
		}
		d.lists = append(d.lists, list)
	}
	return nil
}

func (d *discoverer) get(path, accept string) (body []byte, mediaType string, err error) {
	body, err = d.rest.Get().AbsPath(path).SetHeader("Accept", accept).Do(d.ctx).ContentType(&mediaType).Raw()
	return body, mediaType, err
}
