package describe

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"skiff/cli/client"
	"skiff/cli/events"
)

// events writes the events about an object, oldest first. Failing to read them does not fail the
// description.
func (p *page) events(o metav1.Object, kind string, moreUIDs ...string) {
	if !p.Events {
		return
	}
	var all []corev1.Event
	for _, uid := range append([]string{string(o.GetUID())}, moreUIDs...) {
		found, err := p.eventsAbout(o, kind, uid)
		if err != nil {
			return
		}
		all = append(all, found...)
	}
	p.eventTable(all)
}

func (p *page) eventsAbout(o metav1.Object, kind, uid string) ([]corev1.Event, error) {
	set := fields.Set{"involvedObject.name": o.GetName(), "involvedObject.namespace": o.GetNamespace()}
	if kind != "" {
		set["involvedObject.kind"] = kind
	}
	if uid != "" {
		set["involvedObject.uid"] = uid
	}
	r, err := p.mapping("", "Event")
	if err != nil {
		return nil, err
	}
	r.Namespace = o.GetNamespace()
	return client.ListOf[corev1.Event](p.ctx, p.Client, r, client.ListOptions{Fields: set.AsSelector().String(), Chunk: p.Chunk})
}

func (s *sheet) eventTable(all []corev1.Event) {
	if len(all) == 0 {
		s.field("Events", none)
		return
	}
	s.columns()
	slices.SortStableFunc(all, func(a, b corev1.Event) int { return a.LastTimestamp.Compare(b.LastTimestamp.Time) })
	s.title("Events")
	s.in(func() {
		s.line("Type\tReason\tAge\tFrom\tMessage")
		s.line("----\t------\t----\t----\t-------")
		for i := range all {
			e := &all[i]
			from := e.Source.Component
			if from == "" {
				from = e.ReportingController
			}
			s.line("%s\t%s\t%s\t%s\t%s", e.Type, e.Reason, events.Age(e, s.now()), from, strings.TrimSpace(e.Message))
		}
	})
}
