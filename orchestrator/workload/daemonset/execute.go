package daemonset

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator/controller"
	"skiff/orchestrator/workload"
)

// deleters is how many pods are deleted at a time.
const deleters = 64

// execute carries out the plan's creations and deletions.
func (c *Controller) execute(ctx context.Context, s *snapshot, p plan) error {
	var mu sync.Mutex
	left := p.create
	_, created := workload.SlowStart(len(p.create), func() error {
		mu.Lock()
		mine := left[0]
		left = left[1:]
		mu.Unlock()
		return c.create(ctx, s, mine.node)
	})
	var group errgroup.Group
	group.SetLimit(deleters)
	for _, d := range p.delete {
		group.Go(func() error { return c.delete(ctx, s, d) })
	}
	return errors.Join(created, group.Wait())
}

// newPod is the set's pod for a node.
func newPod(ds *appsv1.DaemonSet, node, hash string) *corev1.Pod {
	pod := workload.PodFromTemplate(&ds.Spec.Template, ds, gvk)
	pod.Labels = maps.Clone(pod.Labels)
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels[appsv1.ControllerRevisionHashLabelKey] = hash
	if generation, ok := templateGeneration(ds); ok {
		pod.Labels[templateGenerationLabel] = generation
	}
	pod.Spec.Tolerations = tolerations(&ds.Spec.Template.Spec)
	pod.Spec.Affinity = pin(ds.Spec.Template.Spec.Affinity, node)
	return pod
}

func (c *Controller) create(ctx context.Context, s *snapshot, node string) error {
	pod, err := c.pods.Create(ctx, newPod(s.set, node, s.hash))
	switch {
	case err == nil:
		c.recorder.Event(s.set, corev1.EventTypeNormal, "SuccessfulCreate", "Created pod: %s", pod.Name)
		return nil
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil // the set goes with its namespace
	case ctx.Err() == nil:
		c.recorder.Event(s.set, corev1.EventTypeWarning, "FailedCreate", "Error creating: %v", err)
	}
	return fmt.Errorf("creating a pod for node %s: %w", node, err)
}

// tellEnded records that a pod is replaced because it has ended, which a daemon
// should not.
func (c *Controller) tellEnded(s *snapshot, d deletion) {
	switch d.ended {
	case corev1.PodFailed:
		c.backoffs.failed(s.set, d.node, s.now)
		c.recorder.Event(s.set, corev1.EventTypeWarning, "FailedDaemonPod",
			"Found failed daemon pod %s/%s on node %s, will try to kill it", d.pod.Namespace, d.pod.Name, d.node)
	case corev1.PodSucceeded:
		c.recorder.Event(s.set, corev1.EventTypeNormal, "SucceededDaemonPod",
			"Found succeeded daemon pod %s/%s on node %s, will try to delete it", d.pod.Namespace, d.pod.Name, d.node)
	}
}

func (c *Controller) delete(ctx context.Context, s *snapshot, d deletion) error {
	err := c.pods.Delete(ctx, d.pod.Namespace, d.pod.Name, controller.AsSeen(d.pod))
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // it is gone or has changed, and the next look will see
	}
	c.tellEnded(s, d)
	switch {
	case err == nil:
		c.recorder.Event(s.set, corev1.EventTypeNormal, "SuccessfulDelete", "Deleted pod: %s", d.pod.Name)
		return nil
	case ctx.Err() == nil:
		c.recorder.Event(s.set, corev1.EventTypeWarning, "FailedDelete", "Error deleting: %v", err)
	}
	return fmt.Errorf("unable to delete pods: %w", err)
}

// relabel has pods of revisions that hold the present template too count as pods of
// the one that is kept.
func (c *Controller) relabel(ctx context.Context, s *snapshot, hashes map[string]bool) error {
	for _, pod := range workload.Claim(metav1.Object(s.set), s.selector, s.pods).Owned {
		if !hashes[pod.Labels[appsv1.ControllerRevisionHashLabelKey]] {
			continue
		}
		_, err := c.pods.Update(ctx, pod.Namespace, pod.Name, func(current *corev1.Pod) error {
			// It may have been released meanwhile: then it is not the set's.
			if current.UID == pod.UID && metav1.IsControlledBy(current, s.set) && hashes[current.Labels[appsv1.ControllerRevisionHashLabelKey]] {
				metav1.SetMetaDataLabel(&current.ObjectMeta, appsv1.ControllerRevisionHashLabelKey, s.hash)
			}
			return nil
		})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("relabelling pod %s: %w", pod.Name, err)
		}
	}
	return nil
}
