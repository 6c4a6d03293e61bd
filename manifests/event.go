package manifests

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/kubernetes/pkg/apis/core"
	kcorev1 "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/apis/core/validation"
)

// eventKind is stored as a core/v1 event, and served as events.k8s.io/v1 too.
func eventKind() *Kind {
	return newKind(coreKind("Event"), Kind{
		Served:   []schema.GroupVersionKind{coreKind("Event"), eventsv1.SchemeGroupVersion.WithKind("Event")},
		Resource: "events", ShortNames: []string{"ev"}, Namespaced: true,
		CreateOnUpdate: true, Dependents: NoDependents,
		New: newOf[*corev1.Event](), NewList: newOf[*corev1.EventList](),
		Rules: &rules[*corev1.Event, core.Event]{
			namespaced:   true,
			toInternal:   kcorev1.Convert_v1_Event_To_core_Event,
			fromInternal: kcorev1.Convert_core_Event_To_v1_Event,
			validateCreate: func(ctx context.Context, e *core.Event) field.ErrorList {
				return validation.ValidateEventCreate(e, eventVersion(ctx))
			},
			updates: map[string]update[core.Event]{
				SubresourceNone: {
					validate: func(ctx context.Context, e, old *core.Event) field.ErrorList {
						return validation.ValidateEventUpdate(e, old, eventVersion(ctx))
					},
				},
			},
			fields: eventFields(),
		},
	})
}

// eventVersion is the version of the request, since events.k8s.io/v1 is
// validated more strictly. skiff's own components write core/v1.
func eventVersion(ctx context.Context) schema.GroupVersion {
	if info, ok := request.RequestInfoFrom(ctx); ok && info.APIVersion != "" {
		return schema.GroupVersion{Group: info.APIGroup, Version: info.APIVersion}
	}
	return corev1.SchemeGroupVersion
}

func eventFields() fieldTable[*corev1.Event] {
	return fieldTable[*corev1.Event]{
		"involvedObject.kind":            func(e *corev1.Event) string { return e.InvolvedObject.Kind },
		"involvedObject.namespace":       func(e *corev1.Event) string { return e.InvolvedObject.Namespace },
		"involvedObject.name":            func(e *corev1.Event) string { return e.InvolvedObject.Name },
		"involvedObject.uid":             func(e *corev1.Event) string { return string(e.InvolvedObject.UID) },
		"involvedObject.apiVersion":      func(e *corev1.Event) string { return e.InvolvedObject.APIVersion },
		"involvedObject.resourceVersion": func(e *corev1.Event) string { return e.InvolvedObject.ResourceVersion },
		"involvedObject.fieldPath":       func(e *corev1.Event) string { return e.InvolvedObject.FieldPath },
		"reason":                         func(e *corev1.Event) string { return e.Reason },
		"reportingComponent":             func(e *corev1.Event) string { return e.ReportingController },
		"type":                           func(e *corev1.Event) string { return e.Type },
		"source": func(e *corev1.Event) string {
			if e.Source.Component == "" {
				return e.ReportingController
			}
			return e.Source.Component
		},
	}
}
