// Package cluster holds what looks after the cluster as a whole. Its parts have
// a folder each: garbage, namespaces, podgc, scheduling and others.
package cluster

import (
	"context"
	"fmt"
	"net/netip"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	networkingv1 "k8s.io/api/networking/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/orchestrator/cluster/ingress"
	"skiff/orchestrator/controller"
	"skiff/store"
)

// Bootstrap makes what every cluster has from the start and is not there yet: the namespaces default,
// kube-system, kube-public and kube-node-lease, the system's priority classes, the flow schemas and
// priority levels of requests, the IngressClass of the front door, the ServiceCIDR "kubernetes", and the Services of the API and of DNS.
//
// services is the range of that ServiceCIDR when there is none. Services that are older than
// ServiceCIDRs are given addresses of it, with an event each. One that is stored keeps its range: that is
// for SetServiceRange to change.
func Bootstrap(ctx context.Context, r *registry.Registry, recorder controller.Recorder, services netip.Prefix) error {
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
	for _, level := range manifests.PriorityLevels() {
		group.Go(func() error {
			return ensure(together, registry.For[*flowcontrolv1.PriorityLevelConfiguration](r), level.DeepCopy())
		})
	}
	for _, s := range manifests.FlowSchemas() {
		group.Go(func() error { return ensure(together, registry.For[*flowcontrolv1.FlowSchema](r), s.DeepCopy()) })
	}
	group.Go(func() error { return ensure(together, registry.For[*networkingv1.IngressClass](r), ingressClass()) })
	group.Go(func() error { return ensureRange(together, r, recorder, services) })
	if err := group.Wait(); err != nil {
		return err
	}
	return ensureServices(ctx, r)
}

// ensureRange sets the range of services to the one that is stored, or else to the one given: what is
// wrong about it, or about the addresses of services, is put right.
func ensureRange(ctx context.Context, r *registry.Registry, recorder controller.Recorder, services netip.Prefix) error {
	if stored, ok := r.Services().DefaultRange(); ok {
		services = stored
	}
	return SetServiceRange(ctx, r, recorder, services, nil)
}

// ingressClass is the class of the front door, which new Ingresses have by default.
func ingressClass() *networkingv1.IngressClass {
	return &networkingv1.IngressClass{
		ObjectMeta: metav1.ObjectMeta{Name: "skiff", Annotations: map[string]string{networkingv1.AnnotationIsDefaultIngressClass: "true"}},
		Spec:       networkingv1.IngressClassSpec{Controller: ingress.Controller},
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
