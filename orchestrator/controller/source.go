package controller

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"skiff/store"
)

// Queue is where a source puts the keys to look at. A key that waits already is
// not put in twice; one that is being worked on is looked at once more.
type Queue[K comparable] interface {
	Add(key K)
	AddAfter(key K, after time.Duration)
}

// Source puts keys in a queue from when it is called until detach. It returns
// when all that exists already has been put in: then the loop's workers start.
type Source[K comparable] func(ctx context.Context, queue Queue[K]) (detach func(), err error)

// Follow makes a source of a feed. For each change of an object, keys is given
// the object as it is now and as it was before, and adds the keys that the
// change concerns; now is nil for an object that is gone, before is nil for one
// that is new. It must be quick: all who follow the feed wait for it.
func Follow[T store.Object, K comparable](feed *Feed, keys func(now, before T, add func(K))) Source[K] {
	return func(ctx context.Context, queue Queue[K]) (func(), error) {
		return feed.Subscribe(ctx, handler(queue, keys))
	}
}

// FollowPart is Follow for the objects of one part of a feed.
func FollowPart[T store.Object, K comparable](feed *Feed, part Part, value string, keys func(now, before T, add func(K))) Source[K] {
	return func(ctx context.Context, queue Queue[K]) (func(), error) {
		return feed.SubscribePart(ctx, part, value, handler(queue, keys))
	}
}

func handler[T store.Object, K comparable](queue Queue[K], keys func(now, before T, add func(K))) Handler {
	return func(e store.Event) {
		var now, before T
		if e.Type == watch.Deleted {
			before, _ = e.Object.(T)
		} else {
			now, _ = e.Object.(T)
			before, _ = e.Previous.(T)
		}
		keys(now, before, queue.Add)
	}
}

// Own makes a source of the changed objects' own names.
func Own(feed *Feed) Source[types.NamespacedName] {
	return func(ctx context.Context, queue Queue[types.NamespacedName]) (func(), error) {
		return feed.Subscribe(ctx, func(e store.Event) { queue.Add(NameOf(e.Object)) })
	}
}

// NameOf is an object's namespace and name.
func NameOf(o store.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}
