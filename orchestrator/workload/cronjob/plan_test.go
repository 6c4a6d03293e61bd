package cronjob

import (
	"fmt"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

func at(clock string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05", "2026-11-23 "+clock)
	if err != nil {
		panic(err)
	}
	return t
}

// cronSpec makes a CronJob, made at 10:00:00, of a schedule and a line of words.
func cronSpec(schedule, line string) *batchv1.CronJob {
	c := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{
		Namespace: "default", Name: "corn", UID: "corn", CreationTimestamp: metav1.NewTime(at("10:00:00")),
	}}
	c.Spec.Schedule, c.Spec.ConcurrencyPolicy = schedule, batchv1.AllowConcurrent
	c.Spec.SuccessfulJobsHistoryLimit, c.Spec.FailedJobsHistoryLimit = ptr.To[int32](3), ptr.To[int32](1)
	for word := range strings.FieldsSeq(line) {
		key, value, _ := strings.Cut(word, "=")
		var n int64
		fmt.Sscan(value, &n)
		switch key {
		case "Forbid", "Replace":
			c.Spec.ConcurrencyPolicy = batchv1.ConcurrencyPolicy(key)
		case "deadline":
			c.Spec.StartingDeadlineSeconds = &n
		case "zone":
			c.Spec.TimeZone = &value
		case "suspended":
			c.Spec.Suspend = ptr.To(true)
		case "keep":
			c.Spec.SuccessfulJobsHistoryLimit = ptr.To(int32(n))
		case "last":
			c.Status.LastScheduleTime = &metav1.Time{Time: at(value)}
		case "active":
			c.Status.Active = append(c.Status.Active, corev1.ObjectReference{Namespace: "default", Name: value, UID: types.UID(value)})
		case "deleting":
			c.DeletionTimestamp = &metav1.Time{}
		default:
			panic(word)
		}
	}
	return c
}

// jobSpec makes a job of a line: a name, when it started and how it ended.
func jobSpec(line string) *batchv1.Job {
	words := strings.Fields(line)
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: words[0], UID: types.UID(words[0])}}
	j.Status.StartTime = &metav1.Time{Time: at(words[1])}
	if len(words) > 2 {
		j.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobConditionType(words[2]), Status: corev1.ConditionTrue}}
		if words[2] == "Complete" {
			j.Status.CompletionTime = &metav1.Time{Time: at(words[1]).Add(time.Second)}
		}
	}
	return j
}

