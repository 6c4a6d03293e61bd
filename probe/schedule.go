package probe

import "time"

// schedule knows which check is due when, and turns answers into verdicts. It starts nothing, does
// not look at a clock and is not safe for concurrent use: the Pool brings all three.
type schedule struct {
	epoch   time.Time
	entries map[Key]*entry
	lanes   [laneCount]lane
	build   func(*Container, Kind) (asker, laneName)
}

// entry is a container and its checks.
type entry struct {
	Container
	checks [kinds]*check // nil where nothing is asked
	// open says that liveness and readiness are asked; openedAt is when a startup probe let them,
	// zero if none had to.
	open     bool
	openedAt time.Time
}

func newSchedule(epoch time.Time, limits [laneCount]Limit, build func(*Container, Kind) (asker, laneName)) *schedule {
	s := &schedule{epoch: epoch, entries: map[Key]*entry{}, build: build}
	for i := range limits {
		s.lanes[i] = newLane(limits[i])
	}
	return s
}

// set makes the container's checks those of c: kinds asked already keep their beat and their
// verdict, new ones begin, and kinds that are gone end.
func (s *schedule) set(c Container, now time.Time) {
	e, known := s.entries[c.Key]
	if !known {
		e = &entry{Container: c}
		s.entries[c.Key] = e
	}
	for k := range Kind(kinds) {
		switch has, want := e.checks[k] != nil, c.probe(k) != nil; {
		case has && !want:
			s.drop(e, k)
		case want && !has:
			s.add(e, k, &c)
		}
	}
	if known {
		s.open(e, now)
	} else {
		e.open = e.state().Started()
	}
	s.begin(e, now)
}

// open lets liveness and readiness begin once the container has started.
func (s *schedule) open(e *entry, now time.Time) {
	if !e.open && e.state().Started() {
		e.open, e.openedAt = true, now
	}
}

// begin gives the checks that have become askable their first time to ask.
func (s *schedule) begin(e *entry, now time.Time) {
	for k, c := range e.checks {
		if c != nil && c.due.IsZero() && e.mayAsk(Kind(k)) {
			c.begin(now)
			s.lanes[c.lane].wait(c)
		}
	}
}

// add gives an entry a check that is not yet due at any time.
func (s *schedule) add(e *entry, k Kind, c *Container) {
	ask, name := s.build(c, k)
	check := newCheck(e, k, c.probe(k), ask, name)
	if k == Startup && c.Started || k == Readiness && c.Ready {
		check.verdict = Success
	}
	e.checks[k] = check
}

// mayAsk reports whether a check of the kind has anything to ask: startup until it is decided, the
// others from then on.
func (e *entry) mayAsk(k Kind) bool {
	if k == Startup {
		return !e.open
	}
	return e.open
}

// remove ends all checks of a container.
func (s *schedule) remove(key Key) {
	e, ok := s.entries[key]
	if !ok {
		return
	}
	for k, check := range e.checks {
		if check != nil {
			s.drop(e, Kind(k))
		}
	}
	delete(s.entries, key)
}

// drop ends a check, in flight or not.
func (s *schedule) drop(e *entry, k Kind) {
	c := e.checks[k]
	e.checks[k] = nil
	c.dropped = true
	s.lanes[c.lane].forget(c)
	if c.cancel != nil {
		c.cancel()
	}
}

// state is what has been decided about a container.
func (e *entry) state() State {
	verdict := func(k Kind) Outcome {
		if c := e.checks[k]; c != nil {
			return c.verdict
		}
		return Success
	}
	s := State{Startup: verdict(Startup), Liveness: verdict(Liveness), Readiness: verdict(Readiness)}
	if !s.Started() {
		s.Readiness = Failure
	}
	return s
}

// take returns the next check to ask now, nil if there is none. The caller owes it answer and
// again.
func (s *schedule) take(now time.Time) *check {
	for i := range s.lanes {
		if c := s.lanes[i].take(now); c != nil {
			return c
		}
	}
	return nil
}

// wake is when take may next find something to ask; zero if only an answer or a set can change
// that.
func (s *schedule) wake(now time.Time) time.Time {
	var first time.Time
	for i := range s.lanes {
		if t := s.lanes[i].wake(now); !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

// answer takes a check out of flight and counts its answer. It returns false if nobody wants to
// know any more.
func (s *schedule) answer(c *check, a answer, now time.Time) (Result, bool) {
	s.lanes[c.lane].leave(c)
	c.cancel = nil
	if c.dropped {
		return Result{}, false
	}
	changed := a.err == nil && c.record(a.outcome, c.asked)
	return Result{
		Key: c.of.Key, Kind: c.kind,
		Outcome: a.outcome, Message: a.message, Err: a.err,
		At: c.asked, Latency: now.Sub(c.asked),
		Verdict: c.verdict, Changed: changed,
	}, true
}

// again gives a check that has been answered its next turn. A startup check that is settled makes
// way for the others.
func (s *schedule) again(c *check, now time.Time) {
	switch {
	case c.dropped:
	case c.settled():
		s.open(c.of, now)
		s.begin(c.of, now)
	default:
		c.next(now, s.epoch)
		s.lanes[c.lane].wait(c)
	}
}
