package diagnosis

import (
	"slices"
	"time"

	"github.com/robfig/cron/v3"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"skiff/cli/command"
	"skiff/manifests/podfacts"
)

// Job reports on a job.
func (s *Scene) Job(j *batchv1.Job) Report {
	r := Report{Object: who("Job", j), Namespace: j.Namespace}
	s.wantedBy(&r, j)
	if s.leaving(&r, j, "job") {
		return r
	}
	pods := s.podsOf(j)
	switch why := JobFailed(j); {
	case jobCondition(j, batchv1.JobComplete):
		r.fine("is complete")
	case why != "":
		r.wrong("has failed: %s", why)
		s.gaveUp(&r, j)
		s.lastFailure(&r, pods)
	case ptr.Deref(j.Spec.Suspend, false):
		r.fine("is suspended")
		r.next("it runs once spec.suspend is false: skiff start %s", r.Object)
	default:
		s.unmade(&r, j, "Job")
		r.below(s.reports(slices.DeleteFunc(slices.Clone(pods), podfacts.Terminal)))
		s.triedAgain(&r, j, pods)
		s.settle(&r, j, "Job", "has %d of %s", j.Status.Succeeded, command.Counted(ptr.Deref(j.Spec.Completions, 1), "completion", "completions"))
		if !r.Wrong && r.State != "" && j.Status.Active > 0 {
			r.fine("runs: %s", command.Counted(j.Status.Active, "pod is active", "pods are active"))
		}
	}
	return r
}

func jobCondition(j *batchv1.Job, t batchv1.JobConditionType) bool {
	return slices.ContainsFunc(j.Status.Conditions, func(c batchv1.JobCondition) bool { return c.Type == t && c.Status == corev1.ConditionTrue })
}

// gaveUp adds by which rule a job has given up.
func (s *Scene) gaveUp(r *Report, j *batchv1.Job) {
	for _, c := range j.Status.Conditions {
		if c.Type != batchv1.JobFailed {
			continue
		}
		switch c.Reason {
		case batchv1.JobReasonBackoffLimitExceeded:
			r.cause("it failed %s; backoffLimit allows %d", command.Counted(max(j.Status.Failed, 1), "time", "times"), ptr.Deref(j.Spec.BackoffLimit, 6))
		case batchv1.JobReasonDeadlineExceeded:
			r.cause("it was active for longer than activeDeadlineSeconds, %d", ptr.Deref(j.Spec.ActiveDeadlineSeconds, 0))
		case batchv1.JobReasonPodFailurePolicy:
			r.cause("its podFailurePolicy says that such a failure ends it")
		}
		r.cause("it gave up at %s", s.at(c.LastTransitionTime.Time))
	}
	if j.Spec.TTLSecondsAfterFinished != nil && j.Status.CompletionTime == nil {
		r.next("it is deleted %ds after its end (ttlSecondsAfterFinished)", *j.Spec.TTLSecondsAfterFinished)
	}
	r.do("mend the cause, then run it anew: skiff delete job %s, and apply it again", j.Name)
}

// lastFailure puts the newest failed pod below a job that has given up.
func (s *Scene) lastFailure(r *Report, pods []*corev1.Pod) {
	last, n := LastFailed(pods)
	if last == nil {
		r.cause("its pods are gone, and their logs with them")
		return
	}
	r.below([]Report{s.Pod(last.Pod)})
	if n > 1 {
		r.cause("%d of its pods have failed; the last one is below", n)
	}
}

// The wait before a failed pod of a job is replaced: it doubles with each failure (upstream's
// pkg/controller/job).
const (
	firstJobWait = 10 * time.Second
	maxJobWait   = 10 * time.Minute
)

// triedAgain adds when a job that has failed is tried again, and when it may no longer be.
func (s *Scene) triedAgain(r *Report, j *batchv1.Job, pods []*corev1.Pod) {
	if j.Status.StartTime != nil && j.Spec.ActiveDeadlineSeconds != nil {
		r.next("it fails at %s, unless it is complete before (activeDeadlineSeconds)",
			s.at(j.Status.StartTime.Add(time.Duration(*j.Spec.ActiveDeadlineSeconds)*time.Second)))
	}
	last, n := LastFailed(pods)
	if last == nil {
		return
	}
	one := s.Pod(last.Pod)
	r.wrong("has failed %s so far: %s: %s", command.Counted(n, "time", "times"), last.What, last.Why)
	if len(r.Below) < mostBelow {
		r.Below = append(r.Below, one)
	}
	r.cause("backoffLimit allows %s", command.Counted(ptr.Deref(j.Spec.BackoffLimit, 6), "failure", "failures"))
	wait := firstJobWait
	for i := 1; i < n && wait < maxJobWait; i++ {
		wait = min(2*wait, maxJobWait)
	}
	if at := endOf(last.Pod).Add(wait); j.Status.Active == 0 && at.After(s.Now) {
		r.next("the next pod is made at %s", s.at(at))
	}
}

