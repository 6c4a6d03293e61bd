package up

import (
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"skiff/cli/diagnosis"
)

func judgeJob(o *batchv1.Job, complete bool) progress {
	want := ptr.Deref(o.Spec.Completions, 1)
	p := progress{text: fmt.Sprintf("%d/%d complete", o.Status.Succeeded, want)}
	for _, c := range o.Status.Conditions {
		switch {
		case c.Status != corev1.ConditionTrue:
		case c.Type == batchv1.JobComplete:
			p.phase = finished
			return p
		case c.Type == batchv1.JobFailed:
			p.why = diagnosis.JobFailed(o)
			return p
		case c.Type == batchv1.JobSuspended:
			return progress{phase: ready, text: "suspended"}
		}
	}
	if !complete && ptr.Deref(o.Status.Ready, 0) > 0 {
		p.phase, p.pods = ready, 1
	}
	return p
}

// explainJob completes the failure of a job by that of its pod. A job that has not given up fails
// the run all the same when it waits for something that will not happen by itself or, unless it is
// to complete, when its pods keep failing: a retry may still complete it, but it is not up.
func (s snapshot) explainJob(w workload, l line, own []*corev1.Pod, f *diagnosis.Failure, now time.Time, c criteria) *diagnosis.Failure {
	if l.phase == finished || w.value == nil {
		return f
	}
	if f != nil {
		detailed := diagnosis.Job(w.Name, w.value.GetUID(), f.Why, own, s.ended)
		return &detailed
	}
	for _, p := range own {
		if stuck, why := diagnosis.Stuck(p); stuck != nil && (why != diagnosis.CrashLoop || !c.complete) {
			return stuck
		}
		if stuck := s.stuck(p, now); stuck != nil {
			return stuck
		}
	}
	last, n := diagnosis.LastFailed(own)
	if c.complete || n < 2 || l.phase == ready {
		return nil
	}
	last.Why = fmt.Sprintf("%s, %d pods of %s have failed", last.Why, n, w.name())
	return last
}
