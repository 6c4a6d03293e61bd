package store

import (
	"maps"
	"slices"
	"time"
)

const (
	// upkeepEvery is how often the writer looks after what grows.
	upkeepEvery = time.Minute
	// eventAge is how long events are kept at most, as long as Kubernetes keeps old
	// revisions (kube-apiserver's --etcd-compaction-interval): a store should not hold
	// on to thousands of old states for watchers that will not come back.
	eventAge = 5 * time.Minute
	// pruneBatch is how many expired objects go in one transaction, so that
	// commits need not wait for all of them.
	pruneBatch = 256
)

// upkeep is what the writer remembers between two looks.
type upkeep struct {
	expired []Key  // still to be pruned
	marks   []mark // revisions by the time they were reached, oldest first
}

type mark struct {
	at       time.Time
	revision uint64
}

// more is ready while there is something left to prune.
func (u *upkeep) more() <-chan struct{} {
	if len(u.expired) == 0 {
		return nil
	}
	return closedChannel
}

func (w *writer) tick() {
	now := w.store.clock.Now()
	w.dropOldEvents(now)
	w.store.retained.expire(now, w.store.compacted.Load())
	w.upkeep.expired = w.findExpired(now)
	if err := w.db.shrink(); err != nil {
		w.store.logger.Error("cannot give free pages of the database back", "err", err)
	}
}

// dropOldEvents lets go of events and revisions that are older than eventAge, within a tick.
func (w *writer) dropOldEvents(now time.Time) {
	u, s := &w.upkeep, w.store
	u.marks = append(u.marks, mark{now, s.Revision()})
	old := -1
	for i, m := range u.marks {
		if now.Sub(m.at) >= eventAge {
			old = i
		}
	}
	if old < 0 {
		return
	}
	revision := u.marks[old].revision
	s.compacted.Store(revision)
	u.marks = slices.Delete(u.marks, 0, old+1)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, log := range s.logs {
		log.dropUpTo(revision)
	}
}

// findExpired lists the objects that have not been written for their TTL.
func (w *writer) findExpired(now time.Time) []Key {
	var expired []Key
	for _, resource := range slices.Sorted(maps.Keys(w.store.ttl)) {
		t, ok := w.tables[resource]
		if !ok {
			continue
		}
		limit := w.ttlLimit(resource, now)
		t.objects.Ascend(func(e *entry) bool {
			if e.updated <= limit {
				expired = append(expired, e.key(resource))
			}
			return true
		})
	}
	return expired
}

// ttlLimit is the last write, in Unix milliseconds, up to which objects have
// outlived their TTL.
func (w *writer) ttlLimit(resource string, now time.Time) int64 {
	return now.Add(-w.store.ttl[resource]).UnixMilli()
}

// prune deletes the next of the expired objects, as anyone would, but for those
// that were written in the meantime.
func (w *writer) prune() {
	keys := w.upkeep.expired
	if len(keys) > pruneBatch {
		keys = keys[:pruneBatch]
	}
	w.upkeep.expired = w.upkeep.expired[len(keys):]
	now := w.store.clock.Now()
	batch := make([]*commit, 0, len(keys))
	for _, k := range keys {
		e := w.tables[k.Resource].get(k.Namespace, k.Name)
		if e == nil || e.updated > w.ttlLimit(k.Resource, now) {
			continue
		}
		deletion := change{key: k, expect: e.revision, deletion: true, object: e.object.DeepCopyObject().(Object)}
		batch = append(batch, &commit{changes: []change{deletion}, done: make(chan error, 1)})
	}
	w.write(batch)
	for _, c := range batch {
		if err := <-c.done; err != nil {
			w.store.logger.Error("cannot delete an expired object, the next look tries again", "err", err)
		}
	}
}
