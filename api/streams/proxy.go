package streams

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/proxy"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/streaming/pkg/httpstream"
)

// proxyMethods are the methods that proxies pass on, upstream's.
func proxyMethods() []string {
	return []string{
		http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodHead, http.MethodOptions,
	}
}

// target is a port of a pod, and how to speak with it.
type target struct {
	scheme string // "http" unless set
	pod    *corev1.Pod
	port   int32
}

// proxying passes a request on to a pod. Links and redirects in the answer are rewritten so that
// they lead through the proxy again, and an upgrade hands the connection over, both as upstream's
// proxy does.
type proxying struct {
	pods      Pods
	target    target
	path      string // below the target's root
	responder rest.Responder
}

// ServeHTTP implements http.Handler.
func (p *proxying) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Who the caller is to skiff is nothing to the pod.
	r = r.Clone(r.Context())
	r.Header.Del("Authorization")
	transport := p.transport()
	defer transport.CloseIdleConnections()
	handler := proxy.NewUpgradeAwareHandler(p.location(), transport, true, false, proxy.NewErrorResponder(p.responder))
	if !httpstream.IsUpgradeRequest(r) {
		handler.ServeHTTP(w, r)
		return
	}
	taken, r := takeOver(w, r)
	defer taken.end()
	handler.ServeHTTP(taken, r)
}

func (p *proxying) location() *url.URL {
	scheme, host := p.target.scheme, p.target.pod.Status.PodIP
	if scheme == "" {
		scheme = "http"
	}
	return &url.URL{
		Scheme: scheme,
		Host:   net.JoinHostPort(host, strconv.Itoa(int(p.target.port))),
		Path:   utilnet.JoinPreservingTrailingSlash("", p.path),
	}
}

// transport reaches the target whatever the address: how to get to a pod is its node's to know. As
// upstream's, it does not ask who a pod's certificate is from.
func (p *proxying) transport() *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return p.pods.Dial(ctx, p.target.pod, p.target.port)
		},
		TLSClientConfig:    &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // see above
		DisableCompression: true,
	}
}
