package cronjob

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/orchestrator/internal/testbed"
	"skiff/orchestrator/workload/job"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newCron is a CronJob that the registry accepts.
func newCron(name, schedule string) *batchv1.CronJob {
	c := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: batchv1.CronJobSpec{Schedule: schedule}}
	c.Spec.JobTemplate.Spec.Template.Spec = testbed.PodSpec()
	c.Spec.JobTemplate.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	manifests.Scheme().Default(c)
	return c
}

type bed struct {
	*testbed.Bed
	t    *testing.T
	stop func()
}

func newBed(t *testing.T) *bed {
	b := &bed{Bed: testbed.New(t), t: t}
	b.start()
	return b
}

func (b *bed) options() Options {
	return Options{
		CronJobs: registry.For[*batchv1.CronJob](b.Registry), Jobs: registry.For[*batchv1.Job](b.Registry),
		Env: b.Env(), Workers: 4, Zone: time.UTC,
	}
}

func (b *bed) start() { b.stop = b.Run(New(b.options()).Run) }

// jobs are the names of all jobs, with how they ended.
func (b *bed) jobs() string {
	synctest.Wait()
	var names []string
	for _, j := range testbed.List[*batchv1.Job](b.Bed, "default") {
		end, _ := job.Finished(j)
		names = append(names, strings.TrimSpace(j.Name+" "+string(end)))
	}
	return strings.Join(names, ", ")
}

func (b *bed) finish(name string) {
	synctest.Wait()
	testbed.UpdateStatus(b.Bed, "default", name, func(j *batchv1.Job) {
		now := metav1.NewTime(time.Now().Truncate(time.Second))
		j.Status.StartTime, j.Status.CompletionTime = &now, &now
		for _, t := range []batchv1.JobConditionType{batchv1.JobSuccessCriteriaMet, batchv1.JobComplete} {
			j.Status.Conditions = append(j.Status.Conditions, batchv1.JobCondition{Type: t, Status: corev1.ConditionTrue, LastTransitionTime: now})
		}
	})
	synctest.Wait()
}

// minute is the number in the name of the job of the n-th minute of the test.
func minute(n int) int64 { return time.Date(2000, 1, 1, 0, n, 0, 0, time.UTC).Unix() / 60 }

func TestJobsAreMadeEachMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		testbed.Create(b.Bed, newCron("corn", "0-59 * * * *"))
		time.Sleep(30 * time.Second)
		if got := b.jobs(); got != "" {
			t.Errorf("jobs %s", got)
		}
		for i := 1; i <= 5; i++ {
			time.Sleep(time.Minute)
			b.finish(fmt.Sprintf("corn-%d", minute(i)))
		}
		want := fmt.Sprintf("corn-%d Complete, corn-%d Complete, corn-%d Complete", minute(3), minute(4), minute(5))
		if got := b.jobs(); got != want {
			t.Errorf("jobs %s, want %s", got, want)
		}
		c, _ := testbed.Get[*batchv1.CronJob](b.Bed, "default", "corn")
		if len(c.Status.Active) > 0 || c.Status.LastScheduleTime.Unix()/60 != minute(5) || c.Status.LastSuccessfulTime == nil {
			t.Errorf("status %+v", c.Status)
		}
		events := b.Recorder.Take()
		for _, want := range []string{
			fmt.Sprintf("Normal SuccessfulCreate corn: Created job corn-%d", minute(1)),
			fmt.Sprintf("Normal SawCompletedJob corn: Saw completed job: corn-%d, condition: Complete", minute(1)),
			fmt.Sprintf("Normal SuccessfulDelete corn: Deleted job corn-%d", minute(1)),
		} {
			if strings.Count(events, want) != 1 {
				t.Errorf("want once %q in\n%s", want, events)
			}
		}
	})
}

func TestJobMadeBeforeACrashIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		testbed.Create(b.Bed, newCron("corn", "* * * * *"))
		time.Sleep(61 * time.Second)
		synctest.Wait()
		b.stop()
		testbed.UpdateStatus(b.Bed, "default", "corn", func(c *batchv1.CronJob) { c.Status = batchv1.CronJobStatus{} })
		b.start()
		if got, want := b.jobs(), fmt.Sprintf("corn-%d", minute(1)); got != want {
			t.Errorf("jobs %s, want %s", got, want)
		}
		c, _ := testbed.Get[*batchv1.CronJob](b.Bed, "default", "corn")
		if len(c.Status.Active) != 1 || c.Status.LastScheduleTime == nil {
			t.Errorf("status %+v", c.Status)
		}
	})
}

func TestAnotherScheduleHasMissedNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		testbed.Create(b.Bed, newCron("corn", "0 0 1 1 *"))
		time.Sleep(10*time.Minute + 30*time.Second)
		testbed.Update(b.Bed, "default", "corn", func(c *batchv1.CronJob) { c.Spec.Schedule = "*/2 * * * *" })
		if got := b.jobs(); got != "" {
			t.Errorf("jobs %s", got)
		}
		time.Sleep(2 * time.Minute)
		if got, want := b.jobs(), fmt.Sprintf("corn-%d", minute(12)); got != want {
			t.Errorf("jobs %s, want %s", got, want)
		}
	})
}

