package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/watch"
)

// next waits for events and shows them with the revision reached.
func (f *fixture) next(w *Watch) string {
	f.t.Helper()
	events, reached, err := w.Next(f.t.Context())
	if err != nil {
		f.t.Fatalf("Next: %v", err)
	}
	return fmt.Sprintf("%sat %d\n", showEvents(events), reached)
}

func (f *fixture) watchSince(since uint64) *Watch {
	f.t.Helper()
	w, err := f.Watch(f.t.Context(), "things", since)
	if err != nil {
		f.t.Fatalf("Watch: %v", err)
	}
	return w
}

func TestWatch(t *testing.T) {
	f := open(t)
	w := f.watchSince(1)
	f.must(create("a", "x", "one"), create("a", "y", "two"))
	equal(t, "creates", f.next(w), "ADDED a/x@2 one\nADDED a/y@3 two\nat 3\n")
	f.must(update("a", "x", "uno", 2))
	equal(t, "update", f.next(w), "MODIFIED a/x@4 uno (was @2 one)\nat 4\n")
	last := remove("a", "y", 3)
	last.Last = newThing("a", "y", "last")
	f.must(last)
	equal(t, "delete", f.next(w), "DELETED a/y@5 last (was @3 two)\nat 5\n")
	equal(t, "from the middle of a commit", f.next(f.watchSince(2)),
		"ADDED a/y@3 two\nMODIFIED a/x@4 uno (was @2 one)\nDELETED a/y@5 last (was @3 two)\nat 5\n")
}

func TestWatchReachesRevisionsWithoutEvents(t *testing.T) {
	f := open(t)
	w := f.watchSince(1)
	f.must(Change{Key: Key{"others", "a", "x"}, Object: newThing("a", "x", "")})
	select {
	case <-w.Ready():
		t.Error("another resource's event made it ready")
	default:
	}
	if got := w.Revision(); got != 2 {
		t.Errorf("revision %d, want 2", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	f.must(Change{Key: Key{"others", "a", "y"}, Object: newThing("a", "y", "")})
	cancel()
	events, reached, err := w.Next(ctx)
	if len(events) != 0 || reached != 3 || !errors.Is(err, context.Canceled) {
		t.Errorf("%v at %d, %v; want none at 3, canceled", events, reached, err)
	}
	f.must(create("a", "x", ""))
	f.must(Change{Key: Key{"others", "a", "z"}, Object: newThing("a", "z", "")})
	<-w.Ready()
	if got := w.Revision(); got != 3 {
		t.Errorf("revision %d with an event pending, want 3", got)
	}
	equal(t, "event", f.next(w), "ADDED a/x@4 \nat 5\n")
}

func TestWatchEnds(t *testing.T) {
	f := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended, err := f.Watch(ctx, "things", 1)
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error)
	go func() {
		_, _, err := ended.Next(t.Context())
		waiting <- err
	}()
	cancel()
	if err := <-waiting; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want canceled", err)
	}
	w := f.watchSince(1)
	f.must(create("a", "x", ""))
	f.stop()
	equal(t, "event before the stop", f.next(w), "ADDED a/x@2 \nat 2\n")
	if _, _, err := w.Next(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("error %v, want closed", err)
	}
	if _, _, err := f.SnapshotAndWatch(ctx, "things"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want canceled", err)
	}
}

func TestWatchExpires(t *testing.T) {
	f := open(t, func(o *Options) { o.Window = 8 })
	slow := f.watchSince(1)
	quiet, err := f.Watch(t.Context(), "others", 1)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 { // two more than the window are let in
		f.must(create("a", fmt.Sprint(i), ""))
	}
	if _, err := f.Watch(t.Context(), "things", 1); err != nil {
		t.Errorf("since 1 with ten events: %v", err)
	}
	f.must(create("a", "10", ""))
	if _, _, err := slow.Next(t.Context()); !errors.Is(err, ErrExpired) {
		t.Errorf("slow watch: error %v, want expired", err)
	}
	<-slow.Ready() // so that a select sees it
	for since, want := range map[uint64]bool{1: false, 3: false, 4: true, 12: true, 13: false} {
		_, err := f.Watch(t.Context(), "things", since)
		if ok := err == nil; ok != want || (!ok && !errors.Is(err, ErrExpired)) {
			t.Errorf("watch since %d: %v", since, err)
		}
	}
	f.must(Change{Key: Key{"others", "a", "x"}, Object: newThing("a", "x", "")})
	equal(t, "a quiet resource's", f.next(quiet), "ADDED a/x@13 \nat 13\n")
}

