package fairness

import (
	"context"
	"slices"
	"sync"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/utils/ptr"
)

// limiter counts the requests of each priority level that are being answered, and makes further ones
// wait. A level that nobody uses takes no memory.
type limiter struct {
	// total is how many requests are answered at a time by all levels together. Each has its share of
	// them, and lends none of it.
	total int

	mu     sync.Mutex
	levels map[string]*level
}

// level is the use of one priority level.
type level struct {
	seats, taken int
	// waiting are requests by flow, the oldest first, and turns the flows in the order in which they
	// are answered. size is how many requests wait.
	waiting map[string][]chan struct{}
	turns   []string
	size    int
}

func newLimiter(total int) *limiter { return &limiter{total: total, levels: map[string]*level{}} }

// seatsOf is how many requests a level answers at a time: its part of all, in proportion to the
// shares, and at least one.
func (l *limiter) seatsOf(of *flowcontrolv1.PriorityLevelConfiguration, all []*flowcontrolv1.PriorityLevelConfiguration) int {
	var sum int
	for _, other := range all {
		sum += shares(other)
	}
	if sum == 0 {
		return max(l.total, 1)
	}
	return max((l.total*shares(of)+sum-1)/sum, 1)
}

func shares(of *flowcontrolv1.PriorityLevelConfiguration) int {
	switch {
	case of.Spec.Limited != nil:
		return int(ptr.Deref(of.Spec.Limited.NominalConcurrencyShares, 0))
	case of.Spec.Exempt != nil:
		return int(ptr.Deref(of.Spec.Exempt.NominalConcurrencyShares, 0))
	}
	return 0
}

// enter returns when a request may be answered, and gives what is to be called when it has been. It
// reports false for a request that is refused: there are too many.
func (l *limiter) enter(ctx context.Context, c class, all []*flowcontrolv1.PriorityLevelConfiguration) (leave func(), ok bool) {
	limited := c.level.Spec.Limited
	if c.level.Spec.Type == flowcontrolv1.PriorityLevelEnablementExempt || limited == nil {
		return func() {}, true
	}
	leave = func() { l.leave(c.level.Name) }
	turn := l.take(c, l.seatsOf(c.level, all), limited.LimitResponse.Queuing)
	if turn == nil {
		return nil, false
	}
	select {
	case <-turn:
		return leave, true
	case <-ctx.Done():
	}
	if l.giveUp(c, turn) {
		return nil, false
	}
	return leave, true // its turn came at the same moment
}

// take takes a seat, or waits for one; queuing says how many may. It returns what is closed when the
// request has its seat, nil if too many wait.
func (l *limiter) take(c class, seats int, queuing *flowcontrolv1.QueuingConfiguration) chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.levels[c.level.Name]
	if of == nil {
		of = &level{waiting: map[string][]chan struct{}{}}
		l.levels[c.level.Name] = of
	}
	of.seats = seats
	turn := make(chan struct{})
	if of.taken < of.seats && of.size == 0 {
		of.taken++
		close(turn)
		return turn
	}
	if queuing == nil || of.size >= room(queuing.Queues, queuing) || len(of.waiting[c.flow]) >= room(queuing.HandSize, queuing) {
		return nil
	}
	if len(of.waiting[c.flow]) == 0 {
		of.turns = append(of.turns, c.flow)
	}
	of.waiting[c.flow] = append(of.waiting[c.flow], turn)
	of.size++
	return turn
}

// room is how many requests may wait in so many queues.
func room(queues int32, q *flowcontrolv1.QueuingConfiguration) int {
	return int(queues) * int(q.QueueLengthLimit)
}

// giveUp removes a request that waits no longer. It reports false if the request has its seat already.
func (l *limiter) giveUp(c class, turn chan struct{}) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.levels[c.level.Name]
	if of == nil {
		return false
	}
	at := slices.Index(of.waiting[c.flow], turn)
	if at < 0 {
		return false
	}
	of.size--
	if rest := slices.Delete(of.waiting[c.flow], at, at+1); len(rest) > 0 {
		of.waiting[c.flow] = rest
	} else {
		delete(of.waiting, c.flow)
		of.turns = slices.DeleteFunc(of.turns, func(flow string) bool { return flow == c.flow })
	}
	return true
}

// leave gives a seat back, to the flow whose turn it is.
func (l *limiter) leave(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.levels[name]
	of.taken--
	for of.size > 0 && of.taken < of.seats {
		of.next()
	}
	if of.taken == 0 && of.size == 0 {
		delete(l.levels, name)
	}
}

// next gives a seat to the oldest request of the flow whose turn it is, and puts that flow at the end.
func (of *level) next() {
	flow := of.turns[0]
	of.turns = of.turns[1:]
	first := of.waiting[flow][0]
	if rest := of.waiting[flow][1:]; len(rest) > 0 {
		of.waiting[flow] = rest
		of.turns = append(of.turns, flow)
	} else {
		delete(of.waiting, flow)
	}
	of.size--
	of.taken++
	close(first)
}
