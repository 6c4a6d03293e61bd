package replicas

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"skiff/orchestrator/controller"
	"skiff/orchestrator/workload"
)

// Reasons of events and of the ReplicaFailure condition.
const (
	successfulCreate = "SuccessfulCreate"
	failedCreate     = "FailedCreate"
	successfulDelete = "SuccessfulDelete"
	failedDelete     = "FailedDelete"
)

// deleters is how many pods are deleted at a time.
const deleters = 64

// scale carries out the plan's creations or deletions.
func (c *Controller[T]) scale(ctx context.Context, s set, p plan) *failure {
	if p.create > 0 {
		_, err := workload.SlowStart(p.create, func() error { return c.create(ctx, s) })
		if err != nil {
			return &failure{failedCreate, err}
		}
	}
	var group errgroup.Group
	group.SetLimit(deleters)
	for _, v := range p.delete {
		group.Go(func() error { return c.delete(ctx, s, v.Pod) })
	}
	if err := group.Wait(); err != nil {
		return &failure{failedDelete, err}
	}
	return nil
}

func (c *Controller[T]) create(ctx context.Context, s set) error {
	if len(s.template.Labels) == 0 {
		return errors.New("unable to create pods, no labels")
	}
	pod, err := c.pods.Create(ctx, workload.PodFromTemplate(s.template, s.object, c.kind.gvk))
	switch {
	case err == nil:
		c.recorder.Event(s.object, corev1.EventTypeNormal, successfulCreate, "Created pod: %s", pod.Name)
		return nil
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil // the set goes with its namespace
	case ctx.Err() == nil:
		c.recorder.Event(s.object, corev1.EventTypeWarning, failedCreate, "Error creating: %v", err)
	}
	return err
}

func (c *Controller[T]) delete(ctx context.Context, s set, pod *corev1.Pod) error {
	err := c.pods.Delete(ctx, pod.Namespace, pod.Name, controller.AsSeen(pod))
	switch {
	case err == nil:
		c.recorder.Event(s.object, corev1.EventTypeNormal, successfulDelete, "Deleted pod: %s", pod.Name)
		return nil
	case apierrors.IsNotFound(err), apierrors.IsConflict(err):
		return nil // it is gone or has changed, and the next look will see
	case ctx.Err() == nil:
		c.recorder.Event(s.object, corev1.EventTypeWarning, failedDelete, "Error deleting: %v", err)
	}
	return fmt.Errorf("unable to delete pods: %w", err)
}
