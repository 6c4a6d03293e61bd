package custom

import (
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// Lazy is something that is made of a definition when it is first asked for, and let go when nobody
// has asked for a while. Who has got it may keep it as long as a request takes.
type Lazy[T any] struct {
	make  func() (T, error)
	clock clock.PassiveClock

	mu    sync.Mutex
	made  bool
	value T
	err   error
	used  time.Time
}

type releaser interface{ release(since time.Time) }

// Keep returns something that is made by a function, and let go by the definition's ReleaseUnused.
func Keep[T any](d *Definition, make func() (T, error)) *Lazy[T] {
	l := &Lazy[T]{make: make, clock: d.options.Clock}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.kept = append(d.kept, l)
	return l
}

// Get returns what is made, or why it can not be. Those who ask while it is being made wait for it.
func (l *Lazy[T]) Get() (T, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.made {
		l.value, l.err = l.make()
		l.made = true
	}
	l.used = l.clock.Now()
	return l.value, l.err
}

// release lets go of what was not used since a time. What is being made stays.
func (l *Lazy[T]) release(since time.Time) {
	if !l.mu.TryLock() {
		return
	}
	defer l.mu.Unlock()
	if l.made && l.used.Before(since) {
		var none T
		l.value, l.err, l.made = none, nil, false
	}
}
