package table

import (
	"cmp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func eventColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		text("Last Seen", "The time since the event was last seen."),
		text("Type", "Normal or Warning."),
		text("Reason", "What happened, in a word."),
		text("Object", "The object it happened to."),
		wide(text("Subobject", "The part of the object it happened to.")),
		wide(text("Source", "Who told of it.")),
		text("Message", "What happened, in a sentence."),
		wide(text("First Seen", "The time since the event was first seen.")),
		wide(text("Count", "How often the event was seen.")),
		wide(nameColumn()),
	}
}

// eventCellsOf lays out events of either group, which are one kind of objects in two forms.
func eventCellsOf(obj runtime.Object, now time.Time) ([]any, error) {
	switch e := obj.(type) {
	case *corev1.Event:
		return eventCells(e, now), nil
	case *eventsv1.Event:
		return eventCells(coreEvent(e), now), nil
	}
	return nil, unexpected(obj)
}

// coreEvent is the core event that upstream converts one of events.k8s.io to
// (pkg/apis/events/v1/conversion.go), as far as it is shown.
func coreEvent(e *eventsv1.Event) *corev1.Event {
	core := &corev1.Event{
		ObjectMeta:     e.ObjectMeta,
		InvolvedObject: e.Regarding,
		Reason:         e.Reason,
		Message:        e.Note,
		Source:         e.DeprecatedSource,
		FirstTimestamp: e.DeprecatedFirstTimestamp,
		LastTimestamp:  e.DeprecatedLastTimestamp,
		Count:          e.DeprecatedCount,
		Type:           e.Type,
		EventTime:      e.EventTime,

		ReportingController: e.ReportingController,
		ReportingInstance:   e.ReportingInstance,
	}
	if e.Series != nil {
		core.Series = &corev1.EventSeries{Count: e.Series.Count, LastObservedTime: e.Series.LastObservedTime}
	}
	return core
}

func eventCells(e *corev1.Event, now time.Time) []any {
	first, last, count := seen(e, now)
	object := strings.ToLower(e.InvolvedObject.Kind)
	if e.InvolvedObject.Name != "" {
		object += "/" + e.InvolvedObject.Name
	}
	return []any{
		last, e.Type, e.Reason, object, e.InvolvedObject.FieldPath, eventSource(e), strings.TrimSpace(e.Message),
		first, int64(count), e.Name,
	}
}

// seen is when an event was first and last seen, and how often. New events say it otherwise than
// old ones.
func seen(e *corev1.Event, now time.Time) (first, last string, count int32) {
	first, last, count = age(e.FirstTimestamp, now), age(e.LastTimestamp, now), e.Count
	if e.FirstTimestamp.IsZero() {
		first = age(metav1.Time(e.EventTime), now)
	}
	if e.LastTimestamp.IsZero() {
		last = first
	}
	switch {
	case e.Series != nil:
		return first, age(metav1.Time(e.Series.LastObservedTime), now), e.Series.Count
	case count == 0:
		count = 1
	}
	return first, last, count
}

// eventSource is the component that told of the event, and where it runs.
func eventSource(e *corev1.Event) string {
	component := cmp.Or(e.Source.Component, e.ReportingController)
	if instance := cmp.Or(e.Source.Host, e.ReportingInstance); instance != "" {
		return component + ", " + instance
	}
	return component
}
