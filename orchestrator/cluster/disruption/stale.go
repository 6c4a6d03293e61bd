package disruption

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/manifests/podfacts"
	"skiff/orchestrator/controller"
)

// staleTimeout is for how long a pod may be noted as being disrupted without
// being deleted. It is upstream's.
const staleTimeout = 2 * time.Minute

// disruptedOnly adds pods that are noted as being disrupted.
func disruptedOnly(now, _ *corev1.Pod, add func(types.NamespacedName)) {
	if now != nil && disrupted(now) != nil {
		add(controller.NameOf(now))
	}
}

// disrupted is the condition of a pod that is to be deleted and is not yet. The
// node agent's own is left out: it may take as long as the pod takes to end.
func disrupted(p *corev1.Pod) *corev1.PodCondition {
	if p.DeletionTimestamp != nil || podfacts.Terminal(p) {
		return nil
	}
	for i := range p.Status.Conditions {
		c := &p.Status.Conditions[i]
		if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue && c.Reason != corev1.PodReasonTerminationByKubelet {
			return c
		}
	}
	return nil
}

// forget takes the note back from a pod whose deletion has not come in time.
func (c *Controller) forget(ctx context.Context, key types.NamespacedName) (time.Duration, error) {
	pod, err := c.pods.Get(key.Namespace, key.Name)
	if err != nil {
		return 0, ignoreNotFound(err)
	}
	condition := disrupted(pod)
	if condition == nil {
		return 0, nil
	}
	now := c.options.Clock.Now()
	if left := condition.LastTransitionTime.Add(staleTimeout).Sub(now); left > 0 {
		return left, nil
	}
	_, err = c.pods.UpdateStatus(ctx, key.Namespace, key.Name, func(p *corev1.Pod) error {
		// It may have been noted anew meanwhile.
		if stale := disrupted(p); p.UID == pod.UID && stale != nil && stale.LastTransitionTime.Equal(&condition.LastTransitionTime) {
			*stale = corev1.PodCondition{
				Type: corev1.DisruptionTarget, Status: corev1.ConditionFalse,
				LastTransitionTime: metav1.NewTime(now), ObservedGeneration: stale.ObservedGeneration,
			}
		}
		return nil
	})
	if err = ignoreNotFound(err); err != nil {
		return 0, fmt.Errorf("forgetting the disruption of pod %s: %w", key, err)
	}
	return 0, nil
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
