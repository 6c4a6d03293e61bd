package streams

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/streaming/pkg/httpstream/wsstream"
)

// PortForward serves the portforward subresource of pods.
type PortForward struct{ Handlers }

var _ rest.Connecter = (*PortForward)(nil)

// New implements rest.Storage.
func (p *PortForward) New() runtime.Object { return &corev1.PodPortForwardOptions{} }

// Destroy implements rest.Storage.
func (p *PortForward) Destroy() {}

// ConnectMethods implements rest.Connecter.
func (p *PortForward) ConnectMethods() []string { return connectMethods() }

// NewConnectOptions implements rest.Connecter.
func (p *PortForward) NewConnectOptions() (runtime.Object, bool, string) {
	return &corev1.PodPortForwardOptions{}, false, ""
}

// Connect implements rest.Connecter.
func (p *PortForward) Connect(ctx context.Context, name string, options runtime.Object, responder rest.Responder) (http.Handler, error) {
	o, ok := options.(*corev1.PodPortForwardOptions)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("invalid options object: %#v", options))
	}
	pod, err := p.Lookup(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := onNode(pod); err != nil {
		return nil, err
	}
	return &forwarding{pods: p.Pods, pod: pod, ports: o.Ports, responder: responder}, nil
}

// forwarding carries any number of connections to a pod's ports over one connection of the
// client's.
type forwarding struct {
	pods      Pods
	pod       *corev1.Pod
	ports     []int32 // only the older WebSocket protocol names them beforehand
	responder rest.Responder
}

// ServeHTTP implements http.Handler. Clients of today tunnel SPDY through a WebSocket; older ones
// speak SPDY, or a WebSocket protocol with two channels a port.
func (f *forwarding) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := canUpgrade(r); err != nil {
		f.responder.Error(err)
		return
	}
	tunnelled := wsstream.IsWebSocketRequestWithTunnelingProtocol(r)
	if isWebSocket(r) && !tunnelled && len(f.ports) == 0 {
		f.responder.Error(apierrors.NewBadRequest(fmt.Sprintf("query parameter %q is required", "ports")))
		return
	}
	taken, r := takeOver(w, r)
	defer taken.end()
	forwarder := &forwarder{forwarding: f, ctx: taken.serving()}
	if tunnelled {
		serveTunnel(taken, r, func(w http.ResponseWriter, r *http.Request) { forwarder.serve(w, r) })
	} else {
		forwarder.serve(taken, r)
	}
	taken.cancel()
	forwarder.wait()
}

// forwarder forwards single connections, in the terms of cri-streaming, which gives each a context
// without end; all use the request's instead.
type forwarder struct {
	*forwarding
	ctx context.Context

	mu      sync.Mutex
	ended   bool
	running sync.WaitGroup
}

func (f *forwarder) serve(w http.ResponseWriter, r *http.Request) {
	portforward.ServePortForward(w, r, f, f.pod.Name, string(f.pod.UID), &portforward.V4Options{Ports: f.ports},
		idleTimeout, creationTimeout, portforward.SupportedProtocols)
}

// PortForward implements portforward.PortForwarder.
func (f *forwarder) PortForward(_ context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	if !f.begin() {
		return context.Canceled
	}
	defer f.running.Done()
	err := f.pods.PortForward(f.ctx, f.pod, port, stream)
	if err != nil {
		f.holdBack()
	}
	return err
}

// holdBack keeps a failure from overtaking the news that the stream is open, which spdystream sends
// from another goroutine: a client that learns of the end before the beginning waits for ever.
func (f *forwarder) holdBack() {
	ctx, cancel := context.WithTimeout(f.ctx, refusalDelay)
	defer cancel()
	<-ctx.Done()
}

// begin counts a connection in, unless the client is gone.
func (f *forwarder) begin() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ended {
		f.running.Add(1)
	}
	return !f.ended
}

// wait returns when no connection is forwarded any more, and none can begin.
func (f *forwarder) wait() {
	f.mu.Lock()
	f.ended = true
	f.mu.Unlock()
	f.running.Wait()
}
