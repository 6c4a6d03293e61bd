package cronjob

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	"skiff/manifests/registry"
	"skiff/orchestrator/internal/testbed"
	"skiff/orchestrator/workload/job"
	"skiff/store"
)

// act is one thing that somebody does to the cluster, or that time does. n chooses the job, the
// figure or the duration.
type act struct {
	verb string
	n    int
}

func (a act) String() string { return fmt.Sprint(a.verb, " ", a.n) }

var verbs = []string{
	"pass", "pass", "pass", "pass", "pass", "pass", "complete", "complete", "fail", "delete", "suspend", "resume", "policy", "deadline", "keep", "stop", "start",
}

var policies = []batchv1.ConcurrencyPolicy{batchv1.AllowConcurrent, batchv1.ForbidConcurrent, batchv1.ReplaceConcurrent}

// every is the distance of the times of the CronJob.
const every = time.Minute

// TestAnySequenceKeepsTheSchedule holds that whatever is done to a CronJob, its jobs and its
// controller, in whatever order, no time has two jobs, each time has one unless something the
// CronJob asks for forbids it, and no job is made that it forbids.
func TestAnySequenceKeepsTheSchedule(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		acts := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) act {
			return act{rapid.SampledFrom(verbs).Draw(r, "verb"), rapid.IntRange(0, 4).Draw(r, "n")}
		}), 1, 40).Draw(r, "acts")
		policy := rapid.SampledFrom(policies).Draw(r, "policy")
		var failure string
		synctest.Test(t, func(t *testing.T) { failure = play(t, acts, policy) })
		if failure != "" {
			r.Fatalf("%v (%s): %s", acts, policy, failure)
		}
	})
}

// judge watches a CronJob and its jobs.
type judge struct {
	*bed
	began   time.Time
	running bool

	faults testbed.Faults

	mu   sync.Mutex
	made map[string]bool // all jobs that were ever made
}

func play(t *testing.T, acts []act, policy batchv1.ConcurrencyPolicy) string {
	j := &judge{bed: newBed(t), began: time.Now(), running: true, made: map[string]bool{}}
	if _, err := j.Feeds.Of("jobs.batch").Subscribe(t.Context(), func(e store.Event) {
		if e.Type == watch.Added {
			j.created(e.Object.(*batchv1.Job))
		}
	}); err != nil {
		t.Fatal(err)
	}
	c := newCron("corn", "* * * * *")
	c.Spec.ConcurrencyPolicy = policy
	testbed.Create(j.Bed, c)
	for _, a := range acts {
		j.act(a)
		synctest.Wait()
		if j.running {
			j.look()
		}
		if wrong := j.faults.Found(); wrong != "" {
			return fmt.Sprintf("after %s: %s", a, wrong)
		}
	}
	return ""
}

func (j *judge) cron() *batchv1.CronJob {
	c, _ := testbed.Get[*batchv1.CronJob](j.Bed, "default", "corn")
	return c
}

// ended sorts the jobs by how they ended; those that have not are under "".
func (j *judge) ended() map[batchv1.JobConditionType][]string {
	jobs := map[batchv1.JobConditionType][]string{}
	for _, o := range testbed.List[*batchv1.Job](j.Bed, "default") {
		end, _ := job.Finished(o)
		jobs[end] = append(jobs[end], o.Name)
	}
	return jobs
}

// created checks that a new job was allowed.
func (j *judge) created(o *batchv1.Job) {
	j.mu.Lock()
	defer j.mu.Unlock()
	c, now := j.cron(), time.Now()
	due, err := time.Parse(time.RFC3339, o.Annotations[batchv1.CronJobScheduledTimestampAnnotation])
	blame := func(format string, args ...any) { j.faults.Blame(o.Name+" "+format, args...) }
	switch others := slices.DeleteFunc(j.ended()[""], func(name string) bool { return name == o.Name }); {
	case err != nil:
		blame("has no time: %v", err)
	case j.made[o.Name]:
		blame("made twice")
	case due.After(now) || due.Truncate(every) != due || o.Name != jobName(c, due):
		blame("made for %s", due)
	case ptr.Deref(c.Spec.Suspend, false):
		blame("made while suspended")
	case c.Spec.StartingDeadlineSeconds != nil && now.Sub(due) > time.Duration(*c.Spec.StartingDeadlineSeconds)*time.Second:
		blame("made %s late", now.Sub(due))
	case c.Spec.ConcurrencyPolicy != batchv1.AllowConcurrent && len(others) > 0:
		blame("made beside %s, and concurrencyPolicy is %s", others, c.Spec.ConcurrencyPolicy)
	}
	j.made[o.Name] = true
}

