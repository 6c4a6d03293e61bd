// Package controller is the machinery that every controller of skiff runs on: a
// queue of keys, workers that reconcile one key at a time, and watches of the
// store, shared between controllers, that say which keys to look at.
//
// A queue holds keys and never events: whatever was missed, the next look at
// the key puts right.
package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
)

// Backoff of a key that keeps failing, unless a Loop says otherwise.
const (
	DefaultMinBackoff = 5 * time.Millisecond
	DefaultMaxBackoff = 30 * time.Second
)

// Loop reconciles keys. The same key is never reconciled by two workers at a
// time, so a Reconcile that reads the store sees all that its earlier runs for
// that key have written.
type Loop[K comparable] struct {
	// Name is the controller's name in logs and metrics, such as "replicaset".
	Name string
	// Workers is how many keys are worked on at a time, 1 unless set.
	Workers int
	// Reconcile brings what key names closer to what it should be. A positive
	// after asks for another look when so much time has passed; a key that
	// failed is looked at again after its backoff, for as long as it fails.
	Reconcile func(ctx context.Context, key K) (after time.Duration, err error)
	// Sources say which keys to look at, and when.
	Sources []Source[K]

	// MinBackoff doubles with each failure of a key in succession up to
	// MaxBackoff. Zero means the defaults.
	MinBackoff, MaxBackoff time.Duration
	// Env gives the loop its clock, logger and metrics.
	Env Env
}

// Run works until ctx ends and everything it started has ended. It returns an
// error only when a source could not be followed.
func (l *Loop[K]) Run(ctx context.Context) error {
	r := l.runner()
	defer r.metrics.Depth(r.name, r.queue.Len)()
	defer r.queue.ShutDown()
	for _, source := range l.Sources {
		detach, err := source(ctx, r.queue)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("controller %s: %w", l.Name, err)
		}
		defer detach()
	}
	var workers errgroup.Group
	for range max(l.Workers, 1) {
		workers.Go(func() error { r.work(ctx); return nil })
	}
	<-ctx.Done()
	r.queue.ShutDown()
	return workers.Wait()
}

// runner is a Loop with its defaults and its queue.
type runner[K comparable] struct {
	name      string
	reconcile func(context.Context, K) (time.Duration, error)
	queue     workqueue.TypedRateLimitingInterface[K]
	clock     clock.WithTicker
	metrics   *Metrics
	failures  failures[K]
}

func (l *Loop[K]) runner() *runner[K] {
	env := l.Env.WithDefaults()
	least, most := cmp.Or(l.MinBackoff, DefaultMinBackoff), cmp.Or(l.MaxBackoff, DefaultMaxBackoff)
	return &runner[K]{
		name:      l.Name,
		reconcile: l.Reconcile,
		// Without a name the queue keeps no metrics of its own, whose upkeep would
		// wake the process twice a second for every controller.
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[K](least, most),
			workqueue.TypedRateLimitingQueueConfig[K]{Clock: env.Clock}),
		clock:    env.Clock,
		metrics:  env.Metrics,
		failures: failures[K]{logger: env.Logger.With("controller", l.Name)},
	}
}

func (r *runner[K]) work(ctx context.Context) {
	for {
		key, stopped := r.queue.Get()
		if stopped {
			return
		}
		// A queue that is shut down still hands out what it holds.
		if ctx.Err() == nil {
			r.look(ctx, key)
		}
		r.queue.Done(key)
	}
}

func (r *runner[K]) look(ctx context.Context, key K) {
	start := r.clock.Now()
	after, err := r.reconcile(ctx, key)
	if err != nil && ctx.Err() != nil {
		return // the work was cut off, it did not fail
	}
	if errors.Is(err, ErrOvertaken) {
		r.metrics.Reconciled(r.name, r.clock.Since(start), nil)
		r.queue.AddRateLimited(key)
		return
	}
	r.metrics.Reconciled(r.name, r.clock.Since(start), err)
	if err != nil {
		r.failures.failed(key, err)
		r.queue.AddRateLimited(key)
		return
	}
	r.failures.succeeded(key)
	r.queue.Forget(key)
	if after > 0 {
		r.queue.AddAfter(key, after)
	}
}
