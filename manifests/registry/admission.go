package registry

import (
	"context"

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
}

// Admitter looks at writes before they are validated. It may change the Object
// of a create or an update. It may refuse, with an API status error, which the
// client gets as it is.
type Admitter interface {
	Admit(ctx context.Context, r Request) error
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
