package statefulset

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/utils/ptr"

	"skiff/manifests/podfacts"
	"skiff/orchestrator/workload/revision"
)

// statusOf is the status a set should show, and the time until it is due for
// another look because a pod will have been ready for long enough: 0 if none.
func statusOf(s *snapshot, collisions int32) (appsv1.StatefulSetStatus, time.Duration) {
	status := appsv1.StatefulSetStatus{
		ObservedGeneration: s.set.Generation, CurrentRevision: s.set.Status.CurrentRevision, UpdateRevision: s.set.Status.UpdateRevision,
		CollisionCount: ptr.To(collisions),
		Conditions:     s.set.Status.Conditions,
	}
	if s.update != nil {
		status.CurrentRevision, status.UpdateRevision = s.current.Name, s.update.Name
	}
	pods := s.members().Owned
	for _, p := range pods {
		status.Replicas++
		if runningAndReady(p) {
			status.ReadyReplicas++
			if podfacts.Available(p, minReady(s.set), s.now) {
				status.AvailableReplicas++
			}
		}
		if p.DeletionTimestamp != nil {
			continue
		}
		if revision.PodLabel(p) == status.CurrentRevision {
			status.CurrentReplicas++
		}
		if revision.PodLabel(p) == status.UpdateRevision {
			status.UpdatedReplicas++
		}
	}
	if s.update != nil {
		complete(s.set, &status)
	}
	return status, podfacts.NextAvailable(pods, minReady(s.set), s.now)
}

// complete ends an update when all pods are of the new revision and ready.
func complete(set *appsv1.StatefulSet, status *appsv1.StatefulSetStatus) {
	want := int32(replicas(set)) //nolint:gosec // it is one
	if status.UpdatedReplicas == want && status.ReadyReplicas == want && status.Replicas == want {
		status.CurrentReplicas, status.CurrentRevision = status.UpdatedReplicas, status.UpdateRevision
	}
}
