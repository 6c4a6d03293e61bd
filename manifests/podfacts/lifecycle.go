// Package podfacts answers questions about a pod that only the pod itself is needed for: whether it
// is ready, whether it has ended, what its STATUS is in one word. The API server's tables, the
// controllers, the node agent and the command line all ask them, so it imports nothing of skiff.
package podfacts

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Terminal reports whether all of a pod's containers have stopped for good, by its phase.
func Terminal(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// Terminating reports whether a pod is being deleted and has not ended yet.
func Terminating(p *corev1.Pod) bool {
	return p.DeletionTimestamp != nil && !Terminal(p)
}

// Active reports whether a pod counts as one of its controller's replicas: it has not ended and is
// not being deleted.
func Active(p *corev1.Pod) bool {
	return !Terminal(p) && p.DeletionTimestamp == nil
}

// Condition returns the pod's condition of a type, nil when it has none.
func Condition(p *corev1.Pod, t corev1.PodConditionType) *corev1.PodCondition {
	for i := range p.Status.Conditions {
		if c := &p.Status.Conditions[i]; c.Type == t {
			return c
		}
	}
	return nil
}

// ConditionTrue reports whether the pod's condition of a type is true.
func ConditionTrue(p *corev1.Pod, t corev1.PodConditionType) bool {
	c := Condition(p, t)
	return c != nil && c.Status == corev1.ConditionTrue
}

// Ready reports whether the pod's Ready condition is true.
func Ready(p *corev1.Pod) bool { return ConditionTrue(p, corev1.PodReady) }

// ReadySince returns when the pod became ready. The time is zero when the condition does not say;
// ok is false when the pod is not ready.
func ReadySince(p *corev1.Pod) (since time.Time, ok bool) {
	c := Condition(p, corev1.PodReady)
	if c == nil || c.Status != corev1.ConditionTrue {
		return time.Time{}, false
	}
	return c.LastTransitionTime.Time, true
}

// Available reports whether a pod has been ready for minReady (minReadySeconds of its controller).
// With 0 a ready pod is available at once.
func Available(p *corev1.Pod, minReady time.Duration, now time.Time) bool {
	since, ready := ReadySince(p)
	return ready && (minReady == 0 || !since.IsZero() && !since.Add(minReady).After(now))
}

// NextAvailable returns the time until the first of the ready pods becomes available, 0 if none will.
func NextAvailable(pods []*corev1.Pod, minReady time.Duration, now time.Time) time.Duration {
	var next time.Duration
	for _, p := range pods {
		since, ready := ReadySince(p)
		if !ready || since.IsZero() {
			continue
		}
		if left := since.Add(minReady).Sub(now); left > 0 && (next == 0 || left < next) {
			next = left
		}
	}
	return next
}
