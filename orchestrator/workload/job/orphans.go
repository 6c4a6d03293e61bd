package job

import (
	"context"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/manifests/registry"
	"skiff/orchestrator/controller"
)

// orphans is the loop that takes the finalizer from pods that no job will count
// any more: theirs is gone or has finished, or they have been released. Without
// it they could not be deleted.
func (c *Controller) orphans() *controller.Loop[types.NamespacedName] {
	return &controller.Loop[types.NamespacedName]{
		Name: "job-orphans", Workers: c.options.Workers, Reconcile: c.reconcileOrphan,
		Sources: []controller.Source[types.NamespacedName]{
			controller.Follow(c.options.Feeds.Of("pods"), func(now, _ *corev1.Pod, add func(types.NamespacedName)) {
				if now != nil && c.orphaned(now) {
					add(controller.NameOf(now))
				}
			}),
			controller.Follow(c.options.Feeds.Of("jobs.batch"), c.leftBy),
		},
		Env: c.options.Env,
	}
}

// leftBy adds the pods of a job that has gone or finished.
func (c *Controller) leftBy(now, before *batchv1.Job, add func(types.NamespacedName)) {
	j := now
	if j == nil {
		j = before
	} else if _, finished := Finished(j); !finished {
		return
	}
	for _, p := range c.options.Pods.ByIndex(registry.IndexController, string(j.UID)) {
		if tracked(p) {
			add(controller.NameOf(p))
		}
	}
}

func (c *Controller) reconcileOrphan(ctx context.Context, key types.NamespacedName) (time.Duration, error) {
	p, err := c.options.Pods.Get(key.Namespace, key.Name)
	if apierrors.IsNotFound(err) || err == nil && !c.orphaned(p) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	c.logger.Debug("plan", "pod", key.String(), "steps", "remove the finalizer: no job will count the pod")
	_, err = c.untrack(ctx, p, c.orphaned)
	return 0, err
}

// orphaned reports whether a pod has the finalizer and no job that will take it
// away.
func (c *Controller) orphaned(p *corev1.Pod) bool {
	if !tracked(p) {
		return false
	}
	ref := metav1.GetControllerOfNoCopy(p)
	if ref == nil {
		return true
	}
	if controllerOf(p) == (types.NamespacedName{}) {
		return false // the finalizer is the business of whoever controls the pod
	}
	j, err := c.options.Jobs.Get(p.Namespace, ref.Name)
	if err != nil || j.UID != ref.UID {
		return apierrors.IsNotFound(err) || err == nil
	}
	_, finished := Finished(j)
	return finished && !foreign(j)
}
