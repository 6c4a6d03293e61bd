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
	feeds map[string]*leased
	start func(*leased) // nil while Run does not run
}

// leased is a feed and for how long there is one.
type leased struct {
	*Feed
	lasting bool // as long as the feeds run
	leases  int  // or while there are any
	stop    context.CancelFunc
}

// NewFeeds returns feeds that follow s once they run.
func NewFeeds(s *store.Store) *Feeds {
	return &Feeds{store: s, feeds: map[string]*leased{}}
}

// Of is the feed of a resource, named as in store.Key: "pods",
// "replicasets.apps".
func (f *Feeds) Of(resource string) *Feed {
	f.mu.Lock()
	defer f.mu.Unlock()
	feed := f.of(resource)
	feed.lasting = true
	return feed.Feed
}

// Lease is Of for a resource that may come to an end: when all who have leased its feed have given it
// back, the feed ends.
func (f *Feeds) Lease(resource string) (feed *Feed, giveBack func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.of(resource)
	l.leases++
	return l.Feed, sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if l.leases--; l.leases > 0 || l.lasting {
			return
		}
		delete(f.feeds, resource)
		if l.stop != nil {
			l.stop()
		}
	})
}

func (f *Feeds) of(resource string) *leased {
	feed, ok := f.feeds[resource]
	if !ok {
		feed = &leased{Feed: newFeed(resource)}
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
	f.start = func(feed *leased) {
		ctx, stop := context.WithCancel(ctx)
		feed.stop = stop
		group.Go(func() error {
			defer stop()
			return feed.run(ctx, f.store)
		})
	}
	for _, feed := range f.feeds {
		f.start(feed)
	}
	f.mu.Unlock()
	return group.Wait()
}
