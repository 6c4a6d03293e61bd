package daemonset

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"skiff/manifests/podfacts"
	"skiff/orchestrator/workload"
)

// statusOf is the status a set should show, and the time until it is due for
// another look because a pod will have been ready for long enough: 0 if none.
func statusOf(s *snapshot, collisions int32) (appsv1.DaemonSetStatus, time.Duration) {
	status := appsv1.DaemonSetStatus{ObservedGeneration: s.set.Generation, Conditions: s.set.Status.Conditions, CollisionCount: s.set.Status.CollisionCount}
	if collisions > 0 {
		status.CollisionCount = ptr.To(collisions)
	}
	onNode := onNodes(workload.Claim(metav1.Object(s.set), s.selector, s.pods).Owned)
	t := targetOf(s.set)
	var eldest []*corev1.Pod
	for _, n := range s.nodes {
		pods := onNode[n.Name]
		switch {
		case !t.of(n).run:
			if len(pods) > 0 {
				status.NumberMisscheduled++
			}
			continue
		case len(pods) == 0:
			status.DesiredNumberScheduled++
			continue
		}
		status.DesiredNumberScheduled++
		status.CurrentNumberScheduled++
		pod := pods[0]
		eldest = append(eldest, pod)
		if podfacts.Ready(pod) {
			status.NumberReady++
			if s.available(pod) {
				status.NumberAvailable++
			}
		}
		if s.updated(pod) {
			status.UpdatedNumberScheduled++
		}
	}
	status.NumberUnavailable = status.DesiredNumberScheduled - status.NumberAvailable
	return status, podfacts.NextAvailable(eldest, time.Duration(s.set.Spec.MinReadySeconds)*time.Second, s.now)
}