func TestWatchAfterRestart(t *testing.T) {
	f := open(t)
	f.must(create("a", "x", ""))
	f = f.restart()
	if _, err := f.Watch(t.Context(), "things", 1); !errors.Is(err, ErrExpired) {
		t.Errorf("error %v, want expired", err)
	}
	w := f.watchSince(2)
	f.must(create("a", "y", ""))
	equal(t, "since the revision at opening", f.next(w), "ADDED a/y@3 \nat 3\n")
}

func TestWatchInPieces(t *testing.T) {
	f := open(t)
	var changes []Change
	for i := range 2*maxEvents + 1 {
		changes = append(changes, create("a", fmt.Sprint(i), ""))
	}
	f.must(changes...)
	w := f.watchSince(1)
	for _, want := range []struct{ events, reached int }{{maxEvents, maxEvents + 1}, {maxEvents, 2*maxEvents + 1}, {1, 2*maxEvents + 2}} {
		events, reached, err := w.Next(t.Context())
		if err != nil || len(events) != want.events || reached != uint64(want.reached) {
			t.Errorf("%d events, at %d, %v; want %+v", len(events), reached, err, want)
		}
	}
}

func TestWaitRevision(t *testing.T) {
	f := open(t)
	if err := f.WaitRevision(t.Context(), 1); err != nil {
		t.Errorf("the present: %v", err)
	}
	waited := make(chan error)
	go func() { waited <- f.WaitRevision(t.Context(), 3) }()
	f.must(create("a", "x", ""))
	f.must(create("a", "y", ""))
	if err := <-waited; err != nil {
		t.Errorf("the future: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.WaitRevision(ctx, 4); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want canceled", err)
	}
	f.stop()
	if err := f.WaitRevision(t.Context(), 4); !errors.Is(err, ErrClosed) {
		t.Errorf("error %v, want closed", err)
	}
}

// replica is what a watcher makes of snapshot and events.
type replica map[Key]Object

func (r replica) apply(e Event) error {
	key := thingKey(e.Object.GetNamespace(), e.Object.GetName())
	if had := r[key]; had != e.Previous {
		return fmt.Errorf("%s %s at %d: had %v, the event says %v", e.Type, key, e.Revision, had, e.Previous)
	}
	if known := r[key] != nil; known != (e.Type != watch.Added) {
		return fmt.Errorf("%s %s at %d, known before: %v", e.Type, key, e.Revision, known)
	}
	if e.Type == watch.Deleted {
		delete(r, key)
	} else {
		r[key] = e.Object
	}
	return nil
}

func (r replica) same(s Snapshot) bool {
	n := 0
	s.Ascend("", Key{}, func(o Object) bool {
		n++
		return r[thingKey(o.GetNamespace(), o.GetName())] == o
	})
	return n == s.Len() && n == len(r)
}

// follow begins in the midst of the writes, again and again, and sees each change
// once.
func (f *fixture) follow(until uint64) error {
	for {
		snap, w, err := f.SnapshotAndWatch(f.t.Context(), "things")
		if err != nil {
			return err
		}
		r := replica{}
		for _, o := range snap.list("", Key{}) {
			r[thingKey(o.GetNamespace(), o.GetName())] = o
		}
		at := snap.Revision()
		if at >= until {
			return nil
		}
		for range 1 + rand.IntN(10) {
			events, reached, err := w.Next(f.t.Context())
			if err != nil {
				return err
			}
			for _, e := range events {
				if e.Revision <= at {
					return fmt.Errorf("event %d after %d", e.Revision, at)
				}
				at = e.Revision
				if err := r.apply(e); err != nil {
					return err
				}
			}
			if now := f.Snapshot("things"); now.Revision() == reached && !r.same(now) {
				return fmt.Errorf("at %d the replica differs from the snapshot", reached)
			}
			if reached >= until {
				return nil
			}
		}
	}
}

func TestNoEventIsLost(t *testing.T) {
	f := open(t)
	const writers, writes, watchers = 8, 150, 8
	until := uint64(1 + writers*writes)
	var wg sync.WaitGroup
	for writer := range writers {
		wg.Go(func() { f.scribble(fmt.Sprint(writer), writes) })
	}
	for range watchers {
		wg.Go(func() {
			if err := f.follow(until); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := f.Revision(); got != until {
		t.Errorf("revision %d, want %d", got, until)
	}
}

// scribble creates, updates and deletes a few things of its own, so many times.
func (f *fixture) scribble(namespace string, writes int) {
	at := map[string]uint64{}
	for i := range writes {
		name := fmt.Sprint(rand.IntN(5))
		revision := at[name]
		switch {
		case revision == 0:
			at[name] = f.must(create(namespace, name, fmt.Sprint(i)))[0]
		case rand.IntN(3) == 0:
			f.must(remove(namespace, name, revision))
			delete(at, name)
		default:
			at[name] = f.must(update(namespace, name, fmt.Sprint(i), revision))[0]
		}
	}
}
