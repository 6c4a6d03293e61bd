package cronjob

import (
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/workload/cronjob/schedule"
	"skiff/orchestrator/workload/job"
)

// snapshot is what one look at a CronJob saw.
type snapshot struct {
	cron *batchv1.CronJob
	// jobs are those it controls.
	jobs []*batchv1.Job
	now  time.Time
	// host is the time zone of schedules that name none.
	host *time.Location
}

// notice is an event to be recorded.
type notice struct{ eventType, reason, message string }

// removal is a job that is to be deleted, and why.
type removal struct {
	name    string
	uid     types.UID
	version string
	cause   string
}

// plan is what is to be done about a CronJob.
type plan struct {
	notices []notice
	// remove are jobs beyond the history limits, replace those that run and are to
	// make way for the next.
	remove, replace []removal
	// status is what it should show, what is done apart.
	status batchv1.CronJobStatus
	// start is the time whose job is due, zero if none is; cause says why.
	start time.Time
	cause string
	// next is when to look again, zero if time alone will change nothing.
	next time.Time
}

// String is the plan's steps, one a line, each with its cause.
func (p *plan) String() string {
	var lines []string
	for _, r := range append(slices.Clone(p.remove), p.replace...) {
		lines = append(lines, fmt.Sprintf("delete job %s: %s", r.name, r.cause))
	}
	if !p.start.IsZero() {
		lines = append(lines, fmt.Sprintf("create job for %s: %s", p.start.UTC().Format(time.RFC3339), p.cause))
	}
	for _, n := range p.notices {
		lines = append(lines, fmt.Sprintf("tell %s: %s", n.reason, n.message))
	}
	return strings.Join(lines, "\n")
}

func (p *plan) tell(eventType, reason, format string, args ...any) {
	p.notices = append(p.notices, notice{eventType, reason, fmt.Sprintf(format, args...)})
}

// makePlan compares what a CronJob asks for with the jobs there are.
func makePlan(s snapshot) *plan {
	p := &plan{status: *s.cron.Status.DeepCopy()}
	p.trim(s)
	p.follow(s)
	if s.cron.DeletionTimestamp != nil {
		return p
	}
	zone := s.host
	if name := s.cron.Spec.TimeZone; name != nil {
		var err error
		if zone, err = time.LoadLocation(*name); err != nil {
			p.tell(corev1.EventTypeWarning, "UnknownTimeZone", "invalid timeZone: %q: %s", *name, err)
			return p
		}
	}
	if ptr.Deref(s.cron.Spec.Suspend, false) {
		return p
	}
	times, err := schedule.Parse(s.cron.Spec.Schedule, zone)
	if err != nil {
		p.tell(corev1.EventTypeWarning, "UnparseableSchedule", "unparseable schedule: %q : %s", s.cron.Spec.Schedule, err)
		return p
	}
	p.run(s, times)
	return p
}

// trim chooses the jobs that are more than the history limits keep, the oldest
// first.
func (p *plan) trim(s snapshot) {
	for _, h := range []struct {
		limit *int32
		end   batchv1.JobConditionType
		what  string
	}{
		{s.cron.Spec.SuccessfulJobsHistoryLimit, batchv1.JobComplete, "successful"},
		{s.cron.Spec.FailedJobsHistoryLimit, batchv1.JobFailed, "failed"},
	} {
		if h.limit == nil {
			continue
		}
		var ended []*batchv1.Job
		for _, j := range s.jobs {
			if end, finished := job.Finished(j); finished && end == h.end && j.DeletionTimestamp == nil {
				ended = append(ended, j)
			}
		}
		slices.SortFunc(ended, byStart)
		for _, j := range ended[:max(0, len(ended)-int(*h.limit))] {
			p.remove = append(p.remove, removal{j.Name, j.UID, j.ResourceVersion, fmt.Sprintf("%d %s jobs, %d are kept", len(ended), h.what, *h.limit)})
			p.drop(j.UID)
		}
	}
}

