package controller

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/watch"

	"skiff/store"
)

// FollowEach makes a source of the resources that the objects of another one stand for by their
// names, as definitions stand for custom resources. follow makes the source of one of them. A
// resource whose object is gone is followed no more, once all is told that happened to it.
func FollowEach[K comparable](feeds *Feeds, definitions string, follow func(resource string, feed *Feed) Source[K]) Source[K] {
	return func(ctx context.Context, queue Queue[K]) (func(), error) {
		e := each[K]{feeds: feeds, follow: follow, queue: queue, followed: map[string]func(){}}
		detach, err := feeds.Of(definitions).Subscribe(ctx, func(event store.Event) { e.handle(ctx, event) })
		if err != nil {
			return nil, err
		}
		return func() {
			detach()
			e.detachAll()
		}, nil
	}
}

type each[K comparable] struct {
	feeds  *Feeds
	follow func(resource string, feed *Feed) Source[K]
	queue  Queue[K]

	mu       sync.Mutex
	followed map[string]func() // by resource: ends the following
}

func (e *each[K]) handle(ctx context.Context, event store.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	resource := event.Object.GetName()
	end := e.followed[resource]
	switch {
	case event.Type == watch.Deleted && end != nil:
		delete(e.followed, resource)
		end()
	case event.Type != watch.Deleted && end == nil:
		feed, giveBack := e.feeds.Lease(resource)
		detach, err := e.follow(resource, feed)(ctx, e.queue)
		if err != nil { // ctx has ended
			giveBack()
			return
		}
		e.followed[resource] = func() {
			feed.catchUp(e.feeds.store.Snapshot(resource))
			detach()
			giveBack()
		}
	}
}

func (e *each[K]) detachAll() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, end := range e.followed {
		end()
	}
}
