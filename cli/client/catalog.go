package client

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Catalog lists what the server serves: groups, versions, kinds and their names.
type Catalog struct {
	// Groups are in the server's order of preference.
	Groups []*metav1.APIGroup
	// Resources has one list a group and version, in the same order; subresources are left in.
	Resources []*metav1.APIResourceList
	mapper    meta.RESTMapper
	// defined are the kinds that the server does not have yet, with what is to define them.
	defined map[schema.GroupVersionKind]string
}

func newCatalog(groups []*metav1.APIGroup, lists []*metav1.APIResourceList) *Catalog {
	return &Catalog{Groups: groups, Resources: lists, mapper: newMapper(groups, lists)}
}

// Kind returns where objects of a kind are served, or a *meta.NoKindMatchError.
func (c *Catalog) Kind(gvk schema.GroupVersionKind) (*meta.RESTMapping, error) {
	return c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
}

// Resource finds the type a person means by po, pod, pods, Pod, pods.v1, deployments.apps or
// deployments.v1.apps.
func (c *Catalog) Resource(arg string) (*meta.RESTMapping, error) {
	full, gr := schema.ParseResourceArg(strings.ToLower(arg))
	var gvk schema.GroupVersionKind
	if full != nil {
		gvk, _ = c.mapper.KindFor(c.expand(*full))
	}
	if gvk.Empty() {
		gvk, _ = c.mapper.KindFor(c.expand(gr.WithVersion("")))
	}
	if !gvk.Empty() {
		return c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	}
	fullKind, gk := schema.ParseKindArg(arg)
	if fullKind != nil {
		if m, err := c.mapper.RESTMapping(fullKind.GroupKind(), fullKind.Version); err == nil {
			return m, nil
		}
	}
	m, err := c.mapper.RESTMapping(gk, "")
	if meta.IsNoMatchError(err) {
		return nil, fmt.Errorf("the server doesn't have a resource type %q%s", gr.Resource, inGroup(gr.Group))
	}
	return m, err
}

func inGroup(g string) string {
	if g == "" {
		return ""
	}
	return fmt.Sprintf(" in group %q", g)
}

// expand replaces a short name by the resource's full one; a full name always wins over somebody's
// short name.
func (c *Catalog) expand(r schema.GroupVersionResource) schema.GroupVersionResource {
	var found *schema.GroupVersionResource
	for gv, res := range c.each() {
		if r.Group != "" && !strings.HasPrefix(gv.Group, r.Group) {
			continue
		}
		if (r.Group == "" || r.Group == gv.Group) && (res.Name == r.Resource || res.SingularName == r.Resource) {
			return r
		}
		if found == nil && slices.Contains(res.ShortNames, r.Resource) {
			found = &schema.GroupVersionResource{Group: gv.Group, Version: r.Version, Resource: res.Name}
		}
	}
	if found != nil {
		return *found
	}
	return r
}

// each goes through all resources but subresources, in the server's order.
func (c *Catalog) each() func(yield func(schema.GroupVersion, metav1.APIResource) bool) {
	return func(yield func(schema.GroupVersion, metav1.APIResource) bool) {
		for _, l := range c.Resources {
			gv, err := schema.ParseGroupVersion(l.GroupVersion)
			if err != nil {
				continue
			}
			for _, r := range l.APIResources {
				if strings.Contains(r.Name, "/") {
					continue
				}
				if !yield(gv, r) {
					return
				}
			}
		}
	}
}

// Versions returns the groups and versions in which a kind of this name is served, in the server's
// order.
func (c *Catalog) Versions(kind string) []string {
	var out []string
	for gv, r := range c.each() {
		if r.Kind == kind {
			out = append(out, gv.String())
		}
	}
	return out
}

// Serves reports whether a resource or subresource ("pods/exec") is served in a group and version.
func (c *Catalog) Serves(groupVersion, resource string) bool {
	for _, l := range c.Resources {
		if l.GroupVersion == groupVersion && slices.ContainsFunc(l.APIResources, func(r metav1.APIResource) bool { return r.Name == resource }) {
			return true
		}
	}
	return false
}

// Category returns the resources that belong to a category such as "all"; none when there is no
// such category.
func (c *Catalog) Category(name string) []schema.GroupResource {
	var out []schema.GroupResource
	for gv, r := range c.each() {
		gr := schema.GroupResource{Group: gv.Group, Resource: r.Name}
		if slices.Contains(r.Categories, name) && !slices.Contains(out, gr) {
			out = append(out, gr)
		}
	}
	return out
}
