package registry

import (
	"sync"
	"time"

	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/manifests"
	"skiff/manifests/custom"
	"skiff/store"
)

// customs are the custom resources in use. What defines them is asked of the store at each request,
// so they are never out of date; what was made of a definition is kept while the definition stays as
// it is.
type customs struct {
	mu   sync.Mutex
	made map[string]*served // by the definition's name
}

// served is what was made of a definition.
type served struct {
	from      *manifests.Packed
	def       *custom.Definition
	resources map[string]*Resource // by the name of a served version; "" is the stored one
	// life is held shared while an object is made, and alone by what begins the definition's deletion:
	// so nothing comes in behind the back of the controller that removes the objects.
	life *sync.RWMutex
}

// Definition is the definition of a resource, nil if there is none whose names are accepted.
func (r *Registry) Definition(gr schema.GroupResource) *custom.Definition {
	if s := r.served(gr.String()); s != nil {
		return s.def
	}
	return nil
}

// Custom is a custom resource in a served version, or with "" in the one that is stored; nil if
// there is none such.
func (r *Registry) Custom(gr schema.GroupResource, version string) *Resource {
	s := r.served(gr.String())
	if s == nil {
		return nil
	}
	return s.resources[version]
}

// Definitions are all whose names are accepted, by name.
func (r *Registry) Definitions() (all []*custom.Definition) {
	r.Store().Snapshot(manifests.CustomResourceDefinitions.String()).Ascend("", store.Key{}, func(o store.Object) bool {
		if s := r.servedAs(o.(*manifests.Packed)); s != nil {
			all = append(all, s.def)
		}
		return true
	})
	return all
}

// CustomKinds are the kinds of custom resources, each in its stored version.
func (r *Registry) CustomKinds() (all []*manifests.Kind) {
	for _, d := range r.Definitions() {
		all = append(all, d.Stored.Kind)
	}
	return all
}

// CustomKind finds a custom kind, in its stored version, by any version of it; nil if there is none
// such.
func (r *Registry) CustomKind(gvk schema.GroupVersionKind) (found *manifests.Kind) {
	r.Store().Snapshot(manifests.CustomResourceDefinitions.String()).Ascend("", store.Key{}, func(o store.Object) bool {
		p := o.(*manifests.Packed)
		if p.Spec.Group != gvk.Group || p.Status.AcceptedNames.Kind != gvk.Kind {
			return true
		}
		if s := r.servedAs(p); s != nil && (s.resources[gvk.Version] != nil || s.def.Stored.GVK == gvk) {
			found = s.def.Stored.Kind
		}
		return found == nil
	})
	return found
}

// ReleaseUnused lets go of what was made of definitions that are gone, and of schemas that nobody has
// used since a time.
func (r *Registry) ReleaseUnused(since time.Time) {
	c := &r.custom
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, s := range c.made {
		if _, ok := r.Store().Get(definitionKey(name)); !ok {
			delete(c.made, name)
			continue
		}
		s.def.ReleaseUnused(since)
	}
}

func definitionKey(name string) store.Key {
	return store.Key{Resource: manifests.CustomResourceDefinitions.String(), Name: name}
}

func (r *Registry) served(name string) *served {
	o, ok := r.Store().Get(definitionKey(name))
	if !ok {
		return nil
	}
	return r.servedAs(o.(*manifests.Packed))
}

// servedAs is what a definition is served as, nil for one whose names are not accepted.
func (r *Registry) servedAs(p *manifests.Packed) *served {
	crd := p.Definition()
	if r.resources[manifests.ResourceOf(p.Name)] != nil {
		return nil // its objects would be those of another kind
	}
	if !apihelpers.IsCRDConditionTrue(crd, extv1.Established) && !apihelpers.IsCRDConditionTrue(crd, extv1.NamesAccepted) {
		return nil
	}
	c := &r.custom
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.made[p.Name]
	if known != nil && (known.from == p || sameDefinition(known.from, p)) {
		known.from = p
		return known
	}
	s := r.serve(p, crd)
	if s == nil {
		return nil
	}
	if known != nil {
		s.life = known.life
	}
	if c.made == nil {
		c.made = map[string]*served{}
	}
	c.made[p.Name] = s
	return s
}

// sameDefinition reports whether two states of a definition are served alike.
func sameDefinition(a, b *manifests.Packed) bool {
	return a.UID == b.UID && a.Generation == b.Generation && (a.DeletionTimestamp == nil) == (b.DeletionTimestamp == nil) &&
		apiequality.Semantic.DeepEqual(a.Status.AcceptedNames, b.Status.AcceptedNames)
}

// serve makes resources of a definition. One that can not be served does not pass validation.
func (r *Registry) serve(p *manifests.Packed, crd *extv1.CustomResourceDefinition) *served {
	revision, err := revisionOf(crd)
	if err != nil {
		return nil
	}
	def, err := custom.New(custom.Options{
		CRD: crd, Revision: revision, Whole: p.Unpack, Webhook: r.options.ConversionWebhook, Clock: r.options.Clock,
	})
	if err != nil {
		return nil
	}
	s := &served{from: p, def: def, resources: map[string]*Resource{}, life: &sync.RWMutex{}}
	for _, v := range def.Versions {
		gr := v.GroupResource()
		res := &Resource{registry: r, kind: v.Kind, gr: gr, name: gr.String(), hooks: hooks{beginCreate: r.beginCustom(p.Name)}}
		if v.Spec.Served {
			s.resources[v.Spec.Name] = res
		}
		if v == def.Stored {
			s.resources[""] = res
		}
	}
	return s
}

// load is an object of the store as the resource's kind has it.
func (r *Resource) load(obj store.Object) (store.Object, error) {
	if r.kind.Load == nil {
		return obj, nil
	}
	loaded, err := r.kind.Load(obj)
	if err != nil {
		return nil, r.failed("reading", obj.GetNamespace(), obj.GetName(), err)
	}
	return loaded, nil
}

// saved is a change as the store is to have it.
func (r *Resource) saved(c store.Change) (store.Change, error) {
	if r.kind.Save == nil {
		return c, nil
	}
	var err error
	if c.Object != nil {
		if c.Object, err = r.kind.Save(c.Object); err != nil {
			return c, err
		}
	}
	if c.Last != nil {
		c.Last, err = r.kind.Save(c.Last)
	}
	return c, err
}
