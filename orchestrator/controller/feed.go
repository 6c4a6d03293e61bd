package controller

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"skiff/store"
)

// Handler is told of a change. It runs on the feed's goroutine, so it must be
// quick and must not subscribe to the feed it is called by.
type Handler func(store.Event)

// Feed is one watch of a resource, shared by all who subscribe to it. Each
// subscriber sees every object once as Added and then each of its changes in
// order. What happened while the feed was too slow and lost its place is told
// as one change from the last known state to the present one.
type Feed struct {
	resource string
	ready    chan struct{} // closed when known holds the first listing

	mu       sync.Mutex
	known    map[types.NamespacedName]store.Object
	handlers []*Handler
	parts    map[string]*parts
}

// Part tells which part of a feed an object belongs to: a pod to that of its
// node, for example. A change that moves an object from one part to another is
// told to both.
type Part struct {
	// Name tells the parts of one kind from others.
	Name string
	Of   func(store.Object) string
}

// parts are those who want a part of the feed only: among very many, each change
// is told to the one or two whom it concerns.
type parts struct {
	of       func(store.Object) string
	handlers map[string][]*Handler
}

func newFeed(resource string) *Feed {
	return &Feed{resource: resource, ready: make(chan struct{}), known: map[types.NamespacedName]store.Object{}}
}

// Subscribe tells handle of all objects there are, and from then on of every
// change, until detach is called. It waits for the feed's first listing, so it
// needs Feeds.Run; it fails only when ctx ends first.
func (f *Feed) Subscribe(ctx context.Context, handle Handler) (detach func(), err error) {
	select {
	case <-f.ready:
	case <-ctx.Done():
		return nil, fmt.Errorf("subscribing to %s: %w", f.resource, ctx.Err())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, o := range f.known {
		handle(store.Event{Type: watch.Added, Object: o})
	}
	f.handlers = append(f.handlers, &handle)
	return func() { f.detach(&handle) }, nil
}

// SubscribePart is Subscribe for the objects of one part.
func (f *Feed) SubscribePart(ctx context.Context, part Part, value string, handle Handler) (detach func(), err error) {
	select {
	case <-f.ready:
	case <-ctx.Done():
		return nil, fmt.Errorf("subscribing to %s: %w", f.resource, ctx.Err())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, o := range f.known {
		if part.Of(o) == value {
			handle(store.Event{Type: watch.Added, Object: o})
		}
	}
	p := f.parts[part.Name]
	if p == nil {
		p = &parts{of: part.Of, handlers: map[string][]*Handler{}}
		if f.parts == nil {
			f.parts = map[string]*parts{}
		}
		f.parts[part.Name] = p
	}
	p.handlers[value] = append(p.handlers[value], &handle)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		p.handlers[value] = without(p.handlers[value], &handle)
		if len(p.handlers[value]) == 0 {
			delete(p.handlers, value)
		}
	}, nil
}

func (f *Feed) detach(handle *Handler) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.handlers = without(f.handlers, handle)
}

func without(handlers []*Handler, handle *Handler) []*Handler {
	for i, h := range handlers {
		if h == handle {
			return append(handlers[:i:i], handlers[i+1:]...)
		}
	}
	return handlers
}

// run follows the store until ctx ends.
func (f *Feed) run(ctx context.Context, s *store.Store) error {
	for {
		err := f.follow(ctx, s)
		switch {
		case ctx.Err() != nil:
			return nil
		case !errors.Is(err, store.ErrExpired):
			return fmt.Errorf("watching %s: %w", f.resource, err)
		}
	}
}

// follow lists, and watches from there until the watch ends.
func (f *Feed) follow(ctx context.Context, s *store.Store) error {
	snapshot, w, err := s.SnapshotAndWatch(ctx, f.resource)
	if err != nil {
		return err
	}
	f.relist(snapshot)
	for {
		events, _, err := w.Next(ctx)
		if err != nil {
			return err
		}
		f.tell(events)
	}
}

func (f *Feed) tell(events []store.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range events {
		if e.Type == watch.Deleted {
			delete(f.known, NameOf(e.Object))
		} else {
			f.known[NameOf(e.Object)] = e.Object
		}
		f.handle(e)
	}
}

func (f *Feed) handle(e store.Event) {
	for _, h := range f.handlers {
		(*h)(e)
	}
	for _, p := range f.parts {
		p.handle(e)
	}
}

func (p *parts) handle(e store.Event) {
	now := p.of(e.Object)
	for _, h := range p.handlers[now] {
		(*h)(e)
	}
	if e.Previous == nil {
		return
	}
	if before := p.of(e.Previous); before != now {
		for _, h := range p.handlers[before] {
			(*h)(e)
		}
	}
}

// catchUp tells what is different in a snapshot from what was told, before the watch tells it. The
// watch may tell some of it again.
func (f *Feed) catchUp(snapshot store.Snapshot) { f.relist(snapshot) }

// relist tells what is different in snapshot from what was known.
func (f *Feed) relist(snapshot store.Snapshot) {
	f.mu.Lock()
	defer f.mu.Unlock()
	gone := f.known
	f.known = make(map[types.NamespacedName]store.Object, snapshot.Len())
	snapshot.Ascend("", store.Key{}, func(o store.Object) bool {
		name := NameOf(o)
		before := gone[name]
		delete(gone, name)
		f.known[name] = o
		f.changed(before, o)
		return true
	})
	for _, o := range gone {
		f.handle(store.Event{Type: watch.Deleted, Object: o, Previous: o, Revision: snapshot.Revision()})
	}
	select {
	case <-f.ready:
	default:
		close(f.ready)
	}
}

// changed tells of one object of a listing. A name that another object has
// taken over is the end of one and the beginning of the other.
func (f *Feed) changed(before, now store.Object) {
	switch {
	case before == nil:
		f.handle(store.Event{Type: watch.Added, Object: now})
	case before.GetUID() != now.GetUID():
		f.handle(store.Event{Type: watch.Deleted, Object: before, Previous: before})
		f.handle(store.Event{Type: watch.Added, Object: now})
	case before.GetResourceVersion() != now.GetResourceVersion():
		f.handle(store.Event{Type: watch.Modified, Object: now, Previous: before})
	}
}
