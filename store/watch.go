package store

import (
	"context"
	"fmt"
)

// maxEvents is how many events one Next gives at most.
const maxEvents = 1000

// Watch is a place in the events of one resource. It is for one goroutine at a
// time. It holds nothing that would have to be given back; the context it was made
// with ends it.
type Watch struct {
	store    *Store
	ctx      context.Context // the watch's life, beside that of each Next
	resource string
	log      *eventLog
	cursor   uint64 // all events up to here have been given
}

// Watch gives the events of resource behind the revision since. ErrExpired when
// some of them are no longer in memory (after a restart: all from before it), or
// when the store has not got as far as since, which then comes from another
// database.
func (s *Store) Watch(ctx context.Context, resource string, since uint64) (*Watch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.view.Load().revision; since > now {
		return nil, fmt.Errorf("watch %s since revision %d, the newest is %d: %w", resource, since, now, ErrExpired)
	}
	log := s.log(resource)
	if since < log.lost {
		return nil, expired(resource, since, log)
	}
	return s.watch(ctx, resource, log, since), nil
}

// SnapshotAndWatch gives the state of resource and the watch that continues it.
func (s *Store) SnapshotAndWatch(ctx context.Context, resource string) (Snapshot, *Watch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return Snapshot{}, nil, fmt.Errorf("watch %s: %w", resource, err)
	}
	snap := s.view.Load().snapshot(resource)
	return snap, s.watch(ctx, resource, s.log(resource), snap.revision), nil
}

func (s *Store) watch(ctx context.Context, resource string, log *eventLog, since uint64) *Watch {
	s.watches.Add(1)
	context.AfterFunc(ctx, func() { s.watches.Add(-1) })
	return &Watch{store: s, ctx: ctx, resource: resource, log: log, cursor: since}
}

// log gives the event log of resource. s.mu must be held for writing.
func (s *Store) log(resource string) *eventLog {
	log, ok := s.logs[resource]
	if !ok {
		log = newEventLog(s.opened)
		s.logs[resource] = log
	}
	return log
}

// Next waits for events and gives them, oldest first, read-only, with the revision
// reached: the watch has given every event up to there. When ctx or the watch's
// own context ends first, it gives no event, the revision reached all the same,
// and the context's error. ErrExpired when the watch was too slow and events are
// lost; ErrClosed when the store has stopped and all events were given.
func (w *Watch) Next(ctx context.Context) ([]Event, uint64, error) {
	for {
		if err := w.ctx.Err(); err != nil {
			return nil, w.cursor, err
		}
		events, changed, err := w.read()
		if err != nil || len(events) > 0 {
			return events, w.cursor, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, w.Revision(), ctx.Err()
		case <-w.ctx.Done():
			return nil, w.cursor, w.ctx.Err()
		case <-w.store.stopped:
			events, _, err := w.read()
			if err == nil && len(events) == 0 {
				err = ErrClosed
			}
			return events, w.cursor, err
		}
	}
}

// read takes what there is, or gives the channel that closes when there is more.
func (w *Watch) read() ([]Event, <-chan struct{}, error) {
	w.store.mu.RLock()
	defer w.store.mu.RUnlock()
	if w.cursor < w.log.lost {
		return nil, nil, expired(w.resource, w.cursor, w.log)
	}
	events := w.log.after(w.cursor)
	if len(events) > maxEvents {
		events = events[:maxEvents:maxEvents]
		w.cursor = events[maxEvents-1].Revision
	} else {
		w.cursor = w.store.view.Load().revision
	}
	return events, w.log.changed, nil
}

// Ready gives a channel that is closed when Next will not block (or, seldom, when
// it will after all), for a select beside other things to wait for. Ask anew each
// time.
func (w *Watch) Ready() <-chan struct{} {
	w.store.mu.RLock()
	defer w.store.mu.RUnlock()
	if w.cursor < w.log.lost || len(w.log.after(w.cursor)) > 0 {
		return closedChannel
	}
	return w.log.changed
}

// Revision is the revision reached, for a bookmark: every event up to there has
// been given. It moves on with the store also when this resource has no events.
func (w *Watch) Revision() uint64 {
	w.store.mu.RLock()
	defer w.store.mu.RUnlock()
	if w.cursor >= w.log.lost && len(w.log.after(w.cursor)) == 0 {
		w.cursor = w.store.view.Load().revision
	}
	return w.cursor
}

// closedChannel is always ready.
var closedChannel = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func expired(resource string, since uint64, log *eventLog) error {
	return fmt.Errorf("watch %s since revision %d, events up to %d are gone: %w", resource, since, log.lost, ErrExpired)
}

// WaitRevision returns when the store has reached revision, or ctx's error when
// that ends first, or ErrClosed.
func (s *Store) WaitRevision(ctx context.Context, revision uint64) error {
	for {
		s.mu.RLock()
		now, advanced := s.view.Load().revision, s.advanced
		s.mu.RUnlock()
		if now >= revision {
			return nil
		}
		select {
		case <-advanced:
		case <-ctx.Done():
			return fmt.Errorf("wait for revision %d, now at %d: %w", revision, now, ctx.Err())
		case <-s.stopped:
			return fmt.Errorf("wait for revision %d, now at %d: %w", revision, now, ErrClosed)
		}
	}
}
