package definitions

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/manifests"
	"skiff/manifests/registry"
)

// terminating is what the condition of that name says.
type terminating struct {
	status          extv1.ConditionStatus
	reason, message string
}

// remove deletes all objects of a definition that is being deleted, and lets the definition go when
// none is left. What holds an object back is waited for: its departure is a cause to look again.
func (c *Controller) remove(ctx context.Context, p *manifests.Packed) error {
	if !slices.Contains(p.Finalizers, extv1.CustomResourceCleanupFinalizer) {
		return nil
	}
	resource := c.options.Registry.Custom(manifests.ResourceOf(p.Name), "")
	if resource == nil {
		return c.finish(ctx, p.Name, terminating{extv1.ConditionFalse, "NeverEstablished", "resource was never established"})
	}
	if c.left(p.Name) > 0 {
		inProgress := terminating{extv1.ConditionTrue, "InstanceDeletionInProgress", "CustomResource deletion is in progress"}
		if err := c.report(ctx, p.Name, inProgress, false); err != nil {
			return err
		}
		_, _, err := resource.DeleteCollection(ctx, "", &metav1.DeleteOptions{}, registry.ListOptions{}, registry.DeleteOptions{})
		if err != nil {
			failed := terminating{extv1.ConditionTrue, "InstanceDeletionFailed", fmt.Sprintf("could not issue all deletes: %v", err)}
			if err := c.report(ctx, p.Name, failed, false); err != nil {
				return err
			}
			return fmt.Errorf("deleting the objects of %s: %w", p.Name, err)
		}
	}
	if n := c.left(p.Name); n > 0 {
		c.logger.Debug("objects of a definition remain", "definition", p.Name, "objects", n)
		return nil
	}
	return c.finish(ctx, p.Name, terminating{extv1.ConditionFalse, "InstanceDeletionCompleted", "removed all instances"})
}

func (c *Controller) left(name string) int { return c.options.Registry.Store().Snapshot(name).Len() }

func (c *Controller) finish(ctx context.Context, name string, t terminating) error {
	return c.report(ctx, name, t, true)
}

// report notes how far the deletion is, and takes the finalizer away when it is done.
func (c *Controller) report(ctx context.Context, name string, t terminating, done bool) error {
	_, err := c.crds.UpdateStatus(ctx, "", name, func(crd *extv1.CustomResourceDefinition) error {
		apihelpers.SetCRDCondition(crd, extv1.CustomResourceDefinitionCondition{
			Type: extv1.Terminating, Status: t.status, Reason: t.reason, Message: t.message, LastTransitionTime: c.now(),
		})
		if done {
			apihelpers.CRDRemoveFinalizer(crd, extv1.CustomResourceCleanupFinalizer)
		}
		return nil
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("writing the status of the definition %s: %w", name, err)
	}
	return nil
}
