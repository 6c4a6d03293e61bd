package up

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/cli/pods"
	"skiff/cli/resource"
	"skiff/cli/rollout"
)

// recreatePods replaces the pods that a workload has from before this run, if it has any: of one that has
// rollouts by a rollout, which what is applied next becomes part of; replica sets and controllers have
// none, so their pods are deleted. Jobs and pods on their own are replaced as they are applied.
func (r *runner) recreatePods(ctx context.Context, t resource.Target) error {
	var err error
	switch t.Mapping.GroupVersionKind.Kind {
	case "Deployment", "StatefulSet", "DaemonSet":
		_, err = rollout.Restart(ctx, r.client, t.Ref, r.env.Now())
	case "ReplicaSet", "ReplicationController":
		err = r.deletePods(ctx, t)
	default:
		return nil
	}
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("replacing the pods of %s: %w", t.Ref, err)
	}
	fmt.Fprintf(r.env.Err, "%s: all its pods are replaced\n", t.Ref)
	return nil
}

// deletePods deletes the pods that a controller has, which makes others. It does not wait for them: up
// does not count pods that are being deleted.
func (r *runner) deletePods(ctx context.Context, t resource.Target) error {
	owner, err := r.client.Get(ctx, t.Ref)
	if err != nil {
		return err
	}
	own, err := r.podsOf(ctx, t)
	if err != nil {
		return err
	}
	for i := range own {
		if !metav1.IsControlledBy(&own[i], owner) {
			continue
		}
		if err := pods.Delete(ctx, r.client, &own[i]); err != nil {
			return err
		}
	}
	return nil
}
