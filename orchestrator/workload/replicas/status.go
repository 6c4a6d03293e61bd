package replicas

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"

	"skiff/manifests/podfacts"
	"skiff/orchestrator/workload"
)

// failure is why a plan could not be carried out.
type failure struct {
	reason string // FailedCreate or FailedDelete
	err    error
}

// statusOf is the status a set should show, and the time until it is due for
// another look because a pod will have been ready for long enough: 0 if none.
func statusOf(s snapshot, reportsTerminating bool, f *failure) (appsv1.ReplicaSetStatus, time.Duration) {
	status := appsv1.ReplicaSetStatus{
		ObservedGeneration: s.set.object.GetGeneration(),
		Conditions:         conditions(s.set.status.Conditions, f, s.now),
	}
	minReady := time.Duration(s.set.minReady) * time.Second
	full := labels.SelectorFromSet(s.set.template.Labels)
	var owned []*corev1.Pod
	var terminating int32
	for _, p := range workload.Claim(s.set.object, s.set.selector, s.pods).Owned {
		switch {
		case podfacts.Active(p):
			owned = append(owned, p)
		case podfacts.Terminating(p):
			terminating++
		}
	}
	for _, p := range owned {
		status.Replicas++
		if full.Matches(labels.Set(p.Labels)) {
			status.FullyLabeledReplicas++
		}
		if podfacts.Ready(p) {
			status.ReadyReplicas++
		}
		if podfacts.Available(p, minReady, s.now) {
			status.AvailableReplicas++
		}
	}
	if reportsTerminating {
		status.TerminatingReplicas = ptr.To(terminating)
	}
	return status, podfacts.NextAvailable(owned, minReady, s.now)
}

// conditions are the old ones with ReplicaFailure set as it should be. One that
// stands already is left as it is, so that it keeps the time and the cause of
// the first failure.
func conditions(old []appsv1.ReplicaSetCondition, f *failure, now time.Time) []appsv1.ReplicaSetCondition {
	isFailure := func(c appsv1.ReplicaSetCondition) bool { return c.Type == appsv1.ReplicaSetReplicaFailure }
	stands := slices.ContainsFunc(old, isFailure)
	switch {
	case f == nil && stands:
		return slices.DeleteFunc(slices.Clone(old), isFailure)
	case f != nil && !stands:
		return append(slices.Clone(old), appsv1.ReplicaSetCondition{
			Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue,
			LastTransitionTime: metav1.NewTime(now), Reason: f.reason, Message: f.err.Error(),
		})
	}
	return old
}
