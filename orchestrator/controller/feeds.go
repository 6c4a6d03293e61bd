package controller

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"skiff/store"
)

// Feeds are the shared watches of a store, one a resource, made when someone
// first asks for the resource.
type Feeds struct {
	store *store.Store

	mu    sync.Mutex
	feeds map[string]*Feed
	start func(*Feed) // nil while Run does not run
}

// NewFeeds returns feeds that follow s once they run.
func NewFeeds(s *store.Store) *Feeds {
	return &Feeds{store: s, feeds: map[string]*Feed{}}
}

// Of is the feed of a resource, named as in store.Key: "pods",
// "replicasets.apps".
func (f *Feeds) Of(resource string) *Feed {
	f.mu.Lock()
	defer f.mu.Unlock()
	feed, ok := f.feeds[resource]
	if !ok {
		feed = newFeed(resource)
		f.feeds[resource] = feed
		if f.start != nil {
			f.start(feed)
		}
	}
	return feed
}

// Run follows the store, with one goroutine a feed, until ctx ends or a watch
// fails for another reason than being too slow.
func (f *Feeds) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	// This member comes first and goes last, so that the group is open for feeds that are asked for
	// at any time.
	group.Go(func() error {
		<-ctx.Done()
		f.mu.Lock()
		defer f.mu.Unlock()
		f.start = nil
		return nil
	})
	f.mu.Lock()
	f.start = func(feed *Feed) {
		group.Go(func() error { return feed.run(ctx, f.store) })
	}
	for _, feed := range f.feeds {
		f.start(feed)
	}
	f.mu.Unlock()
	return group.Wait()
}
