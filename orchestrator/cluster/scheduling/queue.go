package scheduling

import (
	"container/heap"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	schedulinghelper "k8s.io/component-helpers/scheduling/corev1"

	"skiff/orchestrator/controller"
)

// A pod that was tried more than once in vain rests before it is tried again,
// twice as long each time (upstream's podInitialBackoffSeconds and
// podMaxBackoffSeconds). After the first try it does not: what then lets it in
// is mostly what it has waited for.
const (
	firstPause = time.Second
	longPause  = 10 * time.Second
)

// A pod that waits is tried anew after patience even if nothing has changed, so
// that what it says of itself is not much older (upstream's
// podMaxInUnschedulablePodsDuration). Who has waited that long is looked up once
// in sweepPause.
const (
	patience   = 5 * time.Minute
	sweepPause = time.Minute
)

// queue holds the pods that have no node: those to try, the most important
// first and then in the order in which they came; those that rest until a time;
// and those that wait for something to change. It is guarded by its owner's lock.
type queue struct {
	entries map[types.NamespacedName]*entry
	ready   line
	resting line
	// parked are those that wait, and those whose last try is still being written
	// down.
	parked map[*entry]bool
	social int // how many of them other pods keep out
	// news is sent to when there may be something to do.
	news chan struct{}
	came uint64
	// moves is how many times something has happened that may let pods in.
	moves uint64
	// swept is when was last looked for those that have waited for long.
	swept time.Time
}

// entry is a pod in the queue.
type entry struct {
	name     types.NamespacedName
	uid      types.UID
	priority int32
	came     uint64
	in       *line // nil while it waits or is worked on
	at       int

	tries int
	last  time.Time // of the last try
	due   time.Time // while it rests
	busy  bool      // worked on
	again bool      // something has changed meanwhile
	// pod is what was tried last, nil before.
	pod *pod
	// social: where other pods are is part of why it fits nowhere.
	social bool
	// seen is the last move that had happened when it was tried.
	seen uint64
	// hint: something has changed that may let it in. If it has not after all, or
	// another was faster, that was no try.
	hint bool
	// victims are the pods that are to make room for it.
	victims []types.UID
	// complaint is what last went wrong while something was written for it.
	complaint string
}

func newQueue() *queue {
	return &queue{
		entries: map[types.NamespacedName]*entry{}, parked: map[*entry]bool{}, news: make(chan struct{}, 1),
		ready: line{before: func(a, b *entry) bool {
			return a.priority > b.priority || a.priority == b.priority && a.came < b.came
		}},
		resting: line{before: func(a, b *entry) bool { return a.due.Before(b.due) }},
	}
}

// put has a pod tried at once that is new or was changed.
func (q *queue) put(p *corev1.Pod) {
	name := controller.NameOf(p)
	e := q.entries[name]
	if e == nil || e.uid != p.UID {
		q.drop(name)
		q.came++
		e = &entry{name: name, uid: p.UID, came: q.came}
		q.entries[name] = e
	}
	q.leave(e)
	e.priority, e.hint = schedulinghelper.PodPriority(p), false
	if e.busy {
		e.again = true
		return
	}
	q.enter(&q.ready, e)
}

// drop forgets a pod.
func (q *queue) drop(name types.NamespacedName) {
	if e := q.entries[name]; e != nil {
		q.leave(e)
		q.unpark(e)
		delete(q.entries, name)
	}
}

// next is the pod to work on, or, when there is none, when there will be one;
// zero is not before something changes.
func (q *queue) next(now time.Time) (*entry, time.Time) {
	q.sweep(now)
	for len(q.resting.entries) > 0 && !q.resting.entries[0].due.After(now) {
		e := q.resting.entries[0]
		q.leave(e)
		q.enter(&q.ready, e)
	}
	if len(q.ready.entries) > 0 {
		e := q.ready.entries[0]
		q.leave(e)
		e.busy, e.again = true, false
		return e, time.Time{}
	}
	var due time.Time
	if len(q.parked) > 0 {
		due = q.swept.Add(sweepPause)
	}
	if len(q.resting.entries) > 0 && (due.IsZero() || q.resting.entries[0].due.Before(due)) {
		due = q.resting.entries[0].due
	}
	return nil, due
}

// sweep wakes the pods that have waited for long. Their tries count from anew.
func (q *queue) sweep(now time.Time) {
	if now.Sub(q.swept) < sweepPause {
		return
	}
	q.swept = now
	for e := range q.parked {
		if !e.busy && now.Sub(e.last) >= patience {
			e.tries = 0
			q.wake(e, false, now)
		}
	}
}

// failed notes that a pod that is being worked on fits nowhere.
func (q *queue) failed(e *entry, p *pod, social bool, now time.Time) {
	e.tries++
	e.last, e.pod, e.seen = now, p, q.moves
	q.unpark(e)
	e.social = social
	q.park(e)
}

// done ends the work on a pod. It waits then, unless something has changed.
func (q *queue) done(e *entry) {
	e.busy = false
	if q.entries[e.name] != e {
		return
	}
	q.park(e)
	if e.again {
		q.wake(e, e.hint, e.last)
	}
}

// retry ends the work on a pod for which something could not be written.
func (q *queue) retry(e *entry, now time.Time) {
	e.busy, e.hint = false, false
	if q.entries[e.name] == e {
		e.tries++
		e.due = now.Add(max(e.pause(), firstPause))
		q.enter(&q.resting, e)
	}
}

// wake has a pod that waits tried again, not before a time and when it has
// rested. It is a hint if nothing is sure to have changed for the pod.
func (q *queue) wake(e *entry, hint bool, earliest time.Time) {
	if e.busy {
		e.hint = hint && (e.hint || !e.again)
		e.again = true
		return
	}
	e.hint = hint
	e.due = e.last.Add(e.pause())
	if e.due.Before(earliest) {
		e.due = earliest
	}
	q.enter(&q.resting, e)
}

func (e *entry) pause() time.Duration {
	if e.tries <= 1 {
		return 0
	}
	return min(firstPause<<min(e.tries-2, 10), longPause)
}

func (q *queue) park(e *entry) {
	if !q.parked[e] {
		q.parked[e] = true
		if e.social {
			q.social++
		}
	}
}

func (q *queue) unpark(e *entry) {
	if q.parked[e] {
		delete(q.parked, e)
		if e.social {
			q.social--
		}
	}
}

func (q *queue) enter(l *line, e *entry) {
	q.unpark(e)
	e.in = l
	heap.Push(l, e)
	q.notify()
}

// notify tells that there may be something to do.
func (q *queue) notify() {
	select {
	case q.news <- struct{}{}:
	default:
	}
}

func (q *queue) leave(e *entry) {
	if e.in != nil {
		heap.Remove(e.in, e.at)
		e.in = nil
	}
}

// line is a heap of pods.
type line struct {
	entries []*entry
	before  func(a, b *entry) bool
}

func (l *line) Len() int           { return len(l.entries) }
func (l *line) Less(i, j int) bool { return l.before(l.entries[i], l.entries[j]) }
func (l *line) Swap(i, j int) {
	l.entries[i], l.entries[j] = l.entries[j], l.entries[i]
	l.entries[i].at, l.entries[j].at = i, j
}

func (l *line) Push(x any) {
	e := x.(*entry)
	e.at = len(l.entries)
	l.entries = append(l.entries, e)
}

func (l *line) Pop() any {
	last := len(l.entries) - 1
	e := l.entries[last]
	l.entries[last] = nil
	l.entries = l.entries[:last]
	return e
}
