package resource

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/cli/client"
)

// UnknownKindError says that the server does not have the kind of a manifest.
type UnknownKindError struct {
	Manifest Manifest
	// Reason is one line: "skiff does not serve Ingress of networking.k8s.io/v1".
	Reason string
	// hint is the second line of kubectl's message.
	hint string
	err  error
}

func (e *UnknownKindError) Error() string {
	o := e.Manifest.Object
	return fmt.Sprintf("resource mapping not found for name: %q namespace: %q from %q: %v\n%s", o.GetName(), o.GetNamespace(), e.Manifest.Source, e.err, e.hint)
}

func (e *UnknownKindError) Unwrap() error { return e.err }

// What is the object as messages name it: ingress.networking.k8s.io/web.
func (e *UnknownKindError) What() string {
	gk := e.Manifest.Object.GroupVersionKind().GroupKind()
	gk.Kind = strings.ToLower(gk.Kind)
	return gk.String() + "/" + e.Manifest.Object.GetName()
}

// crdHint is kubectl's, which gives it for whatever it does not find.
const crdHint = "ensure CRDs are installed first"

func (f Finder) unknownKind(m Manifest, catalog *client.Catalog, err error) *UnknownKindError {
	server := "the server"
	if f.Client.Own() {
		server = "skiff"
	}
	gvk := m.Object.GroupVersionKind()
	e := &UnknownKindError{Manifest: m, err: err, Reason: fmt.Sprintf("%s does not serve %s of %s", server, gvk.Kind, gvk.GroupVersion())}
	if others := catalog.Versions(gvk.Kind); len(others) > 0 {
		e.Reason += ", but of " + strings.Join(others, " and ")
	}
	e.hint = e.Reason
	if mayBeDefined(gvk, catalog) {
		e.hint = crdHint
		e.Reason += ": " + crdHint
	}
	return e
}

// mayBeDefined reports whether a CustomResourceDefinition could add a kind to the server.
func mayBeDefined(gvk schema.GroupVersionKind, catalog *client.Catalog) bool {
	if slices.Contains(builtInGroups, gvk.Group) {
		return false
	}
	_, err := catalog.Kind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	return err == nil
}

// builtInGroups are the API groups that Kubernetes itself defines (the folders of k8s.io/api, and
// the two that have servers of their own).
var builtInGroups = []string{
	"", "admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "apps", "authentication.k8s.io", "authorization.k8s.io", "autoscaling",
	"batch", "certificates.k8s.io", "coordination.k8s.io", "discovery.k8s.io", "events.k8s.io", "extensions", "flowcontrol.apiserver.k8s.io", "imagepolicy.k8s.io",
	"internal.apiserver.k8s.io", "lifecycle.k8s.io", "networking.k8s.io", "node.k8s.io", "policy", "rbac.authorization.k8s.io", "resource.k8s.io", "scheduling.k8s.io", "storage.k8s.io",
	"storagemigration.k8s.io",
}
