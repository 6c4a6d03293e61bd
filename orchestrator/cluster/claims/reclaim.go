package claims

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/manifests/enginevolume"
	"skiff/orchestrator/controller"
)

// reconcileVolume looks at one volume: observe, plan, execute.
func (c *Controller) reconcileVolume(ctx context.Context, key types.NamespacedName) (time.Duration, error) {
	v, err := c.Volumes.Get("", key.Name)
	if err == nil {
		err = c.reclaim(ctx, v, planVolume(v, c.claimOf(v)))
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return 0, fmt.Errorf("volume %s: %w", key.Name, err)
	}
	return 0, nil
}

// claimOf is the claim that a volume is reserved for, nil if it is gone.
func (c *Controller) claimOf(v *corev1.PersistentVolume) *corev1.PersistentVolumeClaim {
	ref := v.Spec.ClaimRef
	if ref == nil {
		return nil
	}
	claim, err := c.Claims.Get(ref.Namespace, ref.Name)
	if err != nil || claim.UID != ref.UID {
		return nil
	}
	return claim
}

func (c *Controller) reclaim(ctx context.Context, v *corev1.PersistentVolume, p volumePlan) error {
	if v.Status.Phase != p.phase || v.Status.Message != p.message {
		if err := c.show(ctx, v); err != nil {
			return err
		}
	}
	switch {
	case p.erase:
		return c.erase(ctx, v)
	case p.unprotect:
		return c.unprotect(ctx, v, func(now *corev1.PersistentVolume) bool { return planVolume(now, c.claimOf(now)).unprotect })
	}
	return nil
}

// show writes into a volume's status what the plan says, made of the volume as it is then.
func (c *Controller) show(ctx context.Context, v *corev1.PersistentVolume) error {
	_, err := c.Volumes.UpdateStatus(ctx, "", v.Name, func(current *corev1.PersistentVolume) error {
		if current.UID != v.UID {
			return controller.ErrOvertaken
		}
		p := planVolume(current, c.claimOf(current))
		current.Status.Phase, current.Status.Message = p.phase, p.message
		return nil
	})
	return err
}

// erase removes a volume's data and then the volume. While a container that has
// the data mounted is still being removed it fails, and is tried again.
func (c *Controller) erase(ctx context.Context, v *corev1.PersistentVolume) error {
	// Somebody may want to keep the data after all: they have taken the claim's name from the
	// volume or changed its policy.
	if now, err := c.Volumes.Get("", v.Name); err != nil || now.UID != v.UID || !planVolume(now, c.claimOf(now)).erase {
		return controller.ErrOvertaken
	}
	if c.Engine != nil {
		if err := c.Engine.RemoveVolume(ctx, enginevolume.Name(v)); err != nil {
			return fmt.Errorf("removing its data: %w", err)
		}
	}
	// Whatever it says now, there is nothing left that could be kept.
	if err := c.unprotect(ctx, v, func(*corev1.PersistentVolume) bool { return true }); err != nil {
		return err
	}
	return c.Volumes.Delete(ctx, "", v.Name, *metav1.NewPreconditionDeleteOptions(string(v.UID)))
}

func (c *Controller) unprotect(ctx context.Context, v *corev1.PersistentVolume, may func(*corev1.PersistentVolume) bool) error {
	_, err := c.Volumes.Update(ctx, "", v.Name, func(current *corev1.PersistentVolume) error {
		if current.UID != v.UID || !may(current) {
			return controller.ErrOvertaken
		}
		current.Finalizers = slices.DeleteFunc(current.Finalizers, func(f string) bool { return f == protectsVolume })
		return nil
	})
	return err
}
