package job

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/controller"
)

// Sweeper deletes finished jobs, with their pods, when ttlSecondsAfterFinished
// are over.
type Sweeper struct {
	options Options
	logger  *slog.Logger
}

// NewSweeper returns the controller. It needs neither Pods nor a Recorder.
func NewSweeper(o Options) *Sweeper {
	return &Sweeper{options: o, logger: o.Logger.With("controller", "ttl-after-finished")}
}

// Run deletes until ctx ends.
func (s *Sweeper) Run(ctx context.Context) error {
	loop := controller.Loop[types.NamespacedName]{
		Name: "ttl-after-finished", Reconcile: s.reconcile,
		Sources: []controller.Source[types.NamespacedName]{
			controller.Follow(s.options.Feeds.Of("jobs.batch"), func(now, _ *batchv1.Job, add func(types.NamespacedName)) {
				if now != nil && !expiry(now).IsZero() {
					add(controller.NameOf(now))
				}
			}),
		},
		Env: s.options.Env,
	}
	return loop.Run(ctx)
}

func (s *Sweeper) reconcile(ctx context.Context, key types.NamespacedName) (time.Duration, error) {
	j, err := s.options.Jobs.Get(key.Namespace, key.Name)
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading job %s: %w", key, err)
	}
	end := expiry(j)
	if end.IsZero() {
		return 0, nil
	}
	if left := end.Sub(s.options.Clock.Now()); left > 0 {
		return left, nil
	}
	s.logger.Info("deleting job", "job", key.String(), "cause", "ttlSecondsAfterFinished are over")
	// A change of the TTL since the job was read makes the deletion fail, and the
	// next look starts from it.
	err = s.options.Jobs.Delete(ctx, j.Namespace, j.Name, metav1.DeleteOptions{
		PropagationPolicy: ptr.To(metav1.DeletePropagationForeground),
		Preconditions:     &metav1.Preconditions{UID: &j.UID, ResourceVersion: &j.ResourceVersion},
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return 0, fmt.Errorf("deleting job %s: %w", key, err)
	}
	return 0, nil
}

// expiry is when a job is to be deleted, the zero time for never.
func expiry(j *batchv1.Job) time.Time {
	t, finished := Finished(j)
	if !finished || j.Spec.TTLSecondsAfterFinished == nil || j.DeletionTimestamp != nil {
		return time.Time{}
	}
	return condition(j, t).LastTransitionTime.Add(time.Duration(*j.Spec.TTLSecondsAfterFinished) * time.Second)
}
