package report

import (
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"skiff/cli/diagnosis"
	"skiff/cli/events"
)

// grain is how far the server's times may be off: they are whole seconds, by another clock.
const grain = 2 * time.Second

// since is when something has happened that was seen now: long ago by the server's time, or else just now.
func (l look) since(at time.Time) time.Time {
	if l.first && !at.IsZero() && l.now.Sub(at) > grain {
		return at
	}
	return l.now
}

// lastSeen is when an Event was last seen, as a text that sorts by time.
func lastSeen(u *unstructured.Unstructured) string {
	for _, fields := range [][]string{{"series", "lastObservedTime"}, {"lastTimestamp"}, {"eventTime"}} {
		if at, _, _ := unstructured.NestedString(u.Object, fields...); at != "" {
			return at
		}
	}
	return ""
}

// container finds the container in an Event's field path: spec.containers{web}.
var container = regexp.MustCompile(`^spec\.\w+\{(.+)\}$`)

func (r *Recorder) seeEvent(e *corev1.Event, l look) {
	if l.deleted() {
		delete(r.counts, e.UID)
		return
	}
	seen := Event{At: l.since(events.Last(e)), Type: e.Type, Reason: e.Reason, Namespace: e.Namespace, Of: strings.ToLower(e.InvolvedObject.Kind) + "/" + e.InvolvedObject.Name,
		UID: string(e.InvolvedObject.UID), Message: diagnosis.OneLine(e.Message), Count: max(e.Count, 1)}
	if e.Series != nil {
		seen.Count = e.Series.Count
	}
	if m := container.FindStringSubmatch(e.InvolvedObject.FieldPath); m != nil {
		seen.Container = m[1]
	}
	if n, again := r.counts[e.UID]; again && n == seen.Count {
		return
	}
	r.counts[e.UID] = seen.Count
	r.list = append(r.list, seen)
	if n := r.most.events; n > 0 && len(r.list) > n {
		r.list = slices.Clone(r.list[n/4:])
	}
	r.eventSeen()
	if p := r.pods[e.InvolvedObject.UID]; p != nil {
		p.apply(seen)
		r.touchPod(p)
	}
}

// apply takes from an Event what the pod's status does not tell: that an image is being pulled, and why a
// container was killed.
func (p *Pod) apply(e Event) {
	i := slices.IndexFunc(p.Containers, func(c *Container) bool { return c.Name == e.Container })
	if i < 0 {
		return
	}
	c := p.Containers[i]
	last := c.last()
	switch {
	case last == nil:
	case e.Reason == "Pulling" && last.State == Waiting:
		c.become(Span{State: Pulling, From: e.At, Note: e.Message})
	case e.Reason == "Pulled" && last.State == Pulling:
		c.become(Span{State: Waiting, From: e.At, Note: "ContainerCreating"})
	case e.Reason == "Unhealthy":
		c.unhealthy = e
	case e.Reason == "Killing":
		c.killing = e
		if last.State == Exited && e.At.Sub(last.From) < grain { // the kill is told later than the end
			c.explain(last)
		}
	}
}

// explain says which probe's failure a container has ended for, if it was one.
func (c *Container) explain(s *Span) {
	_, probe, killed := strings.Cut(c.killing.Message, " failed ")
	if !killed || s.Cause != "" {
		return
	}
	probe, _, _ = strings.Cut(probe, ",")
	s.Cause = probe + " failed"
	if kind, answer, ok := strings.Cut(c.unhealthy.Message, " failed: "); ok && strings.EqualFold(kind, probe) {
		s.Cause += ": " + answer
	}
	c.killing = Event{}
}
