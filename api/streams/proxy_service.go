package streams

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/registry/rest"

	"skiff/manifests/servicefacts"
)

// Backends finds the pods behind services, in the namespace of a request.
type Backends struct {
	// Service returns a stored service, read-only, or a NotFound status error.
	Service func(ctx context.Context, name string) (*corev1.Service, error)
	// Slices are the endpoint slices of a service, read-only.
	Slices func(ctx context.Context, service string) []*discoveryv1.EndpointSlice
}

// ServiceProxy serves the proxy subresource of services: HTTP to a ready pod behind the service,
// whichever. The request names the service as [scheme:]name[:port], where the port is the number or
// the name of one of the service's.
type ServiceProxy struct {
	Handlers
	Backends Backends
}

var _ rest.Connecter = (*ServiceProxy)(nil)

// New implements rest.Storage.
func (p *ServiceProxy) New() runtime.Object { return &corev1.ServiceProxyOptions{} }

// Destroy implements rest.Storage.
func (p *ServiceProxy) Destroy() {}

// ConnectMethods implements rest.Connecter.
func (p *ServiceProxy) ConnectMethods() []string { return proxyMethods() }

// NewConnectOptions implements rest.Connecter.
func (p *ServiceProxy) NewConnectOptions() (runtime.Object, bool, string) {
	return &corev1.ServiceProxyOptions{}, true, "path"
}

// Connect implements rest.Connecter.
func (p *ServiceProxy) Connect(ctx context.Context, id string, options runtime.Object, responder rest.Responder) (http.Handler, error) {
	o, ok := options.(*corev1.ServiceProxyOptions)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("invalid options object: %#v", options))
	}
	scheme, name, port, valid := utilnet.SplitSchemeNamePort(id)
	if !valid {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("invalid service request %q", id))
	}
	found, err := p.backends(ctx, name, port)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, noEndpoints(name)
	}
	chosen := found[rand.IntN(len(found))]
	chosen.scheme = scheme
	return &proxying{pods: p.Pods, target: chosen, path: o.Path, responder: responder}, nil
}

func noEndpoints(service string) error {
	return apierrors.NewServiceUnavailable(fmt.Sprintf("no endpoints available for service %q", service))
}

// backends are the ports of ready pods that a service's port leads to, as its endpoint slices say.
func (p *ServiceProxy) backends(ctx context.Context, name, port string) ([]target, error) {
	service, err := p.Backends.Service(ctx, name)
	number, numberErr := strconv.ParseInt(port, 10, 32)
	switch {
	case err != nil && apierrors.IsNotFound(err) && numberErr != nil:
		return nil, noEndpoints(name) // upstream looks for the service only when it has to translate a number
	case err != nil:
		return nil, err
	}
	at := slices.IndexFunc(service.Spec.Ports, func(s corev1.ServicePort) bool {
		return numberErr == nil && int64(s.Port) == number || numberErr != nil && s.Name == port
	})
	if at < 0 && numberErr == nil {
		return nil, apierrors.NewServiceUnavailable(fmt.Sprintf("no service port %d found for service %q", number, name))
	}
	if at < 0 {
		return nil, nil
	}
	return p.listed(ctx, name, service.Spec.Ports[at].Name), nil
}

// listed are the ready endpoints of a service's slices that are pods.
func (p *ServiceProxy) listed(ctx context.Context, service, port string) []target {
	var all []target
	for _, e := range servicefacts.Ready(p.Backends.Slices(ctx, service), port) {
		if pod := p.behind(ctx, e.Endpoint); pod != nil {
			all = append(all, target{pod: pod, port: e.Port})
		}
	}
	return all
}

// behind is the pod that an endpoint is, nil when it is none, or has another address by now: an address
// alone could be anybody's.
func (p *ServiceProxy) behind(ctx context.Context, e *discoveryv1.Endpoint) *corev1.Pod {
	if e.TargetRef == nil || e.TargetRef.Kind != "Pod" || len(e.Addresses) == 0 {
		return nil
	}
	pod, err := p.Lookup(ctx, e.TargetRef.Name)
	if err != nil || pod.Namespace != e.TargetRef.Namespace || !hasAddress(pod, e.Addresses[0]) {
		return nil
	}
	return pod
}

func hasAddress(pod *corev1.Pod, ip string) bool {
	return slices.Contains(pod.Status.PodIPs, corev1.PodIP{IP: ip})
}
