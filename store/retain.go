package store

import (
	"fmt"
	"sync"
	"time"
)

const (
	// retainFor is how long a chunked list may take between two chunks. Kubernetes
	// compacts etcd every five minutes, which is what clients are used to.
	retainFor = 5 * time.Minute
	// retainMax bounds how many snapshots are kept; the one longest unused goes
	// first.
	retainMax = 256
)

// retained holds the snapshots of chunked lists.
type retained struct {
	mu        sync.Mutex
	snapshots map[retainedKey]retainedSnapshot
}

type retainedKey struct {
	resource string
	revision uint64
}

type retainedSnapshot struct {
	snapshot Snapshot
	used     time.Time
}

// Retain keeps snap for SnapshotAt, until its revision is five minutes old. Snapshots of too many
// lists push out the one longest unused.
func (s *Store) Retain(snap Snapshot) {
	r, now := &s.retained, s.clock.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	key := retainedKey{snap.resource, snap.revision}
	if _, ok := r.snapshots[key]; !ok && len(r.snapshots) >= retainMax {
		r.dropOldest()
	}
	r.snapshots[key] = retainedSnapshot{snap, now}
}

// SnapshotAt gives resource as it was at revision: when it has not changed
// since, or when a snapshot of that revision was retained. Otherwise ErrExpired,
// and always when the store reached a later revision more than five minutes ago,
// as Kubernetes has it, whose clients are to start anew then.
func (s *Store) SnapshotAt(resource string, revision uint64) (Snapshot, error) {
	v := s.view.Load()
	if revision > v.revision {
		return Snapshot{}, fmt.Errorf("list %s at revision %d, the newest is %d: %w", resource, revision, v.revision, ErrExpired)
	}
	if compacted := s.compacted.Load(); revision < compacted {
		return Snapshot{}, fmt.Errorf("list %s at revision %d, of which the store tells nothing before %d any more: %w", resource, revision, compacted, ErrExpired)
	}
	if snap := v.snapshot(resource); revision >= s.lastChange(snap) {
		snap.revision = revision
		return snap, nil
	}
	if snap, ok := s.retained.use(retainedKey{resource, revision}, s.clock.Now()); ok {
		return snap, nil
	}
	return Snapshot{}, fmt.Errorf("list %s at revision %d: %w", resource, revision, ErrExpired)
}

// lastChange is the revision since which the objects of snap are as they are, as
// far as memory goes: nothing is known of the time before Open.
func (s *Store) lastChange(snap Snapshot) uint64 {
	if snap.table == nil {
		return s.opened
	}
	return max(s.opened, snap.table.changed)
}

func (r *retained) use(key retainedKey, now time.Time) (Snapshot, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept, ok := r.snapshots[key]
	if !ok || now.Sub(kept.used) > retainFor {
		return Snapshot{}, false
	}
	kept.used = now
	r.snapshots[key] = kept
	return kept.snapshot, true
}

// expire lets go of what was not used in time, or is from before a revision.
func (r *retained) expire(now time.Time, compacted uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, kept := range r.snapshots {
		if now.Sub(kept.used) > retainFor || key.revision < compacted {
			delete(r.snapshots, key)
		}
	}
}

func (r *retained) dropOldest() {
	var oldest retainedKey
	var used time.Time
	for key, kept := range r.snapshots {
		if used.IsZero() || kept.used.Before(used) {
			oldest, used = key, kept.used
		}
	}
	delete(r.snapshots, oldest)
}
