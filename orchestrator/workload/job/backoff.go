package job

import (
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"skiff/manifests/podfacts"
)

// The delay before a failed pod is replaced doubles with each failure since the
// last success (k8s.io/kubernetes pkg/controller/job).
const (
	minBackoff = 10 * time.Second
	maxBackoff = 10 * time.Minute
)

// failures are a job's failed pods since the last one that succeeded.
type failures struct {
	count int
	last  time.Time
}

// after adds pods that have ended since.
func (f failures) after(succeeded, failed []*corev1.Pod) failures {
	var success time.Time
	for _, p := range succeeded {
		if at := endOf(p); at.After(success) {
			success = at
		}
	}
	if len(succeeded) > 0 {
		f = failures{}
	}
	for _, p := range failed {
		at := endOf(p)
		if len(succeeded) > 0 && !at.After(success) {
			continue
		}
		f.count++
		if at.After(f.last) {
			f.last = at
		}
	}
	return f
}

// wait is how long it is until a failed pod may be replaced.
func (f failures) wait(now time.Time) time.Duration {
	if f.count == 0 {
		return 0
	}
	backoff := minBackoff
	for i := 1; i < f.count && backoff < maxBackoff; i++ {
		backoff = min(2*backoff, maxBackoff)
	}
	return max(0, f.last.Add(backoff).Sub(now))
}

// failuresOf are those of one index, of which p is the last failed pod.
func failuresOf(p *corev1.Pod) failures {
	return failures{count: failureCount(p, batchv1.JobIndexFailureCountAnnotation) + ignoredCount(p) + 1, last: endOf(p)}
}

func ignoredCount(p *corev1.Pod) int {
	return failureCount(p, batchv1.JobIndexIgnoredFailureCountAnnotation)
}

// failureCount reads one of the annotations in which a pod bears how often its
// index had failed when the pod was made. 0 when it can not be read.
func failureCount(p *corev1.Pod, annotation string) int {
	n, err := strconv.ParseInt(p.Annotations[annotation], 10, 32)
	if err != nil || n < 0 {
		return 0
	}
	return int(n)
}

// endOf is when a pod ended: when the last of its containers did, or it became
// unready, or it was told to go; or else when it was made.
func endOf(p *corev1.Pod) time.Time {
	if at := lastExit(p); !at.IsZero() {
		return at
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionFalse && !c.LastTransitionTime.IsZero() {
			return c.LastTransitionTime.Time
		}
	}
	if p.DeletionTimestamp != nil {
		return p.DeletionTimestamp.Add(-time.Duration(ptr.Deref(p.DeletionGracePeriodSeconds, 0)) * time.Second)
	}
	return p.CreationTimestamp.Time
}

// lastExit is when the last container or sidecar ended, zero unless all have.
func lastExit(p *corev1.Pod) time.Time {
	var last time.Time
	statuses := p.Status.ContainerStatuses
	for _, s := range p.Status.InitContainerStatuses {
		if podfacts.HasSidecar(p, s.Name) {
			statuses = append(statuses[:len(statuses):len(statuses)], s)
		}
	}
	for _, s := range statuses {
		if s.State.Terminated == nil || s.State.Terminated.FinishedAt.IsZero() {
			return time.Time{}
		}
		if at := s.State.Terminated.FinishedAt.Time; at.After(last) {
			last = at
		}
	}
	return last
}
