package garbage

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/store"
)

// key names one object for good: a name can be taken over by another.
type key struct {
	store.Key
	uid types.UID
}

func (k key) String() string { return fmt.Sprintf("%s (%s)", k.Key, k.uid) }

func keyOf(resource string, o store.Object) key {
	return key{store.Key{Resource: resource, Namespace: o.GetNamespace(), Name: o.GetName()}, o.GetUID()}
}

// observation is what one look at an object saw.
type observation struct {
	key key
	// object is nil when it is gone.
	object     store.Object
	dependents []dependent
	// circle: it waits for dependents that in the end wait for it.
	circle bool
	owners
}

// dependent is an object with a reference to the one looked at.
type dependent struct {
	key    key
	object store.Object
	// blocks: the owner must not go before it, in the foreground.
	blocks bool
}

// owners are an object's references to its owners, by what has become of them.
type owners struct {
	// solid ones exist and stay as far as this object is concerned.
	solid []metav1.OwnerReference
	// dangling ones do not exist.
	dangling []metav1.OwnerReference
	// waiting ones are being deleted in the foreground: they wait for this object
	// to go.
	waiting []metav1.OwnerReference
	// unknown is set when it can not be told what has become of one: then
	// nothing is done.
	unknown error
}

// graph reads how objects depend on each other from the store.
type graph struct {
	store *store.Store
	// kinds are those that take part: all but events, of which there are many and
	// which own nothing.
	kinds []*manifests.Kind
	// served finds a kind by any version of it.
	served map[schema.GroupVersionKind]*manifests.Kind
	// custom are the kinds beside, which come and go.
	custom customKinds
}

// customKinds are those of definitions; *registry.Registry has them.
type customKinds interface {
	CustomKinds() []*manifests.Kind
	// CustomKind is nil for a kind that is not served.
	CustomKind(schema.GroupVersionKind) *manifests.Kind
}

func newGraph(r *registry.Registry) *graph {
	g := &graph{store: r.Store(), served: map[schema.GroupVersionKind]*manifests.Kind{}, custom: r}
	for _, k := range r.Kinds() {
		for _, version := range append(slices.Clone(k.Served), k.GVK) {
			g.served[version] = k
		}
		if k.Resource != "events" {
			g.kinds = append(g.kinds, k)
		}
	}
	return g
}

// kind finds a kind by any version of it, nil if there is none.
func (g *graph) kind(gvk schema.GroupVersionKind) *manifests.Kind {
	if k := g.served[gvk]; k != nil {
		return k
	}
	return g.custom.CustomKind(gvk)
}

func (g *graph) observe(k key) observation {
	o := observation{key: k, dependents: g.dependents(k)}
	if object, ok := g.store.Get(k.Key); ok && object.GetUID() == k.uid {
		o.object = object
		o.owners = g.owners(object)
		o.circle = waitsForDependents(object) && len(o.waiting) > 0 && g.waitsFor(o.dependents, k.uid, map[types.UID]bool{})
	}
	return o
}

// waitsFor reports whether one of the dependents, which hold their owner back,
// waits itself for the object of a UID, or for one that does.
func (g *graph) waitsFor(dependents []dependent, uid types.UID, seen map[types.UID]bool) bool {
	for _, d := range dependents {
		if !d.blocks || !waitsForDependents(d.object) || seen[d.key.uid] {
			continue
		}
		seen[d.key.uid] = true
		if d.key.uid == uid || g.waitsFor(g.dependents(d.key), uid, seen) {
			return true
		}
	}
	return false
}

// dependents are the objects of any kind with a reference to k's UID. One whose
// reference has another kind, name or namespace does not depend on k, and is
// looked at all the same when k goes; but nothing waits for it.
func (g *graph) dependents(k key) []dependent {
	var all []dependent
	for _, kind := range append(slices.Clip(g.kinds), g.custom.CustomKinds()...) {
		resource := kind.GroupResource().String()
		for _, o := range g.store.ByIndex(resource, registry.IndexOwner, string(k.uid)) {
			all = append(all, dependent{keyOf(resource, o), o, g.blocks(o, k)})
		}
	}
	return all
}

func (g *graph) blocks(o store.Object, owner key) bool {
	return slices.ContainsFunc(o.GetOwnerReferences(), func(r metav1.OwnerReference) bool {
		return r.UID == owner.uid && holds(r) && g.means(o, r, owner)
	})
}

// holds reports whether a reference keeps its owner from going first.
func holds(r metav1.OwnerReference) bool { return r.BlockOwnerDeletion != nil && *r.BlockOwnerDeletion }

// means reports whether a reference of o names owner, beside having its UID.
func (g *graph) means(o store.Object, r metav1.OwnerReference, owner key) bool {
	kind := g.kind(schema.FromAPIVersionAndKind(r.APIVersion, r.Kind))
	return kind != nil && kind.GroupResource().String() == owner.Resource && r.Name == owner.Name &&
		(!kind.Namespaced || o.GetNamespace() == owner.Namespace)
}

func (g *graph) owners(o store.Object) owners {
	var all owners
	for _, ref := range o.GetOwnerReferences() {
		owner, _, err := g.owner(o, ref)
		switch {
		case err != nil:
			all.unknown = err
		case owner == nil:
			all.dangling = append(all.dangling, ref)
		case waitsForDependents(owner):
			all.waiting = append(all.waiting, ref)
		default:
			all.solid = append(all.solid, ref)
		}
	}
	return all
}

// owner finds what a reference of o refers to: an object of o's own namespace,
// or of none. It is nil when there is none such.
func (g *graph) owner(o store.Object, ref metav1.OwnerReference) (store.Object, *manifests.Kind, error) {
	kind := g.kind(schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind))
	if kind == nil {
		return nil, nil, fmt.Errorf("owner %s %s: skiff serves no such kind", ref.APIVersion, ref.Kind)
	}
	k := store.Key{Resource: kind.GroupResource().String(), Name: ref.Name}
	if kind.Namespaced {
		if o.GetNamespace() == "" {
			return nil, kind, fmt.Errorf("owner %s %s is namespaced, the object is not", ref.Kind, ref.Name)
		}
		k.Namespace = o.GetNamespace()
	}
	owner, ok := g.store.Get(k)
	if !ok || owner.GetUID() != ref.UID {
		return nil, kind, nil
	}
	return owner, kind, nil
}

// elsewhere reports whether the object a reference means exists, but in another
// namespace than o's, from where it can not own o.
func (g *graph) elsewhere(o store.Object, ref metav1.OwnerReference) bool {
	kind := g.kind(schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind))
	if kind == nil || !kind.Namespaced {
		return false
	}
	found := false
	g.store.Snapshot(kind.GroupResource().String()).Ascend("", store.Key{}, func(owner store.Object) bool {
		found = owner.GetUID() == ref.UID && owner.GetNamespace() != o.GetNamespace()
		return !found
	})
	return found
}

// waitsForDependents reports whether an object is being deleted in the foreground.
func waitsForDependents(o store.Object) bool {
	return o.GetDeletionTimestamp() != nil && slices.Contains(o.GetFinalizers(), metav1.FinalizerDeleteDependents)
}

// orphansDependents reports whether an object is being deleted and its dependents
// are to stay.
func orphansDependents(o store.Object) bool {
	return o.GetDeletionTimestamp() != nil && slices.Contains(o.GetFinalizers(), metav1.FinalizerOrphanDependents)
}
