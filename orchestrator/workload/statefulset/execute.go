package statefulset

import (
	"context"
	"errors"
	"fmt"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator/controller"
	"skiff/orchestrator/workload"
)

// execute carries out the plan's phases, one after another.
func (c *Controller) execute(ctx context.Context, s *snapshot, p plan) error {
	for _, phase := range p.phases {
		if err := c.take(ctx, s, phase, p.together); err != nil {
			return err
		}
	}
	return nil
}

// take takes turns one by one, or together: in growing batches, so that when all
// would fail for the same reason, few do.
func (c *Controller) take(ctx context.Context, s *snapshot, turns []turn, together bool) error {
	if !together {
		for _, t := range turns {
			if err := c.do(ctx, s, t); err != nil {
				return err
			}
		}
		return nil
	}
	var mu sync.Mutex
	left := turns
	_, err := workload.SlowStart(len(turns), func() error {
		mu.Lock()
		mine := left[0]
		left = left[1:]
		mu.Unlock()
		return c.do(ctx, s, mine)
	})
	return err
}

// do takes one turn, as far as nothing fails.
func (c *Controller) do(ctx context.Context, s *snapshot, t turn) error {
	for _, step := range t {
		var err error
		switch step.do {
		case createClaim:
			err = c.createClaim(ctx, s, step)
		case ownClaim:
			err = c.ownClaim(ctx, s, step)
		case createPod:
			err = c.createPod(ctx, s, step)
		case refusePod:
			err = errors.New(step.cause)
			c.tell(ctx, s, "Create", podName(s.set, step.ordinal), err)
		case updatePod:
			err = c.updatePod(ctx, s, step)
		case deletePod:
			err = c.deletePod(ctx, s, step)
		}
		if err != nil {
			return fmt.Errorf("%s %s: %w", step.do, step.name, err)
		}
	}
	return nil
}

// tell records what has become of a pod, in upstream's words.
func (c *Controller) tell(ctx context.Context, s *snapshot, verb, pod string, err error) {
	switch {
	case err == nil:
		c.recorder.Event(s.set, corev1.EventTypeNormal, "Successful"+verb, "%s Pod %s in StatefulSet %s successful", verb, pod, s.set.Name)
	case ctx.Err() == nil:
		c.recorder.Event(s.set, corev1.EventTypeWarning, "Failed"+verb, "%s Pod %s in StatefulSet %s failed error: %v", verb, pod, s.set.Name, err)
	}
}

func (c *Controller) createClaim(ctx context.Context, s *snapshot, step step) error {
	pod := podName(s.set, step.ordinal)
	_, err := c.volumeClaims.Create(ctx, step.claim.DeepCopy())
	switch {
	case err == nil:
		c.recorder.Event(s.set, corev1.EventTypeNormal, "SuccessfulCreate", "Create Claim %s Pod %s in StatefulSet %s success", step.name, pod, s.set.Name)
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil // the set goes with its namespace
	case apierrors.IsAlreadyExists(err):
		return controller.ErrOvertaken // somebody has made it meanwhile
	case ctx.Err() == nil:
		c.recorder.Event(s.set, corev1.EventTypeWarning, "FailedCreate", "Create Claim %s for Pod %s in StatefulSet %s failed error: %v", step.name, pod, s.set.Name, err)
		err = fmt.Errorf("failed to create PVC %s: %w", step.name, err)
		c.tell(ctx, s, "Create", pod, err)
	}
	return err
}

func (c *Controller) ownClaim(ctx context.Context, s *snapshot, step step) error {
	n := step.ordinal
	pod := holder{kind: podKind, name: podName(s.set, n)}
	if step.pod != nil {
		pod.uid = step.pod.UID
	}
	r := retentionOf(s.set, pod, n < first(s.set) || n >= end(s.set))
	if r.foreign(step.claim) {
		c.recorder.Event(s.set, corev1.EventTypeWarning, "ConflictingController",
			"PersistentVolumeClaim %s has a conflicting OwnerReference that acts as a manging controller, the retention policy is ignored for this claim", step.name)
	}
	_, err := c.volumeClaims.Update(ctx, step.claim.Namespace, step.claim.Name, func(current *corev1.PersistentVolumeClaim) error {
		if current.UID != step.claim.UID {
			return controller.ErrOvertaken
		}
		if err := c.unchanged(s.set); err != nil {
			return err
		}
		current.OwnerReferences = r.owners(current)
		return nil
	})
	if apierrors.IsNotFound(err) {
		return nil // the next look will see
	}
	return err
}

// unchanged fails with controller.ErrOvertaken unless the set still asks for what was planned. With
// the retention policy, data goes with the pods that are scaled away.
func (c *Controller) unchanged(seen *appsv1.StatefulSet) error {
	set, err := c.sets.Get(seen.Namespace, seen.Name)
	if apierrors.IsNotFound(err) || err == nil && (set.UID != seen.UID || set.Generation != seen.Generation) {
		return controller.ErrOvertaken
	}
	return err
}

func (c *Controller) createPod(ctx context.Context, s *snapshot, step step) error {
	pod, err := newPod(s.set, step.ordinal, step.from)
	if err == nil {
		_, err = c.pods.Create(ctx, pod)
	}
	switch {
	case err == nil:
		c.tell(ctx, s, "Create", step.name, nil)
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil // the set goes with its namespace
	case !apierrors.IsAlreadyExists(err):
		c.tell(ctx, s, "Create", step.name, err)
	}
	return err
}

func (c *Controller) updatePod(ctx context.Context, s *snapshot, step step) error {
	_, err := c.pods.Update(ctx, step.pod.Namespace, step.pod.Name, func(current *corev1.Pod) error {
		if !metav1.IsControlledBy(current, s.set) || current.UID != step.pod.UID {
			return controller.ErrOvertaken
		}
		identify(current, step.ordinal)
		if !mountsClaims(s.set, current, step.ordinal) {
			mountClaims(s.set, current, step.ordinal)
		}
		return nil
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if errors.Is(err, controller.ErrOvertaken) {
		return err
	}
	c.tell(ctx, s, "Update", step.name, err)
	return err
}

func (c *Controller) deletePod(ctx context.Context, s *snapshot, step step) error {
	if err := c.unchanged(s.set); err != nil {
		return err
	}
	err := c.pods.Delete(ctx, step.pod.Namespace, step.pod.Name, controller.AsSeen(step.pod))
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return controller.ErrOvertaken // it is gone or has changed
	}
	c.tell(ctx, s, "Delete", step.name, err)
	return err
}
