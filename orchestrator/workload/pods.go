// Package workload holds what the controllers of pods have in common: which
// pods are theirs, which count, which go first, and how a new one is made.
// Each kind of workload has a folder of its own below.
package workload

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Active tells whether a pod counts as one of its controller's: it has neither
// finished nor been told to go.
func Active(p *corev1.Pod) bool {
	return !Finished(p) && p.DeletionTimestamp == nil
}

// Finished tells whether all of a pod's containers have stopped for good.
func Finished(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// Terminating tells whether a pod has been told to go and still runs.
func Terminating(p *corev1.Pod) bool {
	return p.DeletionTimestamp != nil && !Finished(p)
}

// Ready tells whether a pod is ready.
func Ready(p *corev1.Pod) bool {
	return readySince(p) != nil
}

// Available tells whether a pod has been ready for minReady.
func Available(p *corev1.Pod, minReady time.Duration, now time.Time) bool {
	since := readySince(p)
	return since != nil && (minReady == 0 || !since.IsZero() && !since.Add(minReady).After(now))
}

// NextAvailable is the time until the first of the ready pods becomes
// available, 0 if none will.
func NextAvailable(pods []*corev1.Pod, minReady time.Duration, now time.Time) time.Duration {
	var next time.Duration
	for _, p := range pods {
		since := readySince(p)
		if since == nil || since.IsZero() {
			continue
		}
		if left := since.Add(minReady).Sub(now); left > 0 && (next == 0 || left < next) {
			next = left
		}
	}
	return next
}

// readySince is when a pod became ready, nil when it is not.
func readySince(p *corev1.Pod) *time.Time {
	for i := range p.Status.Conditions {
		c := &p.Status.Conditions[i]
		if c.Type == corev1.PodReady {
			if c.Status != corev1.ConditionTrue {
				return nil
			}
			return &c.LastTransitionTime.Time
		}
	}
	return nil
}
