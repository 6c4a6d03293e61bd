package client

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Definition is a custom resource that the server is going to have, once the object that defines it
// is there.
type Definition struct {
	// Name is that of the CustomResourceDefinition.
	Name     string
	Group    string
	Versions []string // that will be served
	// Resource has the names and the scope.
	Resource metav1.APIResource
}

// Define adds to a catalog what the server does not have yet. What it has stays as it is.
func (c *Catalog) Define(d Definition) {
	for _, version := range d.Versions {
		gv := schema.GroupVersion{Group: d.Group, Version: version}
		gvk := gv.WithKind(d.Resource.Kind)
		if c.hasVersion(gvk) {
			continue
		}
		if c.defined == nil {
			c.defined = map[schema.GroupVersionKind]string{}
		}
		c.defined[gvk] = d.Name
		c.add(gv, d.Resource)
	}
	c.mapper = newMapper(c.Groups, c.Resources)
}

// DefinedBy is the CustomResourceDefinition that a kind waits for, "" for one that the server has.
func (c *Catalog) DefinedBy(gvk schema.GroupVersionKind) string { return c.defined[gvk] }

func (c *Catalog) hasVersion(gvk schema.GroupVersionKind) bool {
	for gv, r := range c.each() {
		if gv == gvk.GroupVersion() && r.Kind == gvk.Kind {
			return true
		}
	}
	return false
}

func (c *Catalog) add(gv schema.GroupVersion, r metav1.APIResource) {
	of := metav1.GroupVersionForDiscovery{GroupVersion: gv.String(), Version: gv.Version}
	i := slices.IndexFunc(c.Groups, func(g *metav1.APIGroup) bool { return g.Name == gv.Group })
	if i < 0 {
		i = len(c.Groups)
		c.Groups = append(c.Groups, &metav1.APIGroup{Name: gv.Group, PreferredVersion: of})
	}
	if g := c.Groups[i]; !slices.Contains(g.Versions, of) {
		g.Versions = append(g.Versions, of)
	}
	i = slices.IndexFunc(c.Resources, func(l *metav1.APIResourceList) bool { return l.GroupVersion == gv.String() })
	if i < 0 {
		i = len(c.Resources)
		c.Resources = append(c.Resources, &metav1.APIResourceList{GroupVersion: gv.String()})
	}
	c.Resources[i].APIResources = append(c.Resources[i].APIResources, r)
}
