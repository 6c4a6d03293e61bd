package deployment

import (
	"context"
	"errors"
	"fmt"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator/controller"
)

// scalingReplicaSet is the reason of events about sizes.
const scalingReplicaSet = "ScalingReplicaSet"

// execute carries out the rest of the plan.
func (c *Controller) execute(ctx context.Context, d *appsv1.Deployment, p plan) (outcome, error) {
	o := outcome{rolls: p.rolls}
	if p.rollback != nil {
		return o, c.rollBack(ctx, d, p.rollback)
	}
	if p.mark != nil {
		if err := c.mark(ctx, d, p.mark); err != nil {
			return o, err
		}
	}
	if p.create != nil {
		return c.create(ctx, d, p.create, o)
	}
	for _, s := range p.scale {
		if err := c.scale(ctx, d, s); err != nil {
			return o, err
		}
	}
	for _, r := range p.remove {
		err := c.sets.Delete(ctx, r.set.Namespace, r.set.Name, controller.AsSeen(r.set))
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return o, fmt.Errorf("deleting replica set %s of old revision: %w", r.set.Name, err)
		}
	}
	return o, nil
}

// change changes a set, if it still is the Deployment's and asks for the pods that were seen.
func (c *Controller) change(ctx context.Context, d *appsv1.Deployment, rs *appsv1.ReplicaSet, how func(*appsv1.ReplicaSet) error) error {
	_, err := c.sets.Update(ctx, rs.Namespace, rs.Name, func(now *appsv1.ReplicaSet) error {
		if now.UID != rs.UID || now.Generation != rs.Generation || !metav1.IsControlledBy(now, d) {
			return controller.ErrOvertaken
		}
		return how(now)
	})
	return err
}

func (c *Controller) mark(ctx context.Context, d *appsv1.Deployment, m *marking) error {
	err := c.change(ctx, d, m.set, func(rs *appsv1.ReplicaSet) error {
		rs.Annotations = currentAnnotations(d, rs.Annotations, m.revision)
		rs.Spec.MinReadySeconds = d.Spec.MinReadySeconds
		return nil
	})
	if err != nil && !lost(err) {
		return fmt.Errorf("marking replica set %s as the current one: %w", m.set.Name, err)
	}
	return nil
}

func (c *Controller) create(ctx context.Context, d *appsv1.Deployment, n *creation, o outcome) (outcome, error) {
	rs, err := c.sets.Create(ctx, newSet(d, n))
	switch {
	case err == nil:
		o.created = rs.Name
		if n.replicas > 0 {
			c.recorder.Event(d, corev1.EventTypeNormal, scalingReplicaSet, "Scaled up replica set %s from 0 to %d", rs.Name, n.replicas)
		}
		return o, nil
	case apierrors.IsAlreadyExists(err):
		// If it were the set of this template, the plan would have found it.
		o.collided = true
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return o, nil // the Deployment goes with its namespace
	case ctx.Err() == nil:
		o.failure = fmt.Sprintf("Failed to create new replica set %q: %v", n.name, err)
		c.recorder.Event(d, corev1.EventTypeWarning, replicaSetCreateError, "%s", o.failure)
	}
	return o, fmt.Errorf("creating replica set %s: %w", n.name, err)
}

func (c *Controller) scale(ctx context.Context, d *appsv1.Deployment, s scaling) error {
	from := size(s.set)
	err := c.change(ctx, d, s.set, func(rs *appsv1.ReplicaSet) error {
		if size(rs) != from {
			return controller.ErrOvertaken
		}
		rs.Spec.Replicas = &s.to
		if rs.Annotations == nil {
			rs.Annotations = map[string]string{}
		}
		maps.Copy(rs.Annotations, sizeAnnotations(limitsOf(d)))
		return nil
	})
	switch {
	case lost(err) || err == nil && from == s.to:
		return nil
	case err != nil:
		return fmt.Errorf("scaling replica set %s from %d to %d: %w", s.set.Name, from, s.to, err)
	}
	direction := "up"
	if s.to < from {
		direction = "down"
	}
	c.recorder.Event(d, corev1.EventTypeNormal, scalingReplicaSet, "Scaled %s replica set %s from %d to %d", direction, s.set.Name, from, s.to)
	return nil
}

func (c *Controller) rollBack(ctx context.Context, d *appsv1.Deployment, b *rollback) error {
	_, err := c.deployments.Update(ctx, d.Namespace, d.Name, func(now *appsv1.Deployment) error {
		if now.UID != d.UID || now.Generation != d.Generation {
			return controller.ErrOvertaken
		}
		b.apply(now)
		return nil
	})
	switch {
	case lost(err):
		return nil
	case err != nil:
		return fmt.Errorf("rolling back: %w", err)
	}
	c.recorder.Event(d, b.eventType, b.reason, "%s", b.message)
	return nil
}

// lost reports whether what was to be changed is gone or another by now.
func lost(err error) bool {
	return errors.Is(err, controller.ErrOvertaken) || apierrors.IsNotFound(err)
}
