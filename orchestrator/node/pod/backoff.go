package pod

import (
	"time"
)

// BackoffPolicy is how long to wait before something that failed is retried.
type BackoffPolicy struct {
	// First is the wait after the second failure in a row; each further failure doubles it, up to
	// Max. After the first failure there is no wait.
	First, Max time.Duration
}

// reset is how long something must have worked for its failures to be forgotten: twice the longest
// wait, as in client-go's util/flowcontrol/backoff.go. For containers that is ten minutes.
func (p BackoffPolicy) reset() time.Duration { return 2 * p.Max }

// Backoff is the wait after failures in a row. The zero value stands for no failure.
type Backoff struct {
	Delay time.Duration
	// Since is when the wait last grew.
	Since time.Time
}

// until is when to retry after a failure at the given time, zero if at once.
func (b Backoff) until(p BackoffPolicy, failed time.Time) time.Time {
	if b.Delay == 0 || failed.Sub(b.Since) > p.reset() {
		return time.Time{}
	}
	return failed.Add(b.Delay)
}

// Next is the back-off after one more failure at the given time, which is retried now.
func (b Backoff) Next(p BackoffPolicy, failed, now time.Time) Backoff {
	if b.Delay == 0 || failed.Sub(b.Since) > p.reset() {
		return Backoff{Delay: p.First, Since: now}
	}
	return Backoff{Delay: min(2*b.Delay, p.Max), Since: now}
}