// endOf is when the last container of a pod ended.
func endOf(p *corev1.Pod) time.Time {
	var end time.Time
	for _, st := range p.Status.ContainerStatuses {
		if t := st.State.Terminated; t != nil && t.FinishedAt.After(end) {
			end = t.FinishedAt.Time
		}
	}
	return end
}

// CronJob reports on a cron job.
func (s *Scene) CronJob(c *batchv1.CronJob) Report {
	r := Report{Object: who("CronJob", c), Namespace: c.Namespace}
	if s.leaving(&r, c, "cronjob") {
		return r
	}
	next, err := nextRun(c, s.Now)
	switch {
	case err != nil:
		r.wrong("never runs: its schedule %q can not be read: %v", c.Spec.Schedule, err)
		return r
	case ptr.Deref(c.Spec.Suspend, false):
		r.fine("is suspended")
		r.next("it runs again once spec.suspend is false: skiff start %s", r.Object)
	case next.IsZero():
		r.wrong("never runs: its schedule %q has no time within five years", c.Spec.Schedule)
	default:
		r.fine("waits for its next run")
		r.next("it runs at %s (schedule %q, time zone %s)", s.at(next), c.Spec.Schedule, ptr.Deref(c.Spec.TimeZone, "of the daemon's machine"))
	}
	if c.Status.LastScheduleTime != nil {
		r.cause("it ran last at %s", s.at(c.Status.LastScheduleTime.Time))
	} else {
		r.cause("it has not run yet")
	}
	s.lastRun(&r, c)
	s.missed(&r, c)
	return r
}

// nextRun is when a cron job runs next, the zero time for never.
func nextRun(c *batchv1.CronJob, now time.Time) (time.Time, error) {
	expression := c.Spec.Schedule
	if c.Spec.TimeZone != nil {
		expression = "TZ=" + *c.Spec.TimeZone + " " + expression
	}
	schedule, err := cron.ParseStandard(expression)
	if err != nil {
		return time.Time{}, err
	}
	return schedule.Next(now), nil
}

// lastRun adds how the newest of a cron job's jobs went.
func (s *Scene) lastRun(r *Report, c *batchv1.CronJob) {
	jobs := controlled(s.Jobs, c)
	if len(jobs) == 0 {
		return
	}
	newest := slices.MaxFunc(jobs, func(a, b *batchv1.Job) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	if one := s.Job(newest); one.Wrong {
		r.wrong("is not well: its last job %s", one.State)
		r.below([]Report{one})
	}
	active := 0
	for _, j := range jobs {
		if j.Status.Active > 0 {
			active++
		}
	}
	if active > 0 && c.Spec.ConcurrencyPolicy == batchv1.ForbidConcurrent {
		r.cause("a job of it still runs; until it ends no other is begun (concurrencyPolicy Forbid)")
	}
}

// missed adds runs that were not begun, by the newest event about one.
func (s *Scene) missed(r *Report, c *batchv1.CronJob) {
	e := s.latest(c, "CronJob", "MissSchedule", "TooManyMissedTimes", "FailedCreate", "UnknownTimeZone", "UnparseableSchedule", "InvalidSchedule", "FailedNeedsStart")
	if e == nil || c.Status.LastScheduleTime != nil && c.Status.LastScheduleTime.After(lastSeen(e)) {
		return
	}
	r.wrong("has missed a run: %s", Reason(e.Reason, e.Message))
	r.cause("%s, %s", Reason(e.Reason, e.Message), s.seen(e))
	if c.Spec.StartingDeadlineSeconds != nil {
		r.cause("a run may begin %ds late at most (startingDeadlineSeconds)", *c.Spec.StartingDeadlineSeconds)
	}
}