func TestResumedCronJobMakesUpForTheLastTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		c := newCron("corn", "*/2 * * * *")
		c.Spec.Suspend = ptr.To(true)
		testbed.Create(b.Bed, c)
		time.Sleep(9 * time.Minute)
		if got := b.jobs(); got != "" {
			t.Errorf("jobs %s", got)
		}
		testbed.Update(b.Bed, "default", "corn", func(c *batchv1.CronJob) { c.Spec.Suspend = ptr.To(false) })
		if got, want := b.jobs(), fmt.Sprintf("corn-%d", minute(8)); got != want {
			t.Errorf("jobs %s, want %s", got, want)
		}
	})
}

// TestClockJumps sets the time of day without letting time pass for the queue's
// timers, as when a laptop wakes or its clock is set.
func TestClockJumps(t *testing.T) {
	start := time.Date(2026, 11, 23, 10, 0, 30, 0, time.UTC)
	for _, c := range []struct {
		name string
		jump time.Duration
		want []string
	}{
		{"forward", time.Hour, []string{"corn-29923860"}},
		{"back", -time.Hour, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := testbed.New(t)
			fake := clocktesting.NewFakeClock(start)
			testbed.Create(b, newCron("corn", "0 * * * *"))
			testbed.UpdateStatus(b, "default", "corn", func(c *batchv1.CronJob) { c.Status.LastScheduleTime = &metav1.Time{Time: start.Add(-30 * time.Second)} })
			jumps := make(chan time.Time)
			o := (&bed{Bed: b}).options()
			o.Clock = jumping{fake, jumps}
			b.Run(New(o).Run)
			fake.SetTime(start.Add(c.jump))
			jumps <- fake.Now()
			jumps <- fake.Now() // the first has been dealt with once this is taken
			var got []string
			for range 200 {
				got = nil
				for _, j := range testbed.List[*batchv1.Job](b, "default") {
					got = append(got, j.Name)
				}
				if slices.Equal(got, c.want) && c.want != nil {
					break
				}
				time.Sleep(time.Millisecond)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("jobs %v, want %v", got, c.want)
			}
		})
	}
}

// jumping is a clock whose tickers tick when the test says so.
type jumping struct {
	*clocktesting.FakeClock
	ticks chan time.Time
}

func (j jumping) NewTicker(time.Duration) clock.Ticker { return ticker(j.ticks) }

type ticker chan time.Time

func (t ticker) C() <-chan time.Time { return t }
func (t ticker) Stop()               {}

// TestThousandCronJobsOfOneMinute holds that none is left out and none is made
// twice; BenchmarkThousandDueAtOnce tells how long it takes.
func TestThousandCronJobsOfOneMinute(t *testing.T) {
	const n = 1000
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		jobs := job.Options{
			Pods: registry.For[*corev1.Pod](b.Registry), Jobs: registry.For[*batchv1.Job](b.Registry), Env: b.Env(), Workers: 16,
		}
		b.Run(job.New(jobs).Run)
		for i := range n {
			testbed.Create(b.Bed, newCron(fmt.Sprintf("corn-%d", i), "* * * * *"))
		}
		time.Sleep(65 * time.Second)
		synctest.Wait()
		late, pods := 0, testbed.List[*corev1.Pod](b.Bed, "default")
		for _, p := range pods {
			if p.CreationTimestamp.Second() >= 5 {
				late++
			}
		}
		if len(pods) != n || late > 0 {
			t.Errorf("%d pods, %d of them late; want %d", len(pods), late, n)
		}
	})
}

// BenchmarkThousandDueAtOnce is what the same takes in real time, from the minute
// to the last pod: the figure is 5 s.
func BenchmarkThousandDueAtOnce(b *testing.B) {
	const n = 1000
	for range b.N {
		b.StopTimer()
		bed := testbed.New(b)
		ctx := context.WithoutCancel(b.Context())
		crons := registry.For[*batchv1.CronJob](bed.Registry)
		for i := range n {
			if _, err := crons.Create(ctx, newCron(fmt.Sprintf("corn-%d", i), "* * * * *")); err != nil {
				b.Fatal(err)
			}
		}
		for _, c := range crons.List("default", nil) {
			_, err := crons.UpdateStatus(ctx, "default", c.Name, func(c *batchv1.CronJob) error {
				c.Status.LastScheduleTime = &metav1.Time{Time: time.Now().Add(-time.Minute).Truncate(time.Minute)}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer() // a time has come for all of them
		o := Options{CronJobs: crons, Jobs: registry.For[*batchv1.Job](bed.Registry), Env: bed.Env(), Workers: 32}
		stopCrons := bed.Run(New(o).Run)
		stopJobs := bed.Run(job.New(job.Options{
			Pods: registry.For[*corev1.Pod](bed.Registry), Jobs: registry.For[*batchv1.Job](bed.Registry), Env: bed.Env(), Workers: 32,
		}).Run)
		for len(testbed.List[*corev1.Pod](bed, "default")) < n {
			time.Sleep(5 * time.Millisecond)
		}
		b.StopTimer()
		stopCrons()
		stopJobs()
	}
}
