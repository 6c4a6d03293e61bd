package node

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"skiff/docker"
)

// verb is what a step does.
type verb string

const (
	doStartSandbox verb = "start sandbox"
	doStart        verb = "start container"
	doKill         verb = "kill container"
	doCancel       verb = "cancel the start of container"
	doLook         verb = "look for image"
	doPull         verb = "pull image"
	doFail         verb = "refuse container"
	doRemove       verb = "remove container"
	doWait         verb = "wait"
	doHold         verb = "hold"
	doRewrite      verb = "rewrite volumes"
	doRelease      verb = "release address"
	doDelete       verb = "delete pod"
	doForget       verb = "forget pod"
)

// step is one thing to do for a pod, and why.
type step struct {
	do        verb
	container string
	image     string
	// attempt is the run's number, id its container on the engine.
	attempt int
	id      string
	// existing says that the run's container has been created already.
	existing bool
	// grace is the time between SIGTERM and SIGKILL, 0 for SIGKILL at once.
	grace time.Duration
	// wait is how long nothing needs doing.
	wait time.Duration
	// cause is why. Events and logs tell the same.
	cause string
	// stopped marks the run that a kill ends, and message is the kill's event; empty means kubelet's usual one.
	stopped, message string
	// failure is why a container is refused, and events are what is told of it.
	failure failure
	events  []event
}

// event is something to be told about a container.
type event struct{ kind, reason, message string }

// String is the step as a person reads it; it is the same for the same step.
func (s step) String() string {
	var b strings.Builder
	b.WriteString(string(s.do))
	switch s.do {
	case doStartSandbox:
		fmt.Fprintf(&b, " attempt %d", s.attempt)
	case doStart, doRemove:
		fmt.Fprintf(&b, " %s attempt %d", s.container, s.attempt)
	case doKill:
		fmt.Fprintf(&b, " %s grace %s", s.container, s.grace)
	case doCancel:
		b.WriteString(" " + s.container)
	case doFail:
		fmt.Fprintf(&b, " %s %s", s.container, s.failure.reason)
	case doLook, doPull:
		b.WriteString(" " + s.image)
	case doWait:
		b.WriteString(" " + s.wait.String())
	}
	if s.existing {
		b.WriteString(" again")
	}
	return b.String() + ": " + s.cause
}

// plan is what a pod needs now, in order.
type plan []step

// String is the plan, a step a line.
func (p plan) String() string {
	lines := make([]string, len(p))
	for i, s := range p {
		lines[i] = s.String()
	}
	return strings.Join(lines, "\n")
}

// wake is how long the plan holds if nothing happens, 0 for ever.
func (p plan) wake() time.Duration {
	var wake time.Duration
	for _, s := range p {
		if s.do == doWait && (wake == 0 || s.wait < wake) {
			wake = s.wait
		}
	}
	return wake
}

// makePlan decides what a pod needs. It depends on nothing but the view.
func makePlan(v *view) plan {
	p := &planner{view: v}
	switch {
	case v.engineGone != "":
		// All pods are looked at again when it is back.
		p.others = plan{{do: doHold, cause: "the engine is gone: " + v.engineGone}}
	case v.pod == nil:
		p.gone()
	case v.pod.DeletionTimestamp != nil:
		p.terminate()
	case isTerminal(v.pod.Status.Phase):
		p.end("the pod has ended")
	case v.pastDeadline():
		p.end(deadlineCause)
	case v.refused != nil:
		p.end("the node does not take the pod: " + v.refused.reason)
	default:
		p.run()
	}
	return p.sorted()
}

// planner collects the steps of a plan.
type planner struct {
	*view
	kills, starts, others, removes, waits plan
	// busyStarting says that a container is being started, or that a step does so.
	busyStarting bool
}

// sorted puts first what is urgent: containers that must die, then those that must live.
func (p *planner) sorted() plan {
	var all plan
	for _, part := range []plan{p.kills, p.starts, p.others, p.waits, p.removes} {
		all = append(all, part...)
	}
	return all
}

func (p *planner) waitUntil(t time.Time, cause string) {
	p.waits = append(p.waits, step{do: doWait, wait: t.Sub(p.now), cause: cause})
}

// kill ends a run, unless that is under way and will be over as soon. A run whose start is not over yet is left to
// cancelStarts.
func (p *planner) kill(a *attempt, grace time.Duration, s step) {
	name := a.nameOf()
	if w, ok := p.works[name]; ok {
		sooner := w.task == taskStop && w.attempt == a.number && grace < w.grace && w.deadline.After(p.now.Add(grace))
		if !sooner {
			return
		}
	}
	// One run of a container at a time: its works bear its name.
	if slices.ContainsFunc(p.kills, func(k step) bool { return k.do == doKill && k.container == name }) {
		return
	}
	s.do, s.container, s.attempt, s.id, s.grace = doKill, name, a.number, a.ID, grace
	p.kills = append(p.kills, s)
}

// cancelStarts gives up what may keep a pod from ending for long: pulls and postStart hooks. A create or start in
// progress is soon over, and is waited for.
func (p *planner) cancelStarts(cause string) {
	for _, name := range slices.Sorted(maps.Keys(p.works)) {
		if t := p.works[name].task; t == taskPull || t == taskHook {
			p.kills = append(p.kills, step{do: doCancel, container: name, cause: cause})
		}
	}
}

func (p *planner) remove(a *attempt, cause string) {
	if p.busy(a.ID) || a.State == docker.Removing {
		return
	}
	p.removes = append(p.removes, step{do: doRemove, container: a.nameOf(), attempt: a.number, id: a.ID, cause: cause})
}
