package scheduling

import (
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/orchestrator/controller"
)

// gathering is how long what happens elsewhere is gathered before pods that
// depend on it are looked at, so that they are not for every single pod of many.
const gathering = 20 * time.Millisecond

// glance is how many of the pods that wait are looked at before the lock is let
// go, so that the feeds, which others share, are not kept for long.
const glance = 100

// moves are what has happened that may let pods in, by the number of the latest
// of a sort.
type moves struct {
	// on are the nodes on which there is more room.
	on map[*node]uint64
	// elsewhere: other pods are elsewhere.
	elsewhere uint64
}

// round is a look at all pods that wait, at what has moved before it began.
type round struct {
	moves
	rest []*entry // those still to be looked at
}

// moved has the pods looked at that may fit somewhere now: on the node on which
// there is more room, if it is not nil, or because other pods are elsewhere. It is
// the scheduler's own goroutine that does: among thousands it takes long.
func (s *Scheduler) moved(n *node) {
	if len(s.queue.parked) == 0 || n == nil && s.queue.social == 0 {
		return
	}
	s.queue.moves++
	s.moves.elsewhere = s.queue.moves
	if n != nil {
		if s.moves.on == nil {
			s.moves.on = map[*node]uint64{}
		}
		s.moves.on[n] = s.queue.moves
	}
	s.queue.notify()
}

// lookAround looks at some of the pods that wait, and reports whether there are more
// to look at before it is decided who is next: else one that has just come could
// take the room from a more important one that has waited for it.
func (s *Scheduler) lookAround(now time.Time) (more bool) {
	r := &s.round
	if len(r.rest) == 0 {
		if s.moves.elsewhere == 0 {
			return false
		}
		r.moves, s.moves = s.moves, moves{}
		r.rest = slices.Collect(maps.Keys(s.queue.parked))
	}
	some := r.rest[:min(len(r.rest), glance)]
	r.rest = r.rest[len(some):]
	for _, e := range some {
		if s.queue.parked[e] {
			s.look(e, &r.moves, now)
		}
	}
	return len(r.rest) > 0
}

// look wakes a pod if something that has moved since it was tried may let it in.
func (s *Scheduler) look(e *entry, m *moves, now time.Time) {
	fits, mayPreempt := false, false
	var v *sieve
	for n, at := range m.on {
		if at <= e.seen || n.Node == nil {
			continue
		}
		if v == nil {
			v = newSieve(e.pod, s.cache)
		}
		fitsThere, mayPreemptThere := s.outlook(e, v, n)
		fits = fits || fitsThere
		if mayPreempt = mayPreemptThere; mayPreempt {
			break
		}
	}
	switch {
	case fits, mayPreempt:
		s.queue.wake(e, !mayPreempt, now)
	case e.social && m.elsewhere > e.seen:
		s.queue.wake(e, true, now.Add(gathering))
	}
}

// outlook reports whether a pod that fitted nowhere fits on a node now, or might if
// it took others off it.
func (s *Scheduler) outlook(e *entry, v *sieve, n *node) (fits, mayPreempt bool) {
	p := e.pod
	r := v.try(n)
	if r == nil {
		return true, false
	}
	if waitsFor := s.cache.nominated[p.UID]; waitsFor != nil {
		return false, waitsFor == n && s.cache.wasted(e, n, r)
	}
	never := p.Spec.PreemptionPolicy != nil && *p.Spec.PreemptionPolicy == corev1.PreemptNever
	return false, !r.final && !never && len(n.outranked(p)) > 0
}

// strand wakes the pods that wait for room on a node that has become worse, if
// it is of no use to them any more.
func (s *Scheduler) strand(n *node) {
	for _, p := range n.nominated {
		if e := s.queue.entries[controller.NameOf(p)]; e != nil && s.queue.parked[e] && s.cache.stranded(e) {
			s.queue.wake(e, false, s.options.Clock.Now())
		}
	}
}
