// Package registry is the one way the state of skiff changes. It brings the
// semantics of upstream's generic registry (k8s.io/apiserver
// pkg/registry/generic/registry) to skiff's store: names and metadata,
// preconditions and conflicts, graceful deletion and finalizers, lists at a
// version, watches with selectors.
//
// Objects that come out of it are shared with all other readers: read-only.
package registry

import (
	"reflect"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/manifests"
	"skiff/store"
)

// Registry serves every kind.
type Registry struct {
	options   Options
	kinds     []*manifests.Kind
	resources map[schema.GroupResource]*Resource
	types     map[reflect.Type]*Resource
	lifecycle lifecycle
	allocator *serviceAllocator
	custom    customs

	validators []Validator
	guards     []Guard
	charger    Charger // nil: nothing is charged
}

// New returns a registry of the kinds that are served.
func New(o Options) *Registry {
	o.complete()
	r := &Registry{
		options:   o,
		kinds:     manifests.Kinds(),
		resources: map[schema.GroupResource]*Resource{},
		types:     map[reflect.Type]*Resource{},
	}
	r.allocator = newServiceAllocator(r)
	for _, kind := range r.kinds {
		resource := &Resource{registry: r, kind: kind, gr: kind.GroupResource(), name: kind.GroupResource().String()}
		r.resources[resource.gr] = resource
		r.types[reflect.TypeOf(kind.New())] = resource
	}
	for _, admitter := range o.Admission {
		if validator, ok := admitter.(Validator); ok {
			r.validators = append(r.validators, validator)
		}
		if guard, ok := admitter.(Guard); ok {
			r.guards = append(r.guards, guard)
		}
		if charger, ok := admitter.(Charger); ok {
			r.charger = charger
		}
	}
	r.resources[groupResource("resourcequotas")].alone = true
	r.resources[groupResource("namespaces")].hooks = namespaceHooks()
	r.resources[groupResource("services")].hooks = r.allocator.serviceHooks()
	r.resources[ipAddresses].hooks = r.allocator.addressHooks()
	r.resources[serviceCIDRs].hooks = r.allocator.rangeHooks()
	r.resources[manifests.CustomResourceDefinitions].hooks = r.definitionHooks()
	r.resources[groupResource("persistentvolumes")].hooks = volumeHooks(o.Clock)
	r.resources[certificateRequests].hooks = certificateHooks(o.Clock)
	return r
}

// Resource returns nil for a resource that is not served. A custom one is in its stored version.
func (r *Registry) Resource(gr schema.GroupResource) *Resource {
	if known := r.resources[gr]; known != nil {
		return known
	}
	return r.Custom(gr, "")
}

// Kinds are the kinds served, in the order of manifests.Kinds. CustomKinds are beside.
func (r *Registry) Kinds() []*manifests.Kind { return r.kinds }

// Store is where the registry keeps its objects, for snapshots and watches of
// controllers. Writes go through the registry.
func (r *Registry) Store() *store.Store { return r.options.Store }

// Resource reads and writes the objects of one kind.
type Resource struct {
	registry *Registry
	kind     *manifests.Kind
	gr       schema.GroupResource
	name     string // gr as text, which is how the store names it
	hooks    hooks
	// alone says that while an object of this kind is made no other is: see enter.
	alone bool
}

// Kind is the kind of the resource's objects.
func (r *Resource) Kind() *manifests.Kind { return r.kind }

func (r *Resource) store() *store.Store { return r.registry.options.Store }

// key names an object in the store; the namespace of a cluster-scoped one is
// ignored.
func (r *Resource) key(namespace, name string) store.Key {
	if !r.kind.Namespaced {
		namespace = ""
	}
	return store.Key{Resource: r.name, Namespace: namespace, Name: name}
}

// groupResource names a resource of the core group.
func groupResource(name string) schema.GroupResource { return schema.GroupResource{Resource: name} }
