package job

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator/workload"
)

// writers is how many pods are changed at a time.
const writers = 64

// claim carries out the plan's adoptions and releases.
func (c *Controller) claim(ctx context.Context, j *batchv1.Job, p *plan) error {
	var errs []error
	for _, pod := range p.release {
		errs = append(errs, workload.Release(ctx, c.options.Pods, pod, j))
	}
	for _, pod := range p.adopt {
		errs = append(errs, c.adopt(ctx, j, pod))
	}
	return errors.Join(errs...)
}

// adopt looks first whether the job still is what it was when the plan was made:
// one that is being deleted must not take over pods.
func (c *Controller) adopt(ctx context.Context, j *batchv1.Job, pod *corev1.Pod) error {
	current, err := c.options.Jobs.Get(j.Namespace, j.Name)
	if err != nil {
		return fmt.Errorf("adopting pod %s: %w", pod.Name, err)
	}
	if current.UID != j.UID || current.DeletionTimestamp != nil {
		return fmt.Errorf("adopting pod %s: its new controller is being deleted", pod.Name)
	}
	return workload.Adopt(ctx, tracking{c.options.Pods}, pod, j, kind)
}

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
	if uncounted {
		err := c.untrack(ctx, pod, workload.Active)
		if errors.Is(err, errEnded) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	err := c.options.Pods.Delete(ctx, pod.Namespace, pod.Name, *metav1.NewPreconditionDeleteOptions(string(pod.UID)))
	switch {
	case err == nil:
		c.recorder.Event(j, corev1.EventTypeNormal, "SuccessfulDelete", "Deleted pod: %s", pod.Name)
		return nil
	case apierrors.IsNotFound(err), apierrors.IsConflict(err):
		return nil // it is gone, or another has its name; the next look will see
	case ctx.Err() == nil:
		c.recorder.Event(j, corev1.EventTypeWarning, "FailedDelete", "Error deleting: %v", err)
	}
	return fmt.Errorf("unable to delete pods: %w", err)
}

// settleAll takes finalizers away.
func (c *Controller) settleAll(ctx context.Context, pods []*corev1.Pod) error {
	var group errgroup.Group
	group.SetLimit(writers)
	for _, p := range pods {
		group.Go(func() error { return c.settle(ctx, p) })
	}
	return group.Wait()
}

// settle takes a pod's finalizer away.
func (c *Controller) settle(ctx context.Context, pod *corev1.Pod) error {
	return c.untrack(ctx, pod, func(*corev1.Pod) bool { return true })
}

// errEnded leaves a pod its finalizer.
var errEnded = errors.New("it has ended meanwhile")

// untrack takes a pod's finalizer away, if the pod still is such that it may go.
func (c *Controller) untrack(ctx context.Context, pod *corev1.Pod, may func(*corev1.Pod) bool) error {
	_, err := c.options.Pods.Update(ctx, pod.Namespace, pod.Name, func(p *corev1.Pod) error {
		if p.UID == pod.UID {
			if !may(p) {
				return errEnded
			}
			p.Finalizers = slices.DeleteFunc(p.Finalizers, func(f string) bool { return f == batchv1.JobTrackingFinalizer })
		}
		return nil
	})
	if err == nil || apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("removing the finalizer of pod %s: %w", pod.Name, err)
}

// errOvertaken ends the writing of a status that another has changed meanwhile.
var errOvertaken = errors.New("its status has been changed by another")

// write writes a status, if it is another than the job has. The counts in it hold
// only on top of those it was made from.
func (c *Controller) write(ctx context.Context, j *batchv1.Job, s *batchv1.JobStatus) (*batchv1.Job, error) {
	if apiequality.Semantic.DeepEqual(&j.Status, s) {
		return j, nil
	}
	written, err := c.options.Jobs.UpdateStatus(ctx, j.Namespace, j.Name, func(current *batchv1.Job) error {
		if current.UID != j.UID || !apiequality.Semantic.DeepEqual(&current.Status, &j.Status) {
			return errOvertaken
		}
		s.DeepCopyInto(&current.Status)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("writing the status of job %s/%s: %w", j.Namespace, j.Name, err)
	}
	return written, nil
}
