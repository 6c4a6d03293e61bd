// Package cluster holds what looks after the cluster as a whole. Its parts have
// a folder each: garbage, namespaces, podgc, scheduling.
package cluster

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/store"
)

// Bootstrap makes what every cluster has from the start and is not there yet:
// the namespaces default, kube-system, kube-public and kube-node-lease, the
// system's priority classes, and the Service of the API.
func Bootstrap(ctx context.Context, r *registry.Registry) error {
	// All at once, so that they share a transaction: the first start waits for it.
	group, together := errgroup.WithContext(ctx)
	for _, name := range []string{
		metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease,
	} {
		group.Go(func() error {
			return ensure(together, registry.For[*corev1.Namespace](r), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
		})
	}
	for _, class := range manifests.SystemPriorityClasses() {
		group.Go(func() error { return ensure(together, registry.For[*schedulingv1.PriorityClass](r), class) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ensure(ctx, registry.For[*corev1.Service](r), apiService())
}

// apiService is the Service by which every cluster's API is known. Its address is the first of the range, which clients
// take for granted (k8s.io/kubernetes/pkg/controlplane/controller/kubernetesservice).
func apiService() *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: metav1.NamespaceDefault, Name: "kubernetes",
			Labels: map[string]string{"component": "apiserver", "provider": "kubernetes"},
		},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeClusterIP, ClusterIP: "10.96.0.1",
			Ports: []corev1.ServicePort{{Name: "https", Protocol: corev1.ProtocolTCP, Port: 443, TargetPort: intstr.FromInt32(7443)}},
		},
	}
}

// ensure creates an object unless there is one of its name.
func ensure[T store.Object](ctx context.Context, c registry.Client[T], o T) error {
	name := o.GetName()
	if _, err := c.Get(o.GetNamespace(), name); err == nil {
		return nil
	}
	if _, err := c.Create(ctx, o); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("creating %T %s: %w", o, name, err)
	}
	return nil
}
