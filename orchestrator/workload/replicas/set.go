package replicas

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"skiff/store"
)

// set is what a ReplicationController and a ReplicaSet have in common, which is
// nearly all of them.
type set struct {
	object   store.Object
	replicas int
	minReady int32 // seconds
	selector labels.Selector
	template *corev1.PodTemplateSpec
	// status is a ReplicationController's too: it has the same fields, less
	// terminatingReplicas.
	status appsv1.ReplicaSetStatus
}

// kind adapts one of the two kinds to set.
type kind[T store.Object] struct {
	gvk schema.GroupVersionKind
	// name is the controller's in logs and metrics, component that of its events.
	name, component, resource string
	// reportsTerminating: the status counts the pods that are terminating.
	reportsTerminating bool
	view               func(T) (set, error)
	setStatus          func(T, appsv1.ReplicaSetStatus)
}

func replicaSets() kind[*appsv1.ReplicaSet] {
	return kind[*appsv1.ReplicaSet]{
		gvk:  appsv1.SchemeGroupVersion.WithKind("ReplicaSet"),
		name: "replicaset", component: "replicaset-controller", resource: "replicasets.apps",
		reportsTerminating: true,
		view: func(rs *appsv1.ReplicaSet) (set, error) {
			selector, err := metav1.LabelSelectorAsSelector(rs.Spec.Selector)
			if err != nil {
				return set{}, fmt.Errorf("selector: %w", err)
			}
			return set{
				object: rs, replicas: int(ptr.Deref(rs.Spec.Replicas, 1)), minReady: rs.Spec.MinReadySeconds,
				selector: cautious(selector), template: &rs.Spec.Template, status: rs.Status,
			}, nil
		},
		setStatus: func(rs *appsv1.ReplicaSet, s appsv1.ReplicaSetStatus) { rs.Status = s },
	}
}

func replicationControllers() kind[*corev1.ReplicationController] {
	return kind[*corev1.ReplicationController]{
		gvk:  corev1.SchemeGroupVersion.WithKind("ReplicationController"),
		name: "replicationcontroller", component: "replication-controller", resource: "replicationcontrollers",
		view: func(rc *corev1.ReplicationController) (set, error) {
			template := rc.Spec.Template
			if template == nil {
				template = &corev1.PodTemplateSpec{}
			}
			return set{
				object: rc, replicas: int(ptr.Deref(rc.Spec.Replicas, 1)), minReady: rc.Spec.MinReadySeconds,
				selector: cautious(labels.SelectorFromSet(rc.Spec.Selector)), template: template,
				status: statusOfController(rc.Status),
			}, nil
		},
		setStatus: func(rc *corev1.ReplicationController, s appsv1.ReplicaSetStatus) {
			rc.Status = controllerStatus(s)
		},
	}
}

// cautious makes of a selector without requirements, which no validated object
// has, one that selects nothing: to take over all pods of a namespace can not
// be meant.
func cautious(s labels.Selector) labels.Selector {
	if s.Empty() {
		return labels.Nothing()
	}
	return s
}

func statusOfController(s corev1.ReplicationControllerStatus) appsv1.ReplicaSetStatus {
	converted := appsv1.ReplicaSetStatus{
		Replicas: s.Replicas, FullyLabeledReplicas: s.FullyLabeledReplicas, ReadyReplicas: s.ReadyReplicas,
		AvailableReplicas: s.AvailableReplicas, ObservedGeneration: s.ObservedGeneration,
	}
	for _, c := range s.Conditions {
		converted.Conditions = append(converted.Conditions, appsv1.ReplicaSetCondition{
			Type: appsv1.ReplicaSetConditionType(c.Type), Status: c.Status,
			LastTransitionTime: c.LastTransitionTime, Reason: c.Reason, Message: c.Message,
		})
	}
	return converted
}

func controllerStatus(s appsv1.ReplicaSetStatus) corev1.ReplicationControllerStatus {
	converted := corev1.ReplicationControllerStatus{
		Replicas: s.Replicas, FullyLabeledReplicas: s.FullyLabeledReplicas, ReadyReplicas: s.ReadyReplicas,
		AvailableReplicas: s.AvailableReplicas, ObservedGeneration: s.ObservedGeneration,
	}
	for _, c := range s.Conditions {
		converted.Conditions = append(converted.Conditions, corev1.ReplicationControllerCondition{
			Type: corev1.ReplicationControllerConditionType(c.Type), Status: c.Status,
			LastTransitionTime: c.LastTransitionTime, Reason: c.Reason, Message: c.Message,
		})
	}
	return converted
}
