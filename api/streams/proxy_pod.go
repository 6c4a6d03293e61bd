package streams

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apiserver/pkg/registry/rest"
)

// PodProxy serves the proxy subresource of pods: HTTP to one of a pod's ports. The request names
// the pod as [scheme:]name[:port], where the port is a number or the name a container gives it, by
// default the first port that the containers declare.
type PodProxy struct{ Handlers }

var _ rest.Connecter = (*PodProxy)(nil)

// New implements rest.Storage.
func (p *PodProxy) New() runtime.Object { return &corev1.PodProxyOptions{} }

// Destroy implements rest.Storage.
func (p *PodProxy) Destroy() {}

// ConnectMethods implements rest.Connecter.
func (p *PodProxy) ConnectMethods() []string { return proxyMethods() }

// NewConnectOptions implements rest.Connecter.
func (p *PodProxy) NewConnectOptions() (runtime.Object, bool, string) {
	return &corev1.PodProxyOptions{}, true, "path"
}

// Connect implements rest.Connecter.
func (p *PodProxy) Connect(ctx context.Context, id string, options runtime.Object, responder rest.Responder) (http.Handler, error) {
	o, ok := options.(*corev1.PodProxyOptions)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("invalid options object: %#v", options))
	}
	scheme, name, port, valid := utilnet.SplitSchemeNamePort(id)
	if !valid {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("invalid pod request %q", id))
	}
	pod, err := p.Lookup(ctx, name)
	if err != nil {
		return nil, err
	}
	if pod.Status.PodIP == "" {
		return nil, apierrors.NewBadRequest("address not allowed") // upstream's word for a pod that has none
	}
	number, err := podPort(pod, scheme, port)
	if err != nil {
		return nil, err
	}
	return &proxying{pods: p.Pods, target: target{scheme, pod, number}, path: o.Path, responder: responder}, nil
}

// podPort is the port of a pod that a request means.
func podPort(pod *corev1.Pod, scheme, port string) (int32, error) {
	if port == "" {
		return defaultPort(pod, scheme), nil
	}
	if number, err := strconv.ParseInt(port, 10, 32); err == nil {
		if len(validation.IsValidPortNum(int(number))) > 0 {
			return 0, apierrors.NewBadRequest(fmt.Sprintf("invalid port %q", port))
		}
		return int32(number), nil
	}
	if number, ok := namedPort(pod, port); ok {
		return number, nil
	}
	return 0, apierrors.NewServiceUnavailable(fmt.Sprintf("no port named %q in pod %q", port, pod.Name))
}

func defaultPort(pod *corev1.Pod, scheme string) int32 {
	for i := range pod.Spec.Containers {
		if ports := pod.Spec.Containers[i].Ports; len(ports) > 0 {
			return ports[0].ContainerPort
		}
	}
	if scheme == "https" {
		return 443
	}
	return 80
}

// namedPort finds a container's port by its name; restartable init containers have ports that last
// too.
func namedPort(pod *corev1.Pod, name string) (int32, bool) {
	for _, containers := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range containers {
			for _, port := range containers[i].Ports {
				if port.Name == name {
					return port.ContainerPort, true
				}
			}
		}
	}
	return 0, false
}
