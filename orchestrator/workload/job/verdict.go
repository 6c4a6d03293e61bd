package job

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// verdict is how a job ends, and why.
type verdict struct {
	success         bool
	reason, message string
}

// target is the condition that says what the end will be while pods are still
// ending and being counted, and final the one that says that it is.
func (v *verdict) target() batchv1.JobConditionType {
	if v.success {
		return batchv1.JobSuccessCriteriaMet
	}
	return batchv1.JobFailureTarget
}

func (v *verdict) final() batchv1.JobConditionType {
	if v.success {
		return batchv1.JobComplete
	}
	return batchv1.JobFailed
}

func failing(reason, message string) *verdict { return &verdict{reason: reason, message: message} }

// verdict is nil while the job goes on. One that has been passed stands; of
// several that could be, failure comes before success, in upstream's order.
func (f *facts) verdict() *verdict {
	if c := condition(f.job, batchv1.JobSuccessCriteriaMet); c != nil && c.Status == corev1.ConditionTrue {
		return &verdict{true, c.Reason, c.Message}
	}
	if c := condition(f.job, batchv1.JobFailureTarget); c != nil && c.Status == corev1.ConditionTrue {
		return failing(c.Reason, c.Message)
	}
	if v := f.failure(); v != nil {
		return v
	}
	if f.indexed() {
		if message, ok := succeeds(f.job.Spec.SuccessPolicy, f.done, f.completions()); ok {
			return &verdict{true, batchv1.JobReasonSuccessPolicy, message}
		}
	}
	// Without a number of completions the first success decides, and the other
	// pods are let run to their end.
	needed := int(ptr.Deref(f.job.Spec.Completions, 1))
	if f.succeeded >= needed && len(f.active) == 0 {
		return &verdict{true, batchv1.JobReasonCompletionsReached, "Reached expected number of succeeded pods"}
	}
	return nil
}

func (f *facts) failure() *verdict {
	for _, p := range f.owned {
		if f.hasFailed(p) {
			if r := rule(f.job.Spec.PodFailurePolicy, p); r.fatal != "" {
				return failing(batchv1.JobReasonPodFailurePolicy, r.fatal)
			}
		}
	}
	switch left, limited := f.timeLeft(); {
	case f.failed > int(ptr.Deref(f.job.Spec.BackoffLimit, 6)) || f.restartedTooOften():
		return failing(batchv1.JobReasonBackoffLimitExceeded, "Job has reached the specified backoff limit")
	case limited && left <= 0:
		return failing(batchv1.JobReasonDeadlineExceeded, "Job was active longer than specified deadline")
	case f.lost == nil:
		return nil
	}
	limit, lost := f.job.Spec.MaxFailedIndexes, f.lost.count()
	switch {
	case limit != nil && lost > int(*limit):
		return failing(batchv1.JobReasonMaxFailedIndexesExceeded, "Job has exceeded the specified maximal number of failed indexes")
	case lost > 0 && lost+f.done.count() >= f.completions():
		return failing(batchv1.JobReasonFailedIndexes, "Job has failed indexes")
	}
	return nil
}

// restartedTooOften reports whether the containers of pods that restart them by
// themselves have been restarted as often as the job may fail.
func (f *facts) restartedTooOften() bool {
	if f.job.Spec.Template.Spec.RestartPolicy != corev1.RestartPolicyOnFailure {
		return false
	}
	restarts := 0
	for _, p := range f.owned {
		if p.Status.Phase != corev1.PodRunning && p.Status.Phase != corev1.PodPending {
			continue
		}
		for _, s := range p.Status.InitContainerStatuses {
			restarts += int(s.RestartCount)
		}
		for _, s := range p.Status.ContainerStatuses {
			restarts += int(s.RestartCount)
		}
	}
	return restarts > 0 && restarts >= int(ptr.Deref(f.job.Spec.BackoffLimit, 6))
}

// timeLeft is how long the job may still be active, if that is limited.
func (f *facts) timeLeft() (left time.Duration, limited bool) {
	deadline := f.job.Spec.ActiveDeadlineSeconds
	if deadline == nil || f.suspended() || f.started.IsZero() {
		return 0, false
	}
	return f.started.Add(time.Duration(*deadline) * time.Second).Sub(f.now), true
}

// Finished reports whether a job has ended, and how: Complete or Failed.
func Finished(j *batchv1.Job) (batchv1.JobConditionType, bool) {
	for _, t := range []batchv1.JobConditionType{batchv1.JobComplete, batchv1.JobFailed} {
		if c := condition(j, t); c != nil && c.Status == corev1.ConditionTrue {
			return t, true
		}
	}
	return "", false
}

func condition(j *batchv1.Job, t batchv1.JobConditionType) *batchv1.JobCondition {
	return conditionOf(&j.Status, t)
}

func conditionOf(s *batchv1.JobStatus, t batchv1.JobConditionType) *batchv1.JobCondition {
	for i := range s.Conditions {
		if c := &s.Conditions[i]; c.Type == t {
			return c
		}
	}
	return nil
}