// look checks what must hold while the controller runs and has nothing left to do.
func (j *judge) look() {
	j.mu.Lock()
	defer j.mu.Unlock()
	c, jobs, now := j.cron(), j.ended(), time.Now()
	if due, late := j.due(now); late > padding && !j.made[jobName(c, due)] && !j.excused(c, jobs[""], late) {
		j.faults.Blame("no job for %s", due)
	}
	var active []string
	for _, r := range c.Status.Active {
		active = append(active, r.Name)
	}
	slices.Sort(active)
	if !slices.Equal(active, jobs[""]) {
		j.faults.Blame("active %v, but %v have not ended", active, jobs[""])
	}
	for end, limit := range map[batchv1.JobConditionType]*int32{
		batchv1.JobComplete: c.Spec.SuccessfulJobsHistoryLimit, batchv1.JobFailed: c.Spec.FailedJobsHistoryLimit,
	} {
		if len(jobs[end]) > int(*limit) {
			j.faults.Blame("%d jobs %s, %d are kept", len(jobs[end]), end, *limit)
		}
	}
}

// due is the last time of the CronJob, and how long ago it was; nothing is due before the first.
func (j *judge) due(now time.Time) (due time.Time, late time.Duration) {
	if due = now.Truncate(every); !due.After(j.began) {
		return due, 0
	}
	return due, now.Sub(due)
}

// excused reports whether a time may have no job.
func (j *judge) excused(c *batchv1.CronJob, active []string, late time.Duration) bool {
	deadline := c.Spec.StartingDeadlineSeconds
	return ptr.Deref(c.Spec.Suspend, false) ||
		deadline != nil && late > time.Duration(*deadline)*time.Second ||
		c.Spec.ConcurrencyPolicy == batchv1.ForbidConcurrent && len(active) > 0
}

// act does something, or nothing when there is nothing to do it to.
func (j *judge) act(a act) {
	change := func(do func(*batchv1.CronJobSpec)) {
		testbed.Update(j.Bed, "default", "corn", func(c *batchv1.CronJob) { do(&c.Spec) })
	}
	switch a.verb {
	case "pass":
		time.Sleep(time.Duration(7+10*a.n) * time.Second) // less than every: each time is looked at
	case "suspend", "resume":
		change(func(s *batchv1.CronJobSpec) { s.Suspend = ptr.To(a.verb == "suspend") })
	case "policy":
		change(func(s *batchv1.CronJobSpec) {
			s.ConcurrencyPolicy = policies[a.n%len(policies)]
		})
	case "deadline":
		change(func(s *batchv1.CronJobSpec) {
			s.StartingDeadlineSeconds = []*int64{nil, ptr.To[int64](10), ptr.To[int64](30), ptr.To[int64](90), nil}[a.n]
		})
	case "keep":
		change(func(s *batchv1.CronJobSpec) {
			s.SuccessfulJobsHistoryLimit, s.FailedJobsHistoryLimit = ptr.To(int32(a.n)), ptr.To(int32(a.n/2))
		})
	case "stop":
		if j.running {
			j.stop()
		}
		j.running = false
	case "start":
		if !j.running {
			j.start()
		}
		j.running = true
	case "complete", "fail", "delete":
		j.end(a)
	}
}

// end ends a job that has not ended, or deletes any job.
func (j *judge) end(a act) {
	jobs := testbed.List[*batchv1.Job](j.Bed, "default")
	if a.verb != "delete" {
		jobs = slices.DeleteFunc(jobs, func(o *batchv1.Job) bool { _, ended := job.Finished(o); return ended })
	}
	if len(jobs) == 0 {
		return
	}
	switch name := jobs[a.n%len(jobs)].Name; a.verb {
	case "complete":
		j.finish(name)
	case "fail":
		testbed.UpdateStatus(j.Bed, "default", name, func(o *batchv1.Job) {
			now := metav1.NewTime(time.Now().Truncate(time.Second))
			o.Status.StartTime = &now
			for _, t := range []batchv1.JobConditionType{batchv1.JobFailureTarget, batchv1.JobFailed} {
				o.Status.Conditions = append(o.Status.Conditions, batchv1.JobCondition{Type: t, Status: corev1.ConditionTrue, LastTransitionTime: now})
			}
		})
	case "delete":
		_ = registry.For[*batchv1.Job](j.Registry).Delete(j.t.Context(), "default", name, metav1.DeleteOptions{
			PropagationPolicy: ptr.To(metav1.DeletePropagationBackground),
		})
	}
}
