package events

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"
)

// Recorder records events that come from one source.
type Recorder struct {
	broker *Broker
	source corev1.EventSource
}

// Event records that something happened to object, which is a stored object or
// a *corev1.ObjectReference (which may name a field, such as one container).
// eventType is corev1.EventTypeNormal or EventTypeWarning, reason a word in
// UpperCamelCase. It never waits: when the broker can't keep up the event is
// counted as dropped.
func (r *Recorder) Event(object runtime.Object, eventType, reason, format string, args ...any) {
	r.Prepare(object, eventType, reason, format, args...)()
}

// Prepare is Event for what is about to be done: the event bears the time of this call, and is
// recorded when the returned function is called, once it has been done. Whoever is woken by the
// deed may be quicker with an event of his own, which must not come first in a list.
func (r *Recorder) Prepare(object runtime.Object, eventType, reason, format string, args ...any) (record func()) {
	ref, err := r.broker.refer(object)
	if err != nil {
		r.broker.logger.Error("event not recorded", "reason", reason, "error", err)
		return func() {}
	}
	e := r.event(ref, eventType, reason, fmt.Sprintf(format, args...))
	return func() {
		r.broker.logger.Debug("event", "kind", ref.Kind, "namespace", ref.Namespace, "name", ref.Name,
			"type", eventType, "reason", reason, "message", e.Message, "source", r.source.Component)
		r.broker.offer(e)
	}
}

func (r *Recorder) event(ref *corev1.ObjectReference, eventType, reason, message string) *corev1.Event {
	namespace := ref.Namespace
	if namespace == "" {
		// Events are namespaced; those of cluster-scoped objects are kept here.
		namespace = metav1.NamespaceDefault
	}
	now := metav1.NewTime(r.broker.clock.Now())
	return &corev1.Event{
		ObjectMeta:          metav1.ObjectMeta{Namespace: namespace, Name: r.broker.name(ref.Name)},
		InvolvedObject:      *ref,
		Type:                eventType,
		Reason:              reason,
		Message:             message,
		Source:              r.source,
		ReportingController: r.source.Component,
		ReportingInstance:   r.source.Host,
		FirstTimestamp:      now,
		LastTimestamp:       now,
		Count:               1,
	}
}

// name is what an event about an object is called: the object's name and the
// time in nanoseconds, in hexadecimal, which is made to differ from that of
// every earlier event. An object's name need not be one an event may have.
func (b *Broker) name(object string) string {
	now := b.clock.Now().UnixNano()
	for {
		last := b.lastName.Load()
		next := max(now, last+1)
		if b.lastName.CompareAndSwap(last, next) {
			now = next
			break
		}
	}
	name := fmt.Sprintf("%s.%x", object, now)
	if len(apivalidation.NameIsDNSSubdomain(name, false)) > 0 {
		return string(uuid.NewUUID())
	}
	return name
}

// refer makes a reference to an object.
func (b *Broker) refer(object runtime.Object) (*corev1.ObjectReference, error) {
	return Reference(b.scheme, object, "")
}

// Reference makes a reference to an object, or to the field of it that path
// names: spec.containers{name} is one container. A reference is returned as it
// is.
func Reference(scheme *runtime.Scheme, object runtime.Object, path string) (*corev1.ObjectReference, error) {
	if ref, ok := object.(*corev1.ObjectReference); ok {
		return ref, nil
	}
	o, ok := object.(metav1.Object)
	if !ok {
		return nil, fmt.Errorf("%T is not an object that events can be about", object)
	}
	// Stored objects know their kind only by their type. The scheme knows most
	// types twice, once as the internal version.
	gvk := object.GetObjectKind().GroupVersionKind()
	if gvk.Empty() {
		kinds, _, err := scheme.ObjectKinds(object)
		if err != nil {
			return nil, fmt.Errorf("finding the kind of %T %s/%s: %w", object, o.GetNamespace(), o.GetName(), err)
		}
		for _, k := range kinds {
			if k.Version != runtime.APIVersionInternal {
				gvk = k
				break
			}
		}
	}
	return &corev1.ObjectReference{
		APIVersion:      gvk.GroupVersion().String(),
		Kind:            gvk.Kind,
		Namespace:       o.GetNamespace(),
		Name:            o.GetName(),
		UID:             o.GetUID(),
		ResourceVersion: o.GetResourceVersion(),
		FieldPath:       path,
	}, nil
}
