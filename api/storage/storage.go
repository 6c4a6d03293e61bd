// Package storage shows skiff's registry to the handlers of k8s.io/apiserver in the terms they
// know: the interfaces of k8s.io/apiserver/pkg/registry/rest. The registry decides; what is here
// only translates.
package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/util/dryrun"
	"k8s.io/utils/clock"

	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/store"
)

// Tables makes the tables that kubectl prints.
type Tables struct {
	// Columns are a resource's columns, the wide ones with a priority above 0.
	Columns func(schema.GroupResource) []metav1.TableColumnDefinition
	// Rows are the rows of one object, usually one.
	Rows  func(gr schema.GroupResource, obj runtime.Object, now time.Time) ([]metav1.TableRow, error)
	Clock clock.PassiveClock
}

// For returns everything a kind is served by: the resource itself under "", and its subresources
// under their names. Pods' streams, which touch no stored state, are not among them.
func For(r *registry.Registry, kind *manifests.Kind, tables Tables) map[string]rest.Storage {
	return Of(r, r.Resource(kind.GroupResource()), tables)
}

// Of is For a resource in one of its versions.
func Of(r *registry.Registry, resource *registry.Resource, tables Tables) map[string]rest.Storage {
	kind := resource.Kind()
	base := &Resource{resource: resource, kind: kind, tables: tables}
	out := map[string]rest.Storage{"": &Collection{base}}
	if kind.GroupResource() == namespaces() {
		// Upstream's namespaces can not be deleted as a collection.
		out[""] = base
		out[manifests.SubresourceFinalize] = &Finalize{base}
	}
	if kind.GroupResource() == manifests.CustomResourceDefinitions {
		out[""] = &Definitions{&Collection{base}}
	}
	if kind.HasStatus {
		out[manifests.SubresourceStatus] = &Status{base}
	}
	if kind.Scale != nil {
		out["scale"] = &Scale{base}
	}
	if kind.GroupResource() == certificateRequests() {
		out[manifests.SubresourceApproval] = &Approval{base}
	}
	if kind.GroupResource() == pods() {
		out[manifests.SubresourceEphemeral] = &EphemeralContainers{base}
		out[manifests.SubresourceResize] = &Resize{base}
		out["binding"] = &Binding{pods: r.Pods()}
		out["eviction"] = &Eviction{pods: r.Pods()}
	}
	return out
}

func namespaces() schema.GroupResource { return schema.GroupResource{Resource: "namespaces"} }
func certificateRequests() schema.GroupResource {
	return schema.GroupResource{Group: certificatesv1.GroupName, Resource: "certificatesigningrequests"}
}
func pods() schema.GroupResource { return schema.GroupResource{Resource: "pods"} }

// Detach copies obj as deep as an encoder writes: encoders set the object's kind and API version in
// place, and nothing else. What the registry hands out is shared and must not be written to;
// copying all of it would cost more than the rest of a read.
func Detach(obj runtime.Object) runtime.Object {
	if u, ok := obj.(*unstructured.Unstructured); ok {
		return &unstructured.Unstructured{Object: maps.Clone(u.Object)}
	}
	from := reflect.ValueOf(obj).Elem()
	to := reflect.New(from.Type())
	to.Elem().Set(from)
	out := to.Interface().(runtime.Object)
	out.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	return out
}

// answer is what a handler gets of an object, or of an error, that the registry returned.
func answer(obj store.Object, err error) (runtime.Object, error) {
	if err != nil {
		return nil, statusOf(err)
	}
	return Detach(obj), nil
}

// statusOf finds the API status in a chain of errors: the handlers do not look into chains.
func statusOf(err error) error {
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return nil
	case errors.As(err, &status):
		if direct, ok := status.(error); ok {
			return direct
		}
		return err
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return apierrors.NewTimeoutError("request did not complete within requested timeout - "+err.Error(), 0)
	}
	return apierrors.NewInternalError(err)
}

// object narrows what a decoder made to what the store takes. Stored objects do not name their own
// kind; what came through server-side apply does, and would look changed for it.
func object(obj runtime.Object) (store.Object, error) {
	if o, ok := obj.(store.Object); ok {
		untype(o)
		return o, nil
	}
	return nil, apierrors.NewInternalError(fmt.Errorf("a %T has no metadata, so it can not be stored", obj))
}

// untype clears what an object says of its own kind. A custom resource keeps it: nothing else says it.
func untype(obj runtime.Object) {
	if _, custom := obj.(*unstructured.Unstructured); !custom {
		obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	}
}

// namespaceOf is the namespace in the request's path, "" for none or all.
func namespaceOf(ctx context.Context) string { return request.NamespaceValue(ctx) }

// validateOne and validateTwo translate the handlers' validation for the registry, nil for nil.
func validateOne(f rest.ValidateObjectFunc) func(context.Context, store.Object) error {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, obj store.Object) error { return f(ctx, obj) }
}

func validateTwo(f rest.ValidateObjectUpdateFunc) func(ctx context.Context, obj, old store.Object) error {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, obj, old store.Object) error { return f(ctx, obj, old) }
}

func isDryRun(options []string) bool { return dryrun.IsDryRun(options) }
