package node

import "time"

// The phases of a container's start, as skiff_start_seconds shows them: from the moment the agent
// first sees the pod to the start of its sandbox or container, pulls included; address, volumes and
// environment; the engine's create; its start, with the wait for a free place among the starts; and
// from there until the pod's status says so.
const (
	phasePlan    = "plan"
	phasePrepare = "prepare"
	phaseCreate  = "create"
	phaseStart   = "start"
	phaseReport  = "report"
)

// stopwatch measures the phases of one start, which follow one another.
type stopwatch struct {
	agent *Agent
	since time.Time
}

// beginStart begins to measure a start of the pod's sandbox or of one of its containers.
func (a *Agent) beginStart(r *record) *stopwatch {
	now := a.Clock.Now()
	if took, first := r.firstStart(now); first {
		a.Metrics.StartPhase(phasePlan, took)
	}
	return &stopwatch{agent: a, since: now}
}

// lap ends a phase; the next begins.
func (w *stopwatch) lap(phase string) {
	now := w.agent.Clock.Now()
	w.agent.Metrics.StartPhase(phase, now.Sub(w.since))
	w.since = now
}

// firstSeen records when the agent first saw a pod that nothing has been done for yet.
func (r *record) firstSeen(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen.IsZero() && !r.startBegun && len(r.attempts) == 0 {
		r.seen = now
	}
}

// firstStart returns how long ago the agent first saw the pod, once in the record's life.
func (r *record) firstStart(now time.Time) (took time.Duration, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen.IsZero() || r.startBegun {
		return 0, false
	}
	r.startBegun = true
	return now.Sub(r.seen), true
}

// reported returns how long a start has waited until the status told of it, if one did.
func (r *record) reported(now time.Time) (took time.Duration, waited bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.unreported.IsZero() {
		return 0, false
	}
	took = now.Sub(r.unreported)
	r.unreported = time.Time{}
	return took, true
}
