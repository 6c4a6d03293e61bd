package probe

import (
	"container/list"
	"context"
	"hash/fnv"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// check is one probe of one container: when it is due and what it has said so far. The schedule's
// owner guards it.
type check struct {
	of   *entry
	kind Kind
	ask  asker
	lane laneName

	delay, period, timeout time.Duration
	successes, failures    int

	// due is the next time to ask; heapIndex is the place in the lane's heap, -1 when not waiting
	// there.
	due       time.Time
	heapIndex int

	// asked is when the probe in flight began, cancel ends it, slot is its place among the lane's
	// young probes.
	asked  time.Time
	cancel context.CancelFunc
	slot   *list.Element

	// dropped says that nobody wants to know any more.
	dropped bool

	verdict Outcome
	// last is the outcome of the last run of equal answers, streak the run's length.
	last   Outcome
	streak int
}

// newCheck returns the check for a container's probe of a kind, in its initial state.
func newCheck(of *entry, kind Kind, p *corev1.Probe, ask asker, name laneName) *check {
	c := &check{
		of: of, kind: kind, ask: ask, lane: name, heapIndex: -1,
		delay:     time.Duration(p.InitialDelaySeconds) * time.Second,
		period:    time.Duration(orDefault(p.PeriodSeconds, 10)) * time.Second,
		timeout:   time.Duration(orDefault(p.TimeoutSeconds, 1)) * time.Second,
		successes: int(orDefault(p.SuccessThreshold, 1)),
		failures:  int(orDefault(p.FailureThreshold, 3)),
	}
	c.verdict = [kinds]Outcome{Startup: Unknown, Liveness: Success, Readiness: Failure}[kind]
	return c
}

// orDefault guards against probes whose defaults (pkg/apis/core/v1/defaults.go) were never applied:
// a period of zero would ask without pause.
func orDefault(v, standard int32) int32 {
	if v > 0 {
		return v
	}
	return standard
}

// first is when a fresh container is asked for the first time: after the initial delay, once it has
// started. Liveness also waits for a period to pass. Kubelet's liveness ticker starts with the pod,
// before its containers, so that a container without an initial delay has nearly failureThreshold
// periods to come up; asking at once would take one of them away.
func (c *check) first() time.Time {
	wait := c.delay
	if c.kind == Liveness {
		wait = max(wait, c.period)
	}
	return later(c.of.StartedAt.Add(wait), c.of.openedAt)
}

// begin sets the first time to ask. A container that should long have been asked was taken over
// from an earlier daemon, together with many others: those are spread over a period.
func (c *check) begin(now time.Time) {
	wait := c.first().Sub(now)
	if wait < -c.period {
		wait = c.offset()
	}
	c.due = now.Add(max(wait, 0)) // counted from now, so that due follows the monotonic clock
}

// next sets the time to ask again, a period after the last time and on a tick. What a slow answer
// made it miss is skipped.
func (c *check) next(now, epoch time.Time) {
	missed := max(now.Sub(c.due)-1, 0) / c.period
	c.due = onTick(c.due.Add((missed+1)*c.period), epoch)
}

// tick is the grid of times, counted from an epoch, on which checks are asked after their first
// time. Waking a sleeping processor costs more than a probe: of 50 a second, those that come
// together cost half of those that come one by one.
const tick = 250 * time.Millisecond

// onTick is t, or the next tick after it.
func onTick(t, epoch time.Time) time.Time {
	return t.Add((tick - t.Sub(epoch)%tick) % tick)
}

// offset is the check's own share of its period, always the same for the same key.
func (c *check) offset() time.Duration {
	h := fnv.New64a()
	for _, s := range []string{c.of.Key.Pod, c.of.Key.Container, c.of.Key.ID, c.kind.String()} {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	return time.Duration(h.Sum64() % uint64(c.period))
}

// record counts an answer and returns whether it changed the verdict.
func (c *check) record(o Outcome, asked time.Time) bool {
	if o == Warning {
		o = Success
	}
	if o == Failure && c.early(asked) {
		return false
	}
	if c.last != o {
		c.last, c.streak = o, 0
	}
	c.streak++
	if c.streak < c.threshold(o) || c.verdict == o {
		return false
	}
	c.verdict = o
	return true
}

// threshold is how many equal answers in a row decide.
func (c *check) threshold(o Outcome) int {
	if o == Success {
		return c.successes
	}
	return c.failures
}

// early reports whether a failure comes too soon to count. A startup probe is asked at once, so
// that a quick container is up at once, but it has failureThreshold whole periods to succeed, as
// its documentation promises.
func (c *check) early(asked time.Time) bool {
	return c.kind == Startup && asked.Before(c.of.StartedAt.Add(c.period))
}

// settled reports whether the question is answered for good: whether the container has started, or
// that it must die. A container that is being killed is left alone, as upstream does since
// https://issue.k8s.io/21751.
func (c *check) settled() bool {
	return c.kind == Startup && c.verdict != Unknown || c.kind == Liveness && c.verdict == Failure
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
