package node

import (
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/orchestrator/node/pod"
)

// records are the pods that the agent knows of.
type records struct {
	mu    sync.Mutex
	byUID map[types.UID]*record
	// users are the pods that use an object.
	users map[objectRef]map[types.UID]struct{}
	// deferred are the pods whose resize waits for room.
	deferred map[types.UID]struct{}
}

func newRecords() *records {
	return &records{byUID: map[types.UID]*record{}, users: map[objectRef]map[types.UID]struct{}{}, deferred: map[types.UID]struct{}{}}
}

// ensure returns a pod's record, which it makes if there is none.
func (s *records) ensure(uid types.UID, namespace, name string) *record {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.byUID[uid]
	if !ok {
		r = &record{uid: uid, namespace: namespace, name: name, attempts: pod.Attempts{}}
		s.byUID[uid] = r
	}
	return r
}

// get returns a pod's record, nil if there is none.
func (s *records) get(uid types.UID) *record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byUID[uid]
}

func (s *records) all() []*record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.byUID))
}

// forget drops a pod's record.
func (s *records) forget(r *record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byUID, r.uid)
	delete(s.deferred, r.uid)
	s.dropReferences(r)
}

// noteReferences records which objects a pod uses.
func (s *records) noteReferences(r *record, p *corev1.Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.generation == p.Generation && r.generation != 0 {
		return
	}
	s.dropReferences(r)
	r.references, r.generation = references(p), p.Generation
	for _, ref := range r.references {
		if s.users[ref] == nil {
			s.users[ref] = map[types.UID]struct{}{}
		}
		s.users[ref][r.uid] = struct{}{}
	}
}

// dropReferences forgets which objects a pod uses. s.mu is held.
func (s *records) dropReferences(r *record) {
	for _, ref := range r.references {
		delete(s.users[ref], r.uid)
		if len(s.users[ref]) == 0 {
			delete(s.users, ref)
		}
	}
}

// usersOf are the pods that use an object.
func (s *records) usersOf(ref objectRef) []types.UID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.users[ref]))
}

// deferResize records whether a pod's resize waits for room.
func (s *records) deferResize(uid types.UID, waits bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if waits {
		s.deferred[uid] = struct{}{}
	} else {
		delete(s.deferred, uid)
	}
}

// deferredResizes are the pods whose resize waits for room.
func (s *records) deferredResizes() []types.UID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.deferred))
}
