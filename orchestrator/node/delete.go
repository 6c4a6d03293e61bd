package node

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// deletePod writes the last status and deletes the object. It is gone then, unless finalizers hold
// it.
func (a *Agent) deletePod(ctx context.Context, r *record) {
	err := a.write(ctx, r)
	if err == nil {
		zero := int64(0)
		err = a.pods.Delete(ctx, r.namespace, r.name, metav1.DeleteOptions{
			GracePeriodSeconds: &zero,
			Preconditions:      &metav1.Preconditions{UID: &r.uid},
		})
	}
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) || errors.Is(err, errOtherPod) || ctx.Err() != nil {
		return
	}
	a.log.Error("pod not deleted, will retry", "pod", r.name, "namespace", r.namespace, "error", err)
	a.pause(ctx, retryDelay)
}

// forgetPod removes the last traces of a pod. A daemon that is not root can't remove what a
// container's root has written: then the directory stays.
func (a *Agent) forgetPod(ctx context.Context, r *record) {
	r.releaseAddress(a.Addresses)
	if err := a.volumes.Remove(ctx, r.uid); err != nil {
		a.log.Error("volumes of a pod are left behind", "pod", r.name, "namespace", r.namespace, "error", err)
	}
	a.records.forget(r)
}
