package daemon

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"skiff/manifests/dynamic"
	"skiff/manifests/registry"
	"skiff/manifests/servicefacts"
	"skiff/manifests/webhook"
)

// makeExtension makes the part of admission that is configured through the API.
func (d *daemon) makeExtension(caller *webhook.Caller) *dynamic.Extension {
	return dynamic.New(dynamic.Options{
		Reader: d.store, Caller: caller, Types: d.documents.TypeConverter(), Logger: d.log,
		Authorizer: d.authorizer, Custom: d.customAdmission,
	})
}

// dial connects to an address in the pods' network, or where there is none to one that this machine reaches.
func (d *daemon) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if d.link == nil {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	return d.link.Dial(ctx, network, address)
}

// dialService connects to a ready endpoint of a Service, whichever.
func (d *daemon) dialService(ctx context.Context, namespace, name string, port int32) (net.Conn, error) {
	service, err := registry.For[*corev1.Service](d.registry).Get(namespace, name)
	if err != nil {
		return nil, err
	}
	if service.Spec.Type == corev1.ServiceTypeExternalName {
		return d.dial(ctx, "tcp", net.JoinHostPort(service.Spec.ExternalName, strconv.Itoa(int(port))))
	}
	for _, p := range service.Spec.Ports {
		if p.Port == port {
			return d.dialEndpoint(ctx, service, p.Name)
		}
	}
	return nil, apierrors.NewServiceUnavailable(fmt.Sprintf("no service port %d found for service %q", port, name))
}

func (d *daemon) dialEndpoint(ctx context.Context, s *corev1.Service, port string) (net.Conn, error) {
	all := registry.For[*discoveryv1.EndpointSlice](d.registry).ByIndex(registry.IndexService, registry.ServiceOf(s.Namespace, s.Name))
	ready := servicefacts.Ready(all, port)
	if len(ready) == 0 {
		return nil, apierrors.NewServiceUnavailable(fmt.Sprintf("no endpoints available for service %q", s.Name))
	}
	return d.dialReady(ctx, s.Namespace, ready[rand.IntN(len(ready))])
}

// dialReady goes to a pod by way of its agent, which knows whether it is really there, and to another
// endpoint by its address.
func (d *daemon) dialReady(ctx context.Context, namespace string, e servicefacts.Endpoint) (net.Conn, error) {
	if e.TargetRef != nil && e.TargetRef.Kind == "Pod" {
		pod, err := registry.For[*corev1.Pod](d.registry).Get(namespace, e.TargetRef.Name)
		if err != nil {
			return nil, err
		}
		return podStreams{d.fleet}.Dial(ctx, pod, e.Port)
	}
	if len(e.Addresses) == 0 {
		return nil, apierrors.NewServiceUnavailable("an endpoint has no address")
	}
	return d.dial(ctx, "tcp", net.JoinHostPort(e.Addresses[0], strconv.Itoa(int(e.Port))))
}
