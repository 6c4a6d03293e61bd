package job

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/manifests/podfacts"
	"skiff/orchestrator/controller"
	"skiff/orchestrator/workload"
)

// writers is how many pods are changed at a time.
const writers = 64

// tracking gives pods the finalizer in the write that changes them.
type tracking struct{ Pods }

func (t tracking) Update(ctx context.Context, namespace, name string, change func(*corev1.Pod) error) (*corev1.Pod, error) {
	return t.Pods.Update(ctx, namespace, name, func(p *corev1.Pod) error {
		if err := change(p); err != nil || tracked(p) {
			return err
		}
		p.Finalizers = append(p.Finalizers, batchv1.JobTrackingFinalizer)
		return nil
	})
}

// carryOut deletes or creates the plan's pods.
func (c *Controller) carryOut(ctx context.Context, j *batchv1.Job, p *plan) error {
	var group errgroup.Group
	group.SetLimit(writers)
	for _, v := range p.delete {
		group.Go(func() error { return c.delete(ctx, j, v.Pod, p.uncounted) })
	}
	if err := group.Wait(); err != nil || p.create == 0 {
		return err
	}
	var next atomic.Int64
	_, err := workload.SlowStart(p.create, func() error {
		index := noIndex
		if p.indexes != nil {
			index = p.indexes[next.Add(1)-1]
		}
		return c.create(ctx, j, podOf(j, index, p.held[index]))
	})
	return err
}

func (c *Controller) create(ctx context.Context, j *batchv1.Job, pod *corev1.Pod) error {
	pod, err := c.options.Pods.Create(ctx, pod)
	switch {
	case err == nil:
		c.recorder.Event(j, corev1.EventTypeNormal, "SuccessfulCreate", "Created pod: %s", pod.Name)
		return nil
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil // the job goes with its namespace
	case ctx.Err() == nil:
		c.recorder.Event(j, corev1.EventTypeWarning, "FailedCreate", "Error creating: %v", err)
	}
	return err
}

// delete deletes a pod. Without its finalizer, which goes first, it is not
// counted; one that has ended meanwhile is left, to be counted.
func (c *Controller) delete(ctx context.Context, j *batchv1.Job, pod *corev1.Pod, uncounted bool) error {
	options := controller.AsSeen(pod)
	if uncounted {
		untracked, err := c.untrack(ctx, pod, func(p *corev1.Pod) bool {
			return podfacts.Active(p) && metav1.IsControlledBy(p, j) && maps.Equal(p.Labels, pod.Labels)
		})
		if err != nil || untracked == nil {
			return err
		}
		options = controller.AsSeen(untracked)
	}
	err := c.options.Pods.Delete(ctx, pod.Namespace, pod.Name, options)
	switch {
	case err == nil:
		c.recorder.Event(j, corev1.EventTypeNormal, "SuccessfulDelete", "Deleted pod: %s", pod.Name)
		return nil
	case apierrors.IsNotFound(err), apierrors.IsConflict(err):
		return nil // it is gone or has changed, and the next look will see
	case ctx.Err() == nil:
		c.recorder.Event(j, corev1.EventTypeWarning, "FailedDelete", "Error deleting: %v", err)
	}
	return fmt.Errorf("unable to delete pods: %w", err)
}

// settleAll takes the finalizers of pods away that the job's books have.
func (c *Controller) settleAll(ctx context.Context, j *batchv1.Job, pods []*corev1.Pod) error {
	var group errgroup.Group
	group.SetLimit(writers)
	for _, p := range pods {
		group.Go(func() error {
			_, err := c.untrack(ctx, p, func(p *corev1.Pod) bool { return metav1.IsControlledBy(p, j) })
			return err
		})
	}
	return group.Wait()
}

// untrack takes a pod's finalizer away, if the pod is still such that it may go: it fails with
// controller.ErrOvertaken when it is not. Without the finalizer no job counts a pod, and the job
// that controls it deletes it. untrack returns the pod as it is then, nil if it is gone.
func (c *Controller) untrack(ctx context.Context, pod *corev1.Pod, may func(*corev1.Pod) bool) (*corev1.Pod, error) {
	untracked, err := c.options.Pods.Update(ctx, pod.Namespace, pod.Name, func(p *corev1.Pod) error {
		if p.UID != pod.UID || !may(p) {
			return controller.ErrOvertaken
		}
		p.Finalizers = slices.DeleteFunc(p.Finalizers, func(f string) bool { return f == batchv1.JobTrackingFinalizer })
		return nil
	})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("removing the finalizer of pod %s: %w", pod.Name, err)
	}
	return untracked, nil
}

// write writes a status, if it is another than the job has. The counts in it hold
// only on top of those it was made from.
func (c *Controller) write(ctx context.Context, j *batchv1.Job, s *batchv1.JobStatus) (*batchv1.Job, error) {
	if apiequality.Semantic.DeepEqual(&j.Status, s) {
		return j, nil
	}
	written, err := c.options.Jobs.UpdateStatus(ctx, j.Namespace, j.Name, func(current *batchv1.Job) error {
		if current.UID != j.UID || !apiequality.Semantic.DeepEqual(&current.Status, &j.Status) {
			return controller.ErrOvertaken
		}
		s.DeepCopyInto(&current.Status)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("writing the status of job %s/%s: %w", j.Namespace, j.Name, err)
	}
	return written, nil
}
