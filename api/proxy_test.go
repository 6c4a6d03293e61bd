package api_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"skiff/manifests/registry"
)

// Dial reaches the server that a test put at a port, in every pod.
func (f *fakePods) Dial(ctx context.Context, pod *corev1.Pod, port int32) (net.Conn, error) {
	f.say("dial %s:%d", pod.Name, port)
	at, ok := f.servers[port]
	if !ok {
		return nil, errors.New("connection refused")
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", at)
}

// serveAt puts servers at ports of all pods: 80 says what it was asked, 443 the same over TLS.
func (f *fakePods) serveAt(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(behindProxy))
	t.Cleanup(plain.Close)
	secure := httptest.NewTLSServer(http.HandlerFunc(behindProxy))
	t.Cleanup(secure.Close)
	f.servers = map[int32]string{80: plain.Listener.Addr().String(), 443: secure.Listener.Addr().String()}
}

func behindProxy(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/redirect":
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusFound)
	case "/page":
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<a href="/rewriteme">test</a>`)
	case "/echo":
		echoUpgraded(w)
	default:
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %q auth=%q tls=%v %v", r.Method, r.URL.RequestURI(), body, r.Header.Get("Authorization"), r.TLS != nil, err)
	}
}

// echoUpgraded speaks a protocol of its own after an upgrade: it repeats lines.
func echoUpgraded(w http.ResponseWriter) {
	conn, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	rw.Flush()
	for {
		line, err := rw.ReadString('\n')
		if err != nil {
			return
		}
		fmt.Fprint(rw, "echo ", line)
		rw.Flush()
	}
}

// proxied makes three pods, of which "bare" has no address and "b" is not ready, and services before
// them.
func proxied(t *testing.T) (*harness, *fakePods) {
	pods := newFakePods()
	pods.serveAt(t)
	h := start(t, options{pods: pods})
	for _, name := range []string{"a", "b"} {
		h.runningPod(name, "main")
	}
	h.runningPod("bare", "main")
	ctx := context.Background()
	client := registry.For[*corev1.Pod](h.registry)
	for name, ready := range map[string]corev1.ConditionStatus{"a": corev1.ConditionTrue, "b": corev1.ConditionFalse} {
		if _, err := client.Update(ctx, "default", name, func(p *corev1.Pod) error {
			p.Labels = map[string]string{"app": "kubia"}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := client.UpdateStatus(ctx, "default", name, func(p *corev1.Pod) error {
			p.Status.PodIP, p.Status.PodIPs = "10.1.0.1", []corev1.PodIP{{IP: "10.1.0.1"}}
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	h.serviceBefore("kubia", map[string]string{"app": "kubia"})
	h.sliceOf("kubia", "a", "a", "10.1.0.1", true)
	h.sliceOf("kubia", "b", "b", "10.1.0.1", false)
	h.serviceBefore("nobody", map[string]string{"app": "nobody"})
	return h, pods
}

// sliceOf makes a slice of a service that serviceBefore made, with one pod.
func (h *harness) sliceOf(service, name, pod, ip string, ready bool) {
	h.t.Helper()
	_, err := registry.For[*discoveryv1.EndpointSlice](h.registry).Create(context.Background(), &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports: []discoveryv1.EndpointPort{
			{Name: ptr("web"), Port: ptr[int32](80), Protocol: ptr(corev1.ProtocolTCP)},
			{Name: ptr("tls"), Port: ptr[int32](443), Protocol: ptr(corev1.ProtocolTCP)},
		},
		Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{ip}, Conditions: discoveryv1.EndpointConditions{Ready: &ready},
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: pod},
		}},
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *harness) serviceBefore(name string, selector map[string]string) {
	h.t.Helper()
	_, err := registry.For[*corev1.Service](h.registry).Create(context.Background(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: corev1.ServiceSpec{Selector: selector, Ports: []corev1.ServicePort{
			{Name: "web", Port: 8080, TargetPort: intstr.FromInt32(80)},
			{Name: "tls", Port: 8443, TargetPort: intstr.FromInt32(443)},
			{Name: "named", Port: 8081, TargetPort: intstr.FromString("missing")},
		}},
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func TestProxy(t *testing.T) {
	h, pods := proxied(t)
	client := h.http()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, c := range []struct{ method, path, want string }{
		{"GET", "pods/a/proxy/x/y?q=1", `200 GET /x/y?q=1 "" auth="" tls=false <nil>`},
		{"GET", "pods/a:80/proxy/", `200 GET / "" auth="" tls=false <nil>`},
		{"GET", "pods/http:a:80/proxy/x/", `200 GET /x/ "" auth="" tls=false <nil>`},
		{"GET", "pods/https:a:443/proxy/x", `200 GET /x "" auth="" tls=true <nil>`},
		{"POST", "pods/a/proxy/x", `200 POST /x "sent" auth="" tls=false <nil>`},
		{"PUT", "pods/a/proxy/x", `200 PUT /x "sent" auth="" tls=false <nil>`},
		{"PATCH", "pods/a/proxy/x", `200 PATCH /x "sent" auth="" tls=false <nil>`},
		{"DELETE", "pods/a/proxy/x", `200 DELETE /x "sent" auth="" tls=false <nil>`},
		{"OPTIONS", "pods/a/proxy/x", `200 OPTIONS /x "sent" auth="" tls=false <nil>`},
		{"GET", "pods/a/proxy/x//y", `200 GET /x/y "" auth="" tls=false <nil>`},
		{"GET", "pods/a/proxy/page", `200 <a href="/api/v1/namespaces/default/pods/a/proxy/rewriteme">test</a>`},
		{"GET", "pods/a/proxy/redirect", "302 to /api/v1/namespaces/default/pods/a/proxy/elsewhere"},
		{"GET", "pods/a/proxy", "301 to /api/v1/namespaces/default/pods/a/proxy/"},
		{"GET", "pods/a:81/proxy/x", `503 ServiceUnavailable: error trying to reach service: connection refused`},
		{"GET", "pods/a:web/proxy/x", `503 ServiceUnavailable: no port named "web" in pod "a"`},
		{"GET", "pods/a:99999/proxy/x", `400 BadRequest: invalid port "99999"`},
		{"GET", "pods/ftp:a:80/proxy/x", `400 BadRequest: invalid pod request "ftp:a:80"`},
		{"GET", "pods/bare/proxy/x", "400 BadRequest: address not allowed"},
		{"GET", "pods/none/proxy/x", `404 NotFound: pods "none" not found`},
		{"GET", "services/kubia:8080/proxy/x", `200 GET /x "" auth="" tls=false <nil>`},
		{"GET", "services/kubia:web/proxy/x", `200 GET /x "" auth="" tls=false <nil>`},
		{"GET", "services/https:kubia:tls/proxy/x", `200 GET /x "" auth="" tls=true <nil>`},
		{"GET", "services/kubia:9/proxy/x", `503 ServiceUnavailable: no service port 9 found for service "kubia"`},
		{"GET", "services/kubia:named/proxy/x", `503 ServiceUnavailable: no endpoints available for service "kubia"`},
		{"GET", "services/kubia/proxy/x", `503 ServiceUnavailable: no endpoints available for service "kubia"`},
		{"GET", "services/nobody:web/proxy/x", `503 ServiceUnavailable: no endpoints available for service "nobody"`},
		{"GET", "services/none/proxy/x", `503 ServiceUnavailable: no endpoints available for service "none"`},
		{"GET", "services/none:80/proxy/x", `404 NotFound: services "none" not found`},
	} {
		sent := ""
		if c.method != "GET" {
			sent = "sent"
		}
		got := h.doWith(client, c.method, "/api/v1/namespaces/default/"+c.path, strings.NewReader(sent))
		text := got.String()
		if to := got.header.Get("Location"); to != "" {
			text = fmt.Sprintf("%d to %s", got.code, to)
		}
		equal(t, c.method+" "+c.path, text, c.want)
	}
	for _, call := range pods.calls {
		if strings.HasPrefix(call, "dial b:") {
			t.Error("the service led to a pod that is not ready")
		}
	}
}

// TestProxyBySlices: only an endpoint that is a ready pod at its own address is led to.
func TestProxyBySlices(t *testing.T) {
	h, _ := proxied(t)
	const path, none = "/api/v1/namespaces/default/services/nobody:web/proxy/x", `503 ServiceUnavailable: no endpoints available for service "nobody"`
	h.sliceOf("nobody", "unready", "b", "10.1.0.1", false)
	equal(t, "with an unready endpoint", h.do("GET", path, "").String(), none)
	h.sliceOf("nobody", "moved", "a", "10.1.0.9", true)
	equal(t, "with another's address", h.do("GET", path, "").String(), none)
	h.sliceOf("nobody", "good", "a", "10.1.0.1", true)
	equal(t, "with a ready endpoint", h.do("GET", path, "").String(), `200 GET /x "" auth="" tls=false <nil>`)
}

func TestProxyUpgrade(t *testing.T) {
	h, _ := proxied(t)
	client := h.http11()
	r, err := http.NewRequest("GET", h.config.Host+"/api/v1/namespaces/default/services/kubia:web/proxy/echo", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "echo")
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "status", answer.StatusCode, http.StatusSwitchingProtocols)
	stream := answer.Body.(io.ReadWriteCloser)
	fmt.Fprintln(stream, "hello")
	line, err := bufio.NewReader(stream).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "line", line, "echo hello\n")
	h.stop() // a shutdown ends it, or the test would hang
	stream.Close()
}

func TestNodeProxy(t *testing.T) {
	h, _ := proxied(t)
	if _, err := registry.For[*corev1.Node](h.registry).Create(context.Background(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node"}}); err != nil {
		t.Fatal(err)
	}
	var list corev1.PodList
	h.do("GET", "/api/v1/nodes/node/proxy/pods", "").decode(t, &list)
	equal(t, "pods of the node", len(list.Items), 3)
	h.do("GET", "/api/v1/nodes/node/proxy/runningpods/", "").decode(t, &list)
	equal(t, "pods that the node has not finished with", list.Items[0].Name+" "+string(list.Items[0].UID), "gone from-node")
	const refusal = "the server could not find the requested resource (get nodes node): of the kubelet's API skiff serves /pods, /runningpods and /healthz"
	for path, want := range map[string]string{
		"node:10250/proxy/healthz": "200 ok",
		"node/proxy/logs/":         "404 NotFound: " + refusal,
		"node/proxy/metrics":       "404 NotFound: " + refusal,
		"node/proxy/stats/summary": "404 NotFound: " + refusal,
		"node:22/proxy/":           `403 Forbidden: nodes "node:22" is forbidden: skiff reaches no other port of a node than the kubelet's (10250)`,
		"none/proxy/pods":          `404 NotFound: nodes "none" not found`,
	} {
		equal(t, path, h.do("GET", "/api/v1/nodes/"+path, "").String(), want)
	}
}
