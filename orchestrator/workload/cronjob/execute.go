package cronjob

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/controller"
)

var (
	kind    = batchv1.SchemeGroupVersion.WithKind("CronJob")
	jobKind = batchv1.SchemeGroupVersion.WithKind("Job")
)

// carryOut does what the plan says and puts into its status what came of it.
func (c *Controller) carryOut(ctx context.Context, cron *batchv1.CronJob, p *plan) error {
	for _, n := range p.notices {
		c.recorder.Event(cron, n.eventType, n.reason, "%s", n.message)
	}
	for _, r := range p.remove {
		// What could not be removed is too many at the next look as well.
		if err := c.remove(ctx, cron, r); err != nil && ctx.Err() == nil && !errors.Is(err, controller.ErrOvertaken) {
			c.logger.Warn("removing a job beyond the history limit failed", "job", r.name, "error", err)
		}
	}
	for _, r := range p.replace {
		if err := c.remove(ctx, cron, r); err != nil {
			return fmt.Errorf("could not replace job %s/%s: %w", cron.Namespace, r.name, err)
		}
		p.drop(r.uid)
	}
	if p.start.IsZero() {
		return nil
	}
	return c.start(ctx, cron, p)
}

func (c *Controller) remove(ctx context.Context, cron *batchv1.CronJob, r removal) error {
	err := c.options.Jobs.Delete(ctx, cron.Namespace, r.name, metav1.DeleteOptions{
		PropagationPolicy: ptr.To(metav1.DeletePropagationBackground),
		Preconditions:     &metav1.Preconditions{UID: &r.uid, ResourceVersion: &r.version},
	})
	switch {
	case err == nil:
		c.recorder.Event(cron, corev1.EventTypeNormal, "SuccessfulDelete", "Deleted job %v", r.name)
		return nil
	case apierrors.IsNotFound(err):
		return nil
	case apierrors.IsConflict(err):
		return controller.ErrOvertaken
	case ctx.Err() == nil:
		c.recorder.Event(cron, corev1.EventTypeWarning, "FailedDelete", "Deleted job: %v", err)
	}
	return fmt.Errorf("deleting job %s/%s: %w", cron.Namespace, r.name, err)
}

// start makes the job that is due. Its name is a function of the time it is due
// at, so that one that a crash kept from being noted is found, not repeated.
func (c *Controller) start(ctx context.Context, cron *batchv1.CronJob, p *plan) error {
	wanted, err := jobOf(cron, p.start)
	if err != nil {
		return err
	}
	made, err := c.options.Jobs.Create(ctx, wanted)
	switch {
	case err == nil:
		c.recorder.Event(cron, corev1.EventTypeNormal, "SuccessfulCreate", "Created job %v", made.Name)
	case apierrors.IsAlreadyExists(err):
		made, err = c.options.Jobs.Get(cron.Namespace, jobName(cron, p.start))
		if err != nil {
			return err
		}
		if !metav1.IsControlledBy(made, cron) || p.active(made.UID) {
			return nil // somebody else's
		}
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil // it goes with its namespace
	default:
		if ctx.Err() == nil {
			c.recorder.Event(cron, corev1.EventTypeWarning, "FailedCreate", "Error creating job: %v", err)
		}
		return fmt.Errorf("creating a job of cron job %s/%s: %w", cron.Namespace, cron.Name, err)
	}
	p.status.Active = append(p.status.Active, corev1.ObjectReference{
		APIVersion: jobKind.GroupVersion().String(), Kind: jobKind.Kind,
		Namespace: made.Namespace, Name: made.Name, UID: made.UID, ResourceVersion: made.ResourceVersion,
	})
	p.status.LastScheduleTime = &metav1.Time{Time: p.start}
	return nil
}

// jobName is the name of the job of a time: schedules are in minutes, and so is
// the number in it.
func jobName(cron *batchv1.CronJob, due time.Time) string {
	return fmt.Sprintf("%s-%d", cron.Name, due.Unix()/60)
}

func jobOf(cron *batchv1.CronJob, due time.Time) (*batchv1.Job, error) {
	zone, err := time.LoadLocation(ptr.Deref(cron.Spec.TimeZone, ""))
	if err != nil {
		return nil, err
	}
	template := cron.Spec.JobTemplate.DeepCopy()
	annotations := maps.Clone(template.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[batchv1.CronJobScheduledTimestampAnnotation] = due.In(zone).Format(time.RFC3339)
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: cron.Namespace, Name: jobName(cron, due), Labels: template.Labels, Annotations: annotations,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(cron, kind)},
		},
		Spec: template.Spec,
	}, nil
}

// write writes the status, if it is another now.
func (c *Controller) write(ctx context.Context, cron *batchv1.CronJob, s *batchv1.CronJobStatus) error {
	if apiequality.Semantic.DeepEqual(&cron.Status, s) {
		return nil
	}
	_, err := c.options.CronJobs.UpdateStatus(ctx, cron.Namespace, cron.Name, func(current *batchv1.CronJob) error {
		if current.UID != cron.UID || !apiequality.Semantic.DeepEqual(&current.Status, &cron.Status) {
			return controller.ErrOvertaken
		}
		s.DeepCopyInto(&current.Status)
		return nil
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("writing the status of cron job %s/%s: %w", cron.Namespace, cron.Name, err)
	}
	return nil
}
