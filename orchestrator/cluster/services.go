package cluster

import (
	"context"
	"fmt"
	"net/netip"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"skiff/manifests/registry"
	"skiff/manifests/serviceip"
	"skiff/orchestrator/controller"
)

// apiTarget is the port at which pods find the API behind its Service, and oldAPITarget the one that
// the Services of earlier versions name.
const (
	apiTarget    = 6443
	oldAPITarget = 7443
)

// ServicesComponent is who records the events of SetServiceRange: upstream's name for it.
const ServicesComponent = "service-cidr-controller"

// SetServiceRange makes services get their addresses from an IPv4 range and from no other one, and
// gives those that have an address elsewhere one of it, which is none that avoid, unless nil, names:
// see registry.Services. There is an event about each of them. If all is so already it does nothing.
func SetServiceRange(ctx context.Context, r *registry.Registry, recorder controller.Recorder, to netip.Prefix, avoid func(netip.Addr) bool) error {
	moves, err := r.Services().SetRange(ctx, to, avoid)
	for _, m := range moves {
		if !m.To.IsValid() {
			recorder.Event(m.Service, corev1.EventTypeWarning, "ClusterIPOutOfRange",
				"Cluster IP %s does not lie in %s, the range of services now, which has no address left: it is of no use", m.From, to)
			continue
		}
		recorder.Event(m.Service, corev1.EventTypeNormal, "ClusterIPChanged",
			"Cluster IP %s does not lie in %s, the range of services now: it has become %s", m.From, to, m.To)
	}
	return err
}

// ensureServices makes the Services that every cluster has. They bear addresses that clients take for
// granted; if another Service has come to have one, any other will do.
func ensureServices(ctx context.Context, r *registry.Registry) error {
	services, ok := r.Services().DefaultRange()
	if !ok {
		return fmt.Errorf("making the Services of the API and of DNS: there is no ServiceCIDR %s", serviceip.DefaultCIDR)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := ensureService(ctx, r, services, registry.APIServiceNumber, apiService); err != nil {
			return err
		}
		return retarget(ctx, r)
	})
	group.Go(func() error { return ensureService(ctx, r, services, registry.DNSServiceNumber, dnsService) })
	return group.Wait()
}

func ensureService(ctx context.Context, r *registry.Registry, services netip.Prefix, number uint64, service func() *corev1.Service) error {
	client := registry.For[*corev1.Service](r)
	s := service()
	if address, ok := serviceip.At(services, number); ok {
		s.Spec.ClusterIP = address.String()
	}
	err := ensure(ctx, client, s)
	if apierrors.IsInvalid(err) {
		err = ensure(ctx, client, service())
	}
	return err
}

// retarget brings the Service of the API in line with where the API is.
func retarget(ctx context.Context, r *registry.Registry) error {
	_, err := registry.For[*corev1.Service](r).Update(ctx, metav1.NamespaceDefault, "kubernetes", func(s *corev1.Service) error {
		for i := range s.Spec.Ports {
			if p := &s.Spec.Ports[i]; p.Name == "https" && p.TargetPort == intstr.FromInt32(oldAPITarget) {
				p.TargetPort = intstr.FromInt32(apiTarget)
			}
		}
		return nil
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("updating the Service of the API: %w", err)
	}
	return nil
}

// apiService is the Service by which every cluster's API is known
// (k8s.io/kubernetes/pkg/controlplane/controller/kubernetesservice).
func apiService() *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: metav1.NamespaceDefault, Name: "kubernetes",
			Labels: map[string]string{"component": "apiserver", "provider": "kubernetes"},
		},
		Spec: corev1.ServiceSpec{
			Type:  corev1.ServiceTypeClusterIP,
			Ports: []corev1.ServicePort{{Name: "https", Protocol: corev1.ProtocolTCP, Port: 443, TargetPort: intstr.FromInt32(apiTarget)}},
		},
	}
}

// dnsService is the Service of the cluster's name server, by the name and with the labels that other
// clusters give it. It selects no pods: the server is a part of skiff.
func dnsService() *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: metav1.NamespaceSystem, Name: "kube-dns",
			Labels: map[string]string{"k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS", "kubernetes.io/cluster-service": "true"},
		},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeClusterIP,
			Ports: []corev1.ServicePort{
				{Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53, TargetPort: intstr.FromInt32(53)},
				{Name: "dns-tcp", Protocol: corev1.ProtocolTCP, Port: 53, TargetPort: intstr.FromInt32(53)},
			},
		},
	}
}
