package export

import (
	"cmp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/cli/client"
	"skiff/cli/resource"
)

// kind is what a server serves and a person can make.
type kind struct {
	schema.GroupVersionKind
	Namespaced bool
}

// derived are the kinds whose objects say what is, and not what somebody wants.
var derived = map[schema.GroupKind]bool{
	{Kind: "Event"}: true, {Group: "events.k8s.io", Kind: "Event"}: true,
	{Kind: "Endpoints"}: true, {Group: "discovery.k8s.io", Kind: "EndpointSlice"}: true,
	{Group: "apps", Kind: "ControllerRevision"}: true, {Group: "coordination.k8s.io", Kind: "Lease"}: true,
	{Kind: "Node"}: true, {Group: "storage.k8s.io", Kind: "CSINode"}: true, {Group: "storage.k8s.io", Kind: "VolumeAttachment"}: true,
	{Group: "storage.k8s.io", Kind: "CSIStorageCapacity"}: true, {Group: "certificates.k8s.io", Kind: "CertificateSigningRequest"}: true,
	{Group: "networking.k8s.io", Kind: "IPAddress"}: true, {Group: "networking.k8s.io", Kind: "ServiceCIDR"}: true,
}

// exportable are the kinds that can be listed and made, each in its group's preferred version.
func exportable(c *client.Catalog) []kind {
	var out []kind
	seen := map[schema.GroupKind]bool{}
	for _, l := range c.Resources {
		gv, err := schema.ParseGroupVersion(l.GroupVersion)
		if err != nil {
			continue
		}
		for _, r := range l.APIResources {
			gvk := gv.WithKind(r.Kind)
			// What is in extensions is in the groups that came after it as well.
			if gv.Group == "extensions" || strings.Contains(r.Name, "/") || !slices.Contains(r.Verbs, "list") || !slices.Contains(r.Verbs, "create") ||
				derived[gvk.GroupKind()] || seen[gvk.GroupKind()] {
				continue
			}
			seen[gvk.GroupKind()] = true
			out = append(out, kind{gvk, r.Namespaced})
		}
	}
	return out
}

// systemNamespaces are the cluster's own.
var systemNamespaces = []string{"kube-system", "kube-public", "kube-node-lease"}

// made reports whether somebody has made an object, rather than a controller or the server itself.
func made(o *unstructured.Unstructured) bool {
	for _, owner := range o.GetOwnerReferences() {
		if owner.Controller != nil && *owner.Controller {
			return false
		}
	}
	name, labels, annotations := o.GetName(), o.GetLabels(), o.GetAnnotations()
	if slices.Contains(systemNamespaces, o.GetNamespace()) || o.GetDeletionTimestamp() != nil {
		return false
	}
	switch o.GroupVersionKind().GroupKind() {
	case schema.GroupKind{Kind: "Namespace"}:
		return name != "default" && !slices.Contains(systemNamespaces, name)
	case schema.GroupKind{Kind: "Service"}:
		return labels["provider"] != "kubernetes"
	case schema.GroupKind{Kind: "ConfigMap"}:
		return name != "kube-root-ca.crt" && labels["applyset.kubernetes.io/id"] == ""
	case schema.GroupKind{Kind: "Secret"}:
		kind, _, _ := unstructured.NestedString(o.Object, "type")
		return kind != "kubernetes.io/service-account-token"
	case schema.GroupKind{Kind: "ServiceAccount"}:
		return name != "default" || len(o.Object) > 3 // kind, apiVersion and metadata are all that the server's own has
	case schema.GroupKind{Kind: "PersistentVolume"}:
		return annotations["pv.kubernetes.io/provisioned-by"] == ""
	case schema.GroupKind{Group: "scheduling.k8s.io", Kind: "PriorityClass"}:
		return !strings.HasPrefix(name, "system-")
	case schema.GroupKind{Group: "networking.k8s.io", Kind: "IngressClass"}, schema.GroupKind{Group: "storage.k8s.io", Kind: "StorageClass"}:
		return name != "skiff"
	}
	return labels["kubernetes.io/bootstrapping"] == ""
}

// compare puts objects in the order in which they are to be applied, and otherwise by their names.
func compare(a, b unstructured.Unstructured) int {
	return cmp.Or(
		cmp.Compare(resource.Rank(a.GetKind()), resource.Rank(b.GetKind())),
		cmp.Compare(a.GroupVersionKind().GroupKind().String(), b.GroupVersionKind().GroupKind().String()),
		cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
}
