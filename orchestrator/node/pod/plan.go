package pod

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"skiff/docker"
	"skiff/manifests/podfacts"
)

// Verb is what a step does.
type Verb string

// The verbs of steps.
const (
	DoStartSandbox Verb = "start sandbox"
	DoStart        Verb = "start container"
	DoKill         Verb = "kill container"
	DoCancel       Verb = "cancel the start of container"
	DoLook         Verb = "look for image"
	DoPull         Verb = "pull image"
	DoRefuse       Verb = "refuse container"
	DoResize       Verb = "resize container"
	DoRemove       Verb = "remove container"
	DoWait         Verb = "wait"
	doHold         Verb = "hold"
	DoRewrite      Verb = "rewrite volumes"
	DoRelease      Verb = "release address"
	DoDelete       Verb = "delete pod"
	DoForget       Verb = "forget pod"
)

// Step is one thing to do for a pod, and why.
type Step struct {
	Do        Verb
	Container string
	Image     string
	// Attempt is the attempt's number, and ID is its container on the engine.
	Attempt int
	ID      string
	// Existing says that the container has been created already.
	Existing bool
	// Grace is the time between SIGTERM and SIGKILL, 0 for SIGKILL at once.
	Grace time.Duration
	// wait is how long the pod needs nothing.
	wait time.Duration
	// cause is why. Events and logs say the same.
	cause string
	// StopCause is recorded with the attempt that a kill ends, and Message is the kill's event; if
	// it is empty, the event is kubelet's usual one.
	StopCause, Message string
	// StartFailure is why a container is not started, and Events are the events of that.
	StartFailure StartFailure
	Events       []Event
}

// Event is an event about a container.
type Event struct{ Type, Reason, Message string }

// String is the step in words. Equal steps have equal strings.
func (s Step) String() string {
	var b strings.Builder
	b.WriteString(string(s.Do))
	switch s.Do {
	case DoStartSandbox:
		fmt.Fprintf(&b, " attempt %d", s.Attempt)
	case DoStart, DoRemove, DoResize:
		fmt.Fprintf(&b, " %s attempt %d", s.Container, s.Attempt)
	case DoKill:
		fmt.Fprintf(&b, " %s grace %s", s.Container, s.Grace)
	case DoCancel:
		b.WriteString(" " + s.Container)
	case DoRefuse:
		fmt.Fprintf(&b, " %s %s", s.Container, s.StartFailure.Reason)
	case DoLook, DoPull:
		b.WriteString(" " + s.Image)
	case DoWait:
		b.WriteString(" " + s.wait.String())
	}
	if s.Existing {
		b.WriteString(" again")
	}
	return b.String() + ": " + s.cause
}

// Plan is what a pod needs now, in order.
type Plan []Step

// String is the plan, one step per line.
func (p Plan) String() string {
	lines := make([]string, len(p))
	for i, s := range p {
		lines[i] = s.String()
	}
	return strings.Join(lines, "\n")
}

// Wake is how long the plan is valid if nothing happens, 0 for ever.
func (p Plan) Wake() time.Duration {
	var wake time.Duration
	for _, s := range p {
		if s.Do == DoWait && (wake == 0 || s.wait < wake) {
			wake = s.wait
		}
	}
	return wake
}

// MakePlan decides what a pod needs. It depends on nothing but the view.
func MakePlan(v *View) Plan {
	p := &planner{View: v}
	switch {
	case v.EngineDown != "":
		// All pods are reconciled again when it is back.
		p.others = Plan{{Do: doHold, cause: "the engine is gone: " + v.EngineDown}}
	case v.Pod == nil:
		p.gone()
	case v.Pod.DeletionTimestamp != nil:
		p.terminate()
	case podfacts.Terminal(v.Pod):
		p.end("the pod has ended")
	case v.PastDeadline():
		p.end(deadlineCause)
	case v.Rejected != nil:
		p.end("the node does not take the pod: " + v.Rejected.Reason)
	default:
		p.maintain()
	}
	return p.sorted()
}

// planner collects the steps of a plan.
type planner struct {
	*View
	kills, starts, others, removes, waits Plan
	// busyStarting says that a container is being started, or will be by a step of the plan.
	busyStarting bool
}

// sorted puts what is urgent first: kills, then starts.
func (p *planner) sorted() Plan {
	var all Plan
	for _, part := range []Plan{p.kills, p.starts, p.others, p.waits, p.removes} {
		all = append(all, part...)
	}
	return all
}

func (p *planner) waitUntil(t time.Time, cause string) {
	p.waits = append(p.waits, Step{Do: DoWait, wait: t.Sub(p.Now), cause: cause})
}

// kill ends an attempt, unless a stop is under way that will be over as soon. An attempt that is
// still being started is left to cancelStarts.
func (p *planner) kill(a *Attempt, grace time.Duration, s Step) {
	name := a.ContainerName()
	if w, ok := p.Operations[name]; ok {
		sooner := w.Task == TaskStop && w.Attempt == a.Number && grace < w.Grace && w.Deadline.After(p.Now.Add(grace))
		if !sooner {
			return
		}
	}
	// One attempt of a container at a time: its operations are listed under its name.
	if slices.ContainsFunc(p.kills, func(k Step) bool { return k.Do == DoKill && k.Container == name }) {
		return
	}
	s.Do, s.Container, s.Attempt, s.ID, s.Grace = DoKill, name, a.Number, a.ID, grace
	p.kills = append(p.kills, s)
}

// cancelStarts cancels pulls and postStart hooks, which could keep a pod from ending for long. A
// create or start in progress will soon be over, and is waited for.
func (p *planner) cancelStarts(cause string) {
	for _, name := range slices.Sorted(maps.Keys(p.Operations)) {
		if t := p.Operations[name].Task; t == TaskPull || t == TaskHook {
			p.kills = append(p.kills, Step{Do: DoCancel, Container: name, cause: cause})
		}
	}
}

func (p *planner) remove(a *Attempt, cause string) {
	if p.busy(a.ID) || a.State == docker.Removing {
		return
	}
	p.removes = append(p.removes, Step{Do: DoRemove, Container: a.ContainerName(), Attempt: a.Number, ID: a.ID, cause: cause})
}
