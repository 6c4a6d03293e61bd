package probe

import (
	"container/heap"
	"container/list"
	"time"
)

// laneName says which lane a check runs in.
type laneName uint8

const (
	// network probes cost the daemon a fraction of a millisecond of CPU.
	network laneName = iota
	// execs cost the engine some 25 times as much.
	execs

	laneCount = 2
)

// Limit bounds the probes that are asked at the same time.
type Limit struct {
	// Slots is how many may be young: a burst of due probes is worked off so many at a time, so
	// that the load it makes does not itself run their timeouts out.
	Slots int
	// Patience is how long a probe counts as young. An older one waits for its container and no
	// longer for this machine, and gives its slot away: hanging containers don't hold up the
	// others.
	Patience time.Duration
	// Max is how many may be asked at the same time, young and old.
	Max int
}

// lane holds the checks that share a limit: those waiting for their time and those in flight.
type lane struct {
	limit    Limit
	waiting  dueHeap
	young    *list.List // of *check, oldest first
	inFlight int
}

func newLane(l Limit) lane { return lane{limit: l, young: list.New()} }

// take returns the next check to ask now and counts it as in flight; nil if none is due or the lane
// is full.
func (l *lane) take(now time.Time) *check {
	if len(l.waiting) == 0 || l.waiting[0].due.After(now) || !l.room(now) {
		return nil
	}
	c := heap.Pop(&l.waiting).(*check)
	c.asked = now
	c.slot = l.young.PushBack(c)
	l.inFlight++
	return c
}

// room reports whether one more may be asked, and makes room by taking the slot of the oldest one
// if its time is up.
func (l *lane) room(now time.Time) bool {
	if l.inFlight >= l.limit.Max {
		return false
	}
	if l.young.Len() < l.limit.Slots {
		return true
	}
	oldest := l.young.Front().Value.(*check)
	if now.Before(oldest.asked.Add(l.limit.Patience)) {
		return false
	}
	l.vacate(oldest)
	return true
}

// vacate takes away the check's slot, if it still has one.
func (l *lane) vacate(c *check) {
	if c.slot != nil {
		l.young.Remove(c.slot)
		c.slot = nil
	}
}

// leave counts a check as no longer in flight.
func (l *lane) leave(c *check) {
	l.vacate(c)
	l.inFlight--
}

// wait puts a check among those that wait for their time.
func (l *lane) wait(c *check) { heap.Push(&l.waiting, c) }

// forget takes a check out again if it waits.
func (l *lane) forget(c *check) {
	if c.heapIndex >= 0 {
		heap.Remove(&l.waiting, c.heapIndex)
	}
}

// wake is when take may next find something; zero if only an answer can change that. It is called
// when take has just returned nil.
func (l *lane) wake(now time.Time) time.Time {
	if len(l.waiting) == 0 || l.inFlight >= l.limit.Max {
		return time.Time{}
	}
	due := l.waiting[0].due
	if due.After(now) || l.young.Len() < l.limit.Slots {
		return due
	}
	return l.young.Front().Value.(*check).asked.Add(l.limit.Patience)
}

// dueHeap orders checks by the time they are due (container/heap).
type dueHeap []*check

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heapIndex, h[j].heapIndex = i, j
}

func (h *dueHeap) Push(x any) {
	c := x.(*check)
	c.heapIndex = len(*h)
	*h = append(*h, c)
}

func (h *dueHeap) Pop() any {
	old := *h
	n := len(old) - 1
	c := old[n]
	old[n] = nil
	c.heapIndex = -1
	*h = old[:n]
	return c
}
