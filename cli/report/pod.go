package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/cli/diagnosis"
	"skiff/manifests/podfacts"
)

func (r *Recorder) seePod(p *corev1.Pod, l look) {
	seen := r.pods[p.UID]
	if seen == nil {
		seen = &Pod{Namespace: p.Namespace, Name: p.Name, UID: string(p.UID), Began: l.since(p.CreationTimestamp.Time)}
		r.pods[p.UID] = seen
		r.order = append(r.order, p.UID)
	}
	r.touchPod(seen)
	if owner := metav1.GetControllerOf(p); owner != nil {
		seen.owner, seen.Owner = owner.UID, strings.ToLower(owner.Kind)+"/"+owner.Name
	} else {
		r.seeAlone(p, l)
		seen.Owner = "pod/" + p.Name
	}
	seen.Node, seen.Status, seen.last = p.Spec.NodeName, podfacts.Summarize(p).Status, p
	for i := range p.Spec.InitContainers {
		r.seeContainer(seen, &p.Spec.InitContainers[i], p.Status.InitContainerStatuses, true, l)
	}
	for i := range p.Spec.Containers {
		r.seeContainer(seen, &p.Spec.Containers[i], p.Status.ContainerStatuses, false, l)
	}
	if l.deleted() {
		r.endPod(seen, l.now)
		return
	}
	seen.Problem = r.podProblem(seen, l.now)
}

func (r *Recorder) endPod(p *Pod, now time.Time) {
	p.Ended, p.Status, p.Problem, p.last = &now, "Deleted", "", nil
	for _, c := range p.Containers {
		c.end(now)
	}
	r.touchPod(p)
}

// seeContainer takes down the state of one of a pod's containers.
func (r *Recorder) seeContainer(p *Pod, spec *corev1.Container, statuses []corev1.ContainerStatus, init bool, l look) {
	i := slices.IndexFunc(p.Containers, func(c *Container) bool { return c.Name == spec.Name })
	if i < 0 {
		i = len(p.Containers)
		p.Containers = append(p.Containers, &Container{Name: spec.Name, Init: init})
	}
	c := p.Containers[i]
	c.Image = spec.Image
	at := slices.IndexFunc(statuses, func(s corev1.ContainerStatus) bool { return s.Name == spec.Name })
	if at < 0 {
		if len(c.Spans) == 0 {
			c.become(Span{State: Waiting, From: p.Began})
		}
		return
	}
	if len(c.Spans) == 0 && p.Began.Before(l.now) {
		since, _ := podfacts.ReadySince(p.last)
		c.before(&statuses[at], p.Began, since)
	}
	c.see(&statuses[at], l.now)
	if n := r.most.spans; n > 0 && len(c.Spans) > n {
		c.Spans = slices.Clone(c.Spans[n/4:])
	}
}

// see takes down what a container's status says now.
func (c *Container) see(s *corev1.ContainerStatus, now time.Time) {
	// A run that ended between two looks shows in the last state alone.
	if t := s.LastTerminationState.Terminated; t != nil && c.news(t, s.RestartCount) {
		c.become(exit(t, now))
	}
	c.Restarts = s.RestartCount
	last := c.last()
	switch {
	case s.State.Terminated != nil:
		c.news(s.State.Terminated, s.RestartCount)
		c.become(exit(s.State.Terminated, now))
	case s.State.Running != nil && s.Ready:
		c.become(Span{State: Ready, From: now})
	case s.State.Running != nil:
		c.become(Span{State: Running, From: now})
	case s.State.Waiting != nil:
		if last != nil && last.State == Pulling && !strings.Contains(s.State.Waiting.Reason, "Pull") {
			return // ContainerCreating, while an Event has told more
		}
		span := waiting(s.State.Waiting)
		span.From = now
		c.become(span)
	}
}

// news reports whether the end of a run is not known yet, and takes note of it.
func (c *Container) news(t *corev1.ContainerStateTerminated, restarts int32) bool {
	if t.ContainerID == "" { // servers may leave it out
		last := c.last()
		return restarts > c.Restarts && last != nil && last.State != Exited
	}
	fresh := t.ContainerID != c.ended
	c.ended = t.ContainerID
	return fresh
}

// before takes down what had become of a container when it was first seen, as far as its status tells.
func (c *Container) before(s *corev1.ContainerStatus, began, ready time.Time) {
	at := began
	become := func(span Span, from time.Time) {
		if from.After(at) {
			at = from
		}
		span.From = at
		c.become(span)
	}
	c.become(Span{State: Waiting, From: began})
	if t := s.LastTerminationState.Terminated; t != nil {
		become(Span{State: Running}, t.StartedAt.Time)
		become(exit(t, at), t.FinishedAt.Time)
		c.ended = t.ContainerID
	}
	c.Restarts = s.RestartCount
	switch {
	case s.State.Running != nil:
		become(Span{State: Running}, s.State.Running.StartedAt.Time)
		if s.Ready {
			become(Span{State: Ready}, ready)
		}
	case s.State.Terminated != nil:
		become(Span{State: Running}, s.State.Terminated.StartedAt.Time)
		become(exit(s.State.Terminated, at), s.State.Terminated.FinishedAt.Time)
	case s.State.Waiting != nil:
		become(waiting(s.State.Waiting), at)
	}
}

func waiting(w *corev1.ContainerStateWaiting) Span {
	return Span{State: Waiting, Note: w.Reason, Failed: diagnosis.Hopeless(w.Reason)}
}

func exit(t *corev1.ContainerStateTerminated, now time.Time) Span {
	return Span{State: Exited, From: now, Note: strings.TrimSpace(fmt.Sprintf("exit code %d %s", t.ExitCode, t.Reason)), Failed: t.ExitCode != 0}
}

// last is a container's current or last span; nil when there is none yet.
func (c *Container) last() *Span {
	if n := len(c.Spans); n > 0 {
		return &c.Spans[n-1]
	}
	return nil
}

// become begins a span unless the last one says the same.
func (c *Container) become(s Span) {
	var begun bool
	if c.Spans, begun = begin(c.Spans, s); begun && s.State == Exited {
		c.explain(c.last())
	}
}

// begin adds a span, unless the last one says the same, and reports whether it has.
func begin(spans []Span, s Span) ([]Span, bool) {
	if n := len(spans); n > 0 {
		last := &spans[n-1]
		if last.State == s.State && last.Note == s.Note {
			return spans, false
		}
		last.To = &s.From
	}
	return append(spans, s), true
}

// end closes the last span.
func (c *Container) end(now time.Time) {
	if last := c.last(); last != nil && last.To == nil {
		last.To = &now
	}
}
