package node

import (
	"context"
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// renewLease renews the node's Lease, which says that the node is alive
// (https://kubernetes.io/docs/concepts/architecture/leases/#node-heart-beats).
func (a *Agent) renewLease(ctx context.Context) {
	renew := func(l *coordinationv1.Lease) error {
		node, err := a.ownNode()
		if err != nil {
			return err
		}
		a.hold(l, node)
		return nil
	}
	_, err := a.leases.Update(ctx, corev1.NamespaceNodeLease, a.Name, renew)
	if apierrors.IsNotFound(err) {
		err = a.createLease(ctx)
	}
	if err != nil && ctx.Err() == nil && !a.unregistered() {
		a.log.Error("lease not renewed, will retry", "error", err)
	}
}

func (a *Agent) createLease(ctx context.Context) error {
	node, err := a.ownNode()
	if err != nil {
		return fmt.Errorf("creating the lease of node %s: %w", a.Name, err)
	}
	l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: corev1.NamespaceNodeLease, Name: a.Name}}
	a.hold(l, node)
	if _, err := a.leases.Create(ctx, l); err != nil {
		return fmt.Errorf("creating the lease of node %s: %w", a.Name, err)
	}
	return nil
}

// hold makes a Lease the node's. One that a node of the same name has left becomes this node's.
func (a *Agent) hold(l *coordinationv1.Lease, node *corev1.Node) {
	l.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: a.Name, UID: node.UID}}
	duration := max(int32(a.LeaseDuration.Seconds()), 1)
	now := metav1.NewMicroTime(a.Clock.Now())
	l.Spec.HolderIdentity, l.Spec.LeaseDurationSeconds, l.Spec.RenewTime = &a.Name, &duration, &now
}
