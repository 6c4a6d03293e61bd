package table

import (
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	batchv1beta1 "k8s.io/api/batch/v1beta1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/utils/ptr"
)

func jobColumns() []metav1.TableColumnDefinition {
	columns := []metav1.TableColumnDefinition{
		nameColumn(),
		text("Status", "How far the job has come."),
		text("Completions", "How many of the job's pods have succeeded, of how many that must."),
		text("Duration", "The time the job took, or has taken so far."),
		ageColumn(),
	}
	return append(append(columns, templateColumns()...), selectorColumn())
}

func jobCells(j *batchv1.Job, now time.Time) []any {
	names, images := namesAndImages(j.Spec.Template.Spec.Containers)
	return []any{
		j.Name, jobStatus(j), completions(j), jobDuration(j, now), age(j.CreationTimestamp, now),
		names, images, metav1.FormatLabelSelector(j.Spec.Selector),
	}
}

// completions are the successes had and needed. Without a number of completions one success is
// enough, whichever of the parallel pods has it.
func completions(j *batchv1.Job) string {
	switch had, parallel := j.Status.Succeeded, ptr.Deref(j.Spec.Parallelism, 0); {
	case j.Spec.Completions != nil:
		return fmt.Sprintf("%d/%d", had, *j.Spec.Completions)
	case parallel > 1:
		return fmt.Sprintf("%d/1 of %d", had, parallel)
	default:
		return fmt.Sprintf("%d/1", had)
	}
}

func jobDuration(j *batchv1.Job, now time.Time) string {
	if j.Status.StartTime == nil {
		return ""
	}
	end := now
	if j.Status.CompletionTime != nil {
		end = j.Status.CompletionTime.Time
	}
	return duration.HumanDuration(end.Sub(j.Status.StartTime.Time))
}

func jobStatus(j *batchv1.Job) string {
	switch {
	case jobIs(j, batchv1.JobComplete):
		return "Complete"
	case jobIs(j, batchv1.JobFailed):
		return "Failed"
	case j.DeletionTimestamp != nil:
		return "Terminating"
	}
	for _, t := range []batchv1.JobConditionType{batchv1.JobSuspended, batchv1.JobFailureTarget, batchv1.JobSuccessCriteriaMet} {
		if jobIs(j, t) {
			return string(t)
		}
	}
	return "Running"
}

// jobIs reports whether a condition of the job is true.
func jobIs(j *batchv1.Job, t batchv1.JobConditionType) bool {
	for _, c := range j.Status.Conditions {
		if c.Type == t {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func cronJobColumns() []metav1.TableColumnDefinition {
	columns := []metav1.TableColumnDefinition{
		nameColumn(),
		text("Schedule", "When jobs are made, in cron's notation."),
		text("Timezone", "The time zone of the schedule."),
		truth("Suspend", "Whether no jobs are made for the time being."),
		number("Active", "How many of the jobs run."),
		text("Last Schedule", "The time since a job was made."),
		ageColumn(),
	}
	return append(append(columns, templateColumns()...), selectorColumn())
}

// cronJobCellsOf lays out cron jobs of either served version, which differ in nothing but their
// name.
func cronJobCellsOf(obj runtime.Object, now time.Time) ([]any, error) {
	switch c := obj.(type) {
	case *batchv1.CronJob:
		return cronJobCells(c, now), nil
	case *batchv1beta1.CronJob:
		return cronJobCells(&batchv1.CronJob{
			ObjectMeta: c.ObjectMeta,
			Spec: batchv1.CronJobSpec{
				Schedule: c.Spec.Schedule, TimeZone: c.Spec.TimeZone, Suspend: c.Spec.Suspend,
				JobTemplate: batchv1.JobTemplateSpec{Spec: c.Spec.JobTemplate.Spec},
			},
			Status: batchv1.CronJobStatus{Active: c.Status.Active, LastScheduleTime: c.Status.LastScheduleTime},
		}, now), nil
	}
	return nil, unexpected(obj)
}

func cronJobCells(c *batchv1.CronJob, now time.Time) []any {
	last := none
	if c.Status.LastScheduleTime != nil {
		last = age(*c.Status.LastScheduleTime, now)
	}
	suspend := unset
	if c.Spec.Suspend != nil {
		suspend = map[bool]string{true: "True", false: "False"}[*c.Spec.Suspend]
	}
	job := &c.Spec.JobTemplate.Spec
	names, images := namesAndImages(job.Template.Spec.Containers)
	return []any{
		c.Name, c.Spec.Schedule, orOf(c.Spec.TimeZone, none), suspend, int64(len(c.Status.Active)), last,
		age(c.CreationTimestamp, now), names, images, metav1.FormatLabelSelector(job.Selector),
	}
}
