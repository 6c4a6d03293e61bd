package registry

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/manifests"
	"skiff/store"
)

// Operation is what a request does to an object.
type Operation string

// The operations an Admitter sees.
const (
	Create Operation = "CREATE"
	Update Operation = "UPDATE"
	Delete Operation = "DELETE"
	// Connect is a stream to an object: no Admitter sees it, but the Extension does.
	Connect Operation = "CONNECT"
)

// Request is one write, as an Admitter sees it.
type Request struct {
	Operation   Operation
	Kind        *manifests.Kind
	Namespace   string
	Name        string // empty while a generated name is yet to come
	Subresource string
	Object      store.Object // what is to be stored; nil for a delete
	Old         store.Object // what is stored, read-only; nil for a create
	DryRun      bool
	// Options are the request's own, as *metav1.CreateOptions; nil for those of skiff's own writes.
	Options runtime.Object
	// Part, unless nil, is what the Extension sees in the place of Object and Old.
	Part *Part
}

// Part is what is sent to a subresource that has objects of a kind of its own: a Scale, a Binding, the
// options of a stream.
type Part struct {
	GVK schema.GroupVersionKind
	// Object may be changed in place; Old, read-only, is nil unless the part is an update's.
	Object, Old runtime.Object
}

// Admitter looks at writes before they are validated. It may change the Object
// of a create or an update. It may refuse, with an API status error, which the
// client gets as it is.
type Admitter interface {
	Admit(ctx context.Context, r Request) error
}

// Validator is an Admitter that also looks at what the rules have accepted, as
// it is to be stored. It changes nothing.
type Validator interface {
	Validate(ctx context.Context, r Request) error
}

// Charger is an Admitter that keeps account of what objects use. It is asked
// last, when nothing else can refuse a write any more.
type Charger interface {
	// Charge refuses what there is no room for, and says what else is to be
	// stored with it.
	Charge(ctx context.Context, r Request) (Charge, error)
}

// Charge is what goes with a write.
type Charge struct {
	// Changes are committed with the write, all or none. When another writer of
	// one of them comes first, the charger is asked again.
	Changes []store.Change
	// End, unless nil, is called when the write has ended, however it did.
	End func()
}

func (r *Resource) validate(ctx context.Context, request Request) error {
	request.Kind = r.kind
	for _, validator := range r.registry.validators {
		if err := validator.Validate(ctx, request); err != nil {
			return err
		}
	}
	return nil
}

// charge asks the charger, if there is one. The function it returns is never
// nil.
func (r *Resource) charge(ctx context.Context, request Request) ([]store.Change, func(), error) {
	if r.registry.charger == nil {
		return nil, nothing, nil
	}
	request.Kind = r.kind
	charge, err := r.registry.charger.Charge(ctx, request)
	if err != nil {
		return nil, nil, err
	}
	if charge.End == nil {
		charge.End = nothing
	}
	return charge.Changes, charge.End, nil
}

// commit stores a change with what it is charged for. A dry run is charged for
// nothing, but must have room.
func (r *Resource) commit(ctx context.Context, request Request, change store.Change) (store.Object, error) {
	left, err := r.enter(request)
	if err != nil {
		return nil, err
	}
	defer left()
	for {
		stored, err := r.tryCommit(ctx, request, change)
		// A create expects nothing to be there: it can be overtaken in what it is
		// charged for alone. An update is tried again as a whole.
		overtaken := change.Expect == 0 && raced(err) && !errors.Is(err, store.ErrExists)
		if !overtaken {
			return stored, err
		}
	}
}

func (r *Resource) tryCommit(ctx context.Context, request Request, change store.Change) (store.Object, error) {
	charged, end, err := r.charge(ctx, request)
	if err != nil {
		return nil, err
	}
	defer end()
	if request.DryRun {
		return request.Object, nil
	}
	if change, err = r.saved(change); err != nil {
		return nil, err
	}
	stored, err := r.store().Commit(ctx, append([]store.Change{change}, charged...)...)
	if err != nil {
		return nil, err
	}
	return r.load(stored[0])
}

func (r *Resource) admit(ctx context.Context, request Request) error {
	request.Kind = r.kind
	for _, admitter := range r.registry.options.Admission {
		if err := admitter.Admit(ctx, request); err != nil {
			return err
		}
	}
	return nil
}

// hooks are what the registry does for some kinds beside the rules: what needs
// to see other objects, or the time. Nil functions do nothing.
type hooks struct {
	// beginCreate and beginUpdate run before the rules. The function they return,
	// unless nil, is called when the write has ended, however it did.
	beginCreate func(obj store.Object) (end func(), err error)
	beginUpdate func(obj, old store.Object, subresource string) (end func(), err error)
	// keep holds back the removal of an object whose last finalizer goes.
	keep func(obj store.Object) bool
	// delete decides about a deletion in the place of the general rules, when it
	// says so.
	delete func(d *deletion) (decided bool)
}

func nothing() {}

func (h hooks) create(obj store.Object) (func(), error) {
	if h.beginCreate == nil {
		return nothing, nil
	}
	return h.beginCreate(obj)
}

func (h hooks) update(obj, old store.Object, subresource string) (func(), error) {
	if h.beginUpdate == nil {
		return nothing, nil
	}
	return h.beginUpdate(obj, old, subresource)
}