func TestPlan(t *testing.T) {
	for _, c := range []struct {
		name, schedule, cron, now string
		jobs                      []string
		want, next                string
	}{
		{"not yet", "*/5 * * * *", "", "10:03:00", nil, "", "10:05:00.1"},
		{"due", "*/5 * * * *", "", "10:05:00", nil, "create job for 2026-11-23T10:05:00Z: due", "10:10:00.1"},
		{"made already", "*/5 * * * *", "last=10:05:00", "10:05:01", nil, "", "10:10:00.1"},
		{"made already, but not noted", "*/5 * * * *", "active=corn-29923805", "10:05:01", []string{"corn-29923805 10:05:00"}, "", "10:10:00.1"},
		{"some were missed", "*/5 * * * *", "last=10:05:00", "10:32:00", nil,
			"create job for 2026-11-23T10:30:00Z: due, the last of about 5 that were missed", "10:35:00.1"},
		{"too many were missed", "* * * * *", "last=10:00:00", "11:41:00", nil,
			"create job for 2026-11-23T11:41:00Z: due, the last of about 101 that were missed\n" +
				"tell TooManyMissedTimes: too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew", "11:42:00.1"},
		{"one fewer", "* * * * *", "last=10:00:00", "11:40:00", nil,
			"create job for 2026-11-23T11:40:00Z: due, the last of about 100 that were missed", "11:41:00.1"},
		{"a deadline limits what was missed", "* * * * *", "last=10:00:00 deadline=120", "11:45:30", nil,
			"create job for 2026-11-23T11:45:00Z: due, the last of about 2 that were missed", "11:46:00.1"},
		{"within the deadline", "0 * * * *", "last=10:00:00 deadline=200", "11:03:00", nil, "create job for 2026-11-23T11:00:00Z: due", "12:00:00.1"},
		{"past the deadline", "0 * * * *", "last=10:00:00 deadline=60", "11:03:00", nil, "", "12:00:00.1"},
		{"suspended", "* * * * *", "suspended", "11:00:00", nil, "", "never"},
		{"being deleted", "* * * * *", "deleting", "11:00:00", nil, "", "never"},
		{"in another zone", "30 16 * * *", "zone=Asia/Kolkata", "11:00:00", nil, "create job for 2026-11-23T11:00:00Z: due", "next day 11:00:00.1"},
		{"in no zone", "30 16 * * *", "zone=Mars/Olympus", "11:00:00", nil,
			`tell UnknownTimeZone: invalid timeZone: "Mars/Olympus": unknown time zone Mars/Olympus`, "never"},
		{"a day that never comes", "0 0 31 2 *", "", "11:00:00", nil,
			"tell InvalidSchedule: invalid schedule: 0 0 31 2 * : time difference between two schedules is less than 1 second", "never"},
		{"no schedule at all", "whenever", "", "11:00:00", nil,
			`tell UnparseableSchedule: unparseable schedule: "whenever" : a schedule has 5 fields, minute, hour, day of month, month and day of week, but "whenever" has 1`, "never"},
		{"every 90 seconds", "@every 90s", "last=10:03:00", "10:04:30", nil, "create job for 2026-11-23T10:04:30Z: due", "10:06:00.1"},

		{"one runs, and another may", "* * * * *", "last=10:00:00 active=a", "10:01:00", []string{"a 10:00:00"},
			"create job for 2026-11-23T10:01:00Z: due", "10:02:00.1"},
		{"one runs, and another may not", "* * * * *", "last=10:00:00 active=a Forbid", "10:01:00", []string{"a 10:00:00"},
			"tell JobAlreadyActive: Not starting job because prior execution is running and concurrency policy is Forbid", "10:02:00.1"},
		{"one runs, and makes way", "* * * * *", "last=10:00:00 active=a Replace", "10:01:00", []string{"a 10:00:00"},
			"delete job a: the next is due, and concurrencyPolicy is Replace\ncreate job for 2026-11-23T10:01:00Z: due", "10:02:00.1"},
		{"one has ended", "* * * * *", "last=10:00:00 active=a Forbid", "10:00:30", []string{"a 10:00:00 Complete"},
			"tell SawCompletedJob: Saw completed job: a, condition: Complete", "10:01:00.1"},
		{"one is gone", "* * * * *", "last=10:00:00 active=a", "10:00:30", nil, "tell MissingJob: Active job went missing: a", "10:01:00.1"},
		{"one made by hand", "* * * * *", "last=10:00:00", "10:00:30", []string{"a 10:00:10"},
			"tell UnexpectedJob: Saw a job that the controller did not create or forgot: a", "10:01:00.1"},
		{"history", "* * * * *", "last=10:00:00 keep=1", "10:00:30",
			[]string{"c 09:59:00 Complete", "a 09:57:00 Complete", "b 09:58:00 Complete", "e 09:59:30 Failed", "d 09:58:30 Failed"},
			"delete job a: 3 successful jobs, 1 are kept\ndelete job b: 3 successful jobs, 1 are kept\ndelete job d: 2 failed jobs, 1 are kept", "10:01:00.1"},
		{"the clock went back an hour", "*/5 * * * *", "last=11:05:00", "10:06:00", nil, "", "11:10:00.1"},
		{"the clock went forward an hour", "*/5 * * * *", "last=10:05:00", "11:06:00", nil,
			"create job for 2026-11-23T11:05:00Z: due, the last of about 12 that were missed", "11:10:00.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := snapshot{cron: cronSpec(c.schedule, c.cron), now: at(c.now), host: time.UTC}
			for _, j := range c.jobs {
				s.jobs = append(s.jobs, jobSpec(j))
			}
			p := makePlan(s)
			if got := p.String(); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			next := "never"
			if !p.next.IsZero() {
				next = strings.Repeat("next day ", p.next.UTC().Day()-23) + p.next.UTC().Format("15:04:05.9")
			}
			if next != c.next {
				t.Errorf("next look %s, want %s", next, c.next)
			}
		})
	}
}

func TestJobOfATime(t *testing.T) {
	c := cronSpec("* * * * *", "zone=Asia/Kolkata")
	c.Spec.JobTemplate.Labels = map[string]string{"a": "b"}
	j, err := jobOf(c, at("10:05:00"))
	if err != nil {
		t.Fatal(err)
	}
	if j.Name != fmt.Sprintf("corn-%d", at("10:05:00").Unix()/60) || j.Labels["a"] != "b" ||
		j.Annotations["batch.kubernetes.io/cronjob-scheduled-timestamp"] != "2026-11-23T15:35:00+05:30" || !metav1.IsControlledBy(j, c) {
		t.Errorf("%+v", j.ObjectMeta)
	}
}
