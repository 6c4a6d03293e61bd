package node

import "time"

// backoffPolicy is how long to wait before trying again what failed.
type backoffPolicy struct {
	// first is the wait after the second failure in a row, doubled up to max by each further one. The first failure is
	// tried again at once.
	first, max time.Duration
}

// reset is how long something must have worked for its failures to be forgotten: twice the longest wait, as in
// client-go's util/flowcontrol/backoff.go. For containers that is ten minutes.
func (p backoffPolicy) reset() time.Duration { return 2 * p.max }

// backoff is the wait that failures in a row have led to. The zero value stands for no failure.
type backoff struct {
	delay time.Duration
	// since is when the wait last grew.
	since time.Time
}

// until is the time to wait for after a failure at the given time, zero for not at all.
func (b backoff) until(p backoffPolicy, failed time.Time) time.Time {
	if b.delay == 0 || failed.Sub(b.since) > p.reset() {
		return time.Time{}
	}
	return failed.Add(b.delay)
}

// next is the backoff after one more failure at the given time, whose retry begins now.
func (b backoff) next(p backoffPolicy, failed, now time.Time) backoff {
	if b.delay == 0 || failed.Sub(b.since) > p.reset() {
		return backoff{delay: p.first, since: now}
	}
	return backoff{delay: min(2*b.delay, p.max), since: now}
}
