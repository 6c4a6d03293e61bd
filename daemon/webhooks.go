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
	"k8s.io/apimachinery/pkg/labels"

	"skiff/manifests/dynamic"
	"skiff/manifests/registry"
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
	type endpoint struct {
		of   *discoveryv1.Endpoint
		port int32
	}
	var ready []endpoint
	selector := labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: s.Name})
	for _, slice := range registry.For[*discoveryv1.EndpointSlice](d.registry).List(s.Namespace, selector) {
		for _, p := range slice.Ports {
			if p.Port == nil || p.Name == nil || *p.Name != port {
				continue
			}
			for i := range slice.Endpoints {
				if c := slice.Endpoints[i].Conditions.Ready; c == nil || *c {
					ready = append(ready, endpoint{&slice.Endpoints[i], *p.Port})
				}
			}
		}
	}
	if len(ready) == 0 {
		return nil, apierrors.NewServiceUnavailable(fmt.Sprintf("no endpoints available for service %q", s.Name))
	}
	chosen := ready[rand.IntN(len(ready))]
	return d.dialReady(ctx, s.Namespace, chosen.of, chosen.port)
}

// dialReady goes to a pod by way of its agent, which knows whether it is really there, and to another
// endpoint by its address.
func (d *daemon) dialReady(ctx context.Context, namespace string, e *discoveryv1.Endpoint, port int32) (net.Conn, error) {
	if e.TargetRef != nil && e.TargetRef.Kind == "Pod" {
		pod, err := registry.For[*corev1.Pod](d.registry).Get(namespace, e.TargetRef.Name)
		if err != nil {
			return nil, err
		}
		return podStreams{d.fleet}.Dial(ctx, pod, port)
	}
	if len(e.Addresses) == 0 {
		return nil, apierrors.NewServiceUnavailable("an endpoint has no address")
	}
	return d.dial(ctx, "tcp", net.JoinHostPort(e.Addresses[0], strconv.Itoa(int(port))))
}