// byStart orders jobs by when they started, those that have not last.
func byStart(a, b *batchv1.Job) int {
	switch x, y := a.Status.StartTime, b.Status.StartTime; {
	case x == nil && y != nil:
		return 1
	case x != nil && y == nil:
		return -1
	case x != nil && !x.Equal(y):
		return x.Compare(y.Time)
	}
	return strings.Compare(a.Name, b.Name)
}

// follow brings the list of active jobs up to date.
func (p *plan) follow(s snapshot) {
	exists := map[types.UID]bool{}
	for _, j := range s.jobs {
		exists[j.UID] = true
		end, finished := job.Finished(j)
		switch listed := p.active(j.UID); {
		case !finished && !listed:
			p.tell(corev1.EventTypeWarning, "UnexpectedJob", "Saw a job that the controller did not create or forgot: %s", j.Name)
		case finished && listed:
			p.drop(j.UID)
			p.tell(corev1.EventTypeNormal, "SawCompletedJob", "Saw completed job: %s, condition: %v", j.Name, end)
		}
		if at := j.Status.CompletionTime; finished && end == batchv1.JobComplete && at != nil {
			if last := p.status.LastSuccessfulTime; last == nil || at.After(last.Time) {
				p.status.LastSuccessfulTime = at.DeepCopy()
			}
		}
	}
	for _, r := range slices.Clone(p.status.Active) {
		if !exists[r.UID] {
			p.drop(r.UID)
			p.tell(corev1.EventTypeNormal, "MissingJob", "Active job went missing: %v", r.Name)
		}
	}
}

func (p *plan) active(uid types.UID) bool {
	return slices.ContainsFunc(p.status.Active, func(r corev1.ObjectReference) bool { return r.UID == uid })
}

func (p *plan) drop(uid types.UID) {
	p.status.Active = slices.DeleteFunc(p.status.Active, func(r corev1.ObjectReference) bool { return r.UID == uid })
}

// run decides whether a job is due.
func (p *plan) run(s snapshot, times *schedule.Schedule) {
	missed, err := missedTimes(s, times, true)
	if missed.last.IsZero() {
		if err != nil {
			p.tell(corev1.EventTypeWarning, "InvalidSchedule", "invalid schedule: %s : %s", s.cron.Spec.Schedule, err)
			return
		}
		p.next = nextLook(s, times)
		return
	}
	p.next = nextLook(s, times)
	if missed.many {
		p.tell(corev1.EventTypeWarning, "TooManyMissedTimes", "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew")
	}
	due := missed.last
	deadline := s.cron.Spec.StartingDeadlineSeconds
	switch {
	case deadline != nil && due.Add(time.Duration(*deadline)*time.Second).Before(s.now):
		p.tell(corev1.EventTypeWarning, "MissSchedule", "Missed scheduled time to start a job: %s", due.UTC().Format(time.RFC1123Z))
		return
	case p.started(s, due):
		return
	case s.cron.Spec.ConcurrencyPolicy == batchv1.ForbidConcurrent && len(p.status.Active) > 0:
		p.tell(corev1.EventTypeNormal, "JobAlreadyActive", "Not starting job because prior execution is running and concurrency policy is Forbid")
		return
	case s.cron.Spec.ConcurrencyPolicy == batchv1.ReplaceConcurrent:
		for _, j := range s.jobs {
			if p.active(j.UID) {
				p.replace = append(p.replace, removal{j.Name, j.UID, j.ResourceVersion, "the next is due, and concurrencyPolicy is Replace"})
			}
		}
	}
	p.start, p.cause = due, "due"
	if missed.count > 1 {
		p.cause = fmt.Sprintf("due, the last of about %d that were missed", missed.count)
	}
}

// started reports whether the job of a time has been made already.
func (p *plan) started(s snapshot, due time.Time) bool {
	name := jobName(s.cron, due)
	return s.cron.Status.LastScheduleTime != nil && s.cron.Status.LastScheduleTime.Time.Equal(due) ||
		slices.ContainsFunc(p.status.Active, func(r corev1.ObjectReference) bool { return r.Name == name })
}
