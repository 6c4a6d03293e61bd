package store

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/utils/clock"
)

// maxBatch bounds how many commits share a transaction, so that the first does not
// wait for too many others.
const maxBatch = 512

// writer is the one who changes the state. It lives in Run's goroutine.
type writer struct {
	store  *Store
	db     *database
	tables map[string]*table // as in the view, but the writer's own to clone
	upkeep upkeep
}

func newWriter(s *Store, db *database) *writer {
	w := &writer{store: s, db: db, tables: map[string]*table{}}
	for resource, t := range s.view.Load().tables {
		w.tables[resource] = t.clone()
	}
	return w
}

// Run writes what is committed, deletes what has outlived its TTL, and keeps the
// file and the event window small. It returns when ctx has ended and every commit
// taken up has been answered. It can be called once.
func (s *Store) Run(ctx context.Context) error {
	if !s.writing.TryLock() {
		return errors.New("run store: it is running already, or closed")
	}
	defer s.writing.Unlock()
	select {
	case <-s.stopped:
		return errors.New("run store: it has been stopped")
	default:
	}
	defer s.stop()
	ticker := s.clock.NewTicker(upkeepEvery)
	defer ticker.Stop()
	s.writer.loop(ctx, ticker)
	return nil
}

func (w *writer) loop(ctx context.Context, ticker clock.Ticker) {
	for {
		select {
		case c := <-w.store.queue:
			w.write(w.gather(c))
		case <-ticker.C():
			w.tick()
		case <-w.upkeep.more():
			w.prune()
		case <-ctx.Done():
			return
		}
	}
}

// gather takes the commits that are waiting beside the first: those that arrived
// while the last transaction was on its way to disk.
func (w *writer) gather(first *commit) []*commit {
	batch := []*commit{first}
	for len(batch) < maxBatch {
		select {
		case c := <-w.store.queue:
			batch = append(batch, c)
		default:
			return batch
		}
	}
	return batch
}

// write brings a batch through one transaction and answers each of its commits.
// If the transaction fails, each is tried alone: a deletion may still fit where
// another's growth does not.
func (w *writer) write(batch []*commit) {
	accepted, err := w.transact(batch)
	switch {
	case err == nil:
		for _, c := range accepted {
			c.done <- nil
		}
	case len(accepted) == 1:
		accepted[0].done <- fmt.Errorf("commit %s: %w", accepted[0].changes[0].key, err)
	default:
		w.store.logger.Warn("transaction failed, trying its commits one by one", "commits", len(accepted), "err", err)
		for _, c := range accepted {
			w.write([]*commit{c})
		}
	}
}

// transact refuses the commits that don't meet what they expect, and makes the
// others durable and visible, all or, with an error, none.
func (w *writer) transact(batch []*commit) (accepted []*commit, err error) {
	now := w.store.clock.Now()
	d := newDraft(w.tables, w.store.schema, w.store.Revision(), now)
	for _, c := range batch {
		if err := d.add(c); err != nil {
			c.done <- err
			continue
		}
		accepted = append(accepted, c)
	}
	if len(accepted) == 0 {
		return nil, nil
	}
	if err := w.db.write(d, w.store.Revision(), now); err != nil {
		w.store.failure.Store(&err)
		return accepted, err
	}
	w.store.failure.Store(nil)
	w.publish(d)
	w.store.metrics.transaction(len(accepted), w.store.clock.Since(now))
	return accepted, nil
}

// publish lets everyone see what is durable now: the view and its events under one
// lock.
func (w *writer) publish(d *draft) {
	s := w.store
	own, public := d.tables(s.view.Load().tables)
	w.tables = own
	wake := make([]chan struct{}, 0, len(d.events)+1)
	s.mu.Lock()
	s.view.Store(&view{revision: d.revision, tables: public})
	for resource, events := range d.events {
		wake = append(wake, s.log(resource).append(events, s.window))
	}
	wake = append(wake, s.advanced)
	s.advanced = make(chan struct{})
	s.mu.Unlock()
	for _, c := range wake {
		close(c)
	}
}
