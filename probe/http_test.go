package probe

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// askOf asks what a liveness probe asks, once.
func askOf(t *testing.T, c Container, timeout time.Duration, h corev1.ProbeHandler) answer {
	t.Helper()
	c.Liveness = &corev1.Probe{ProbeHandler: h}
	ask, _ := newBuilder("1.37", nil).build(&c, Liveness)
	return ask.ask(t.Context(), timeout)
}

// text is an answer in one line, with an address that changes from run to run replaced by HOST.
func (a answer) text(host string) string {
	s := a.outcome.String()
	if a.message != "" {
		s += ": " + a.message
	}
	if a.err != nil {
		s += fmt.Sprintf(" (error: %v)", a.err)
	}
	return strings.ReplaceAll(s, host, "HOST")
}

// portOf is a server's port as a probe gives it.
func portOf(t *testing.T, address string) intstr.IntOrString {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return intstr.Parse(port)
}

// app is an application with something wrong at every path.
func app(done <-chan struct{}) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.PathValue("code"))
		w.WriteHeader(code)
		fmt.Fprint(w, "body")
	})
	mux.HandleFunc("/to/", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, strings.TrimPrefix(r.URL.Path, "/to"), http.StatusFound)
	})
	mux.HandleFunc("/elsewhere", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "http://elsewhere.example/x")
		w.WriteHeader(http.StatusMovedPermanently)
		fmt.Fprint(w, "gone")
	})
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotModified - 4) // 300, whose body a warning repeats
		fmt.Fprint(w, strings.Repeat("x", 3*maxOutput))
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 4096)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/hang", func(_ http.ResponseWriter, r *http.Request) { hang(r, done) })
	mux.HandleFunc("/hang-in-body", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "10")
		fmt.Fprint(w, "half")
		_ = http.NewResponseController(w).Flush()
		hang(r, done)
	})
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		conn, _, _ := http.NewResponseController(w).Hijack()
		conn.Close()
	})
	mux.HandleFunc("/cut-in-body", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		fmt.Fprint(w, "half")
	})
	mux.HandleFunc("/garbage", func(w http.ResponseWriter, _ *http.Request) {
		conn, _, _ := http.NewResponseController(w).Hijack()
		fmt.Fprint(conn, "SSH-2.0-x\r\n")
		conn.Close()
	})
	mux.HandleFunc("/early-hints", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusEarlyHints) })
	mux.HandleFunc("/huge-header", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X", strings.Repeat("x", maxHeader))
	})
	return mux
}

func hang(r *http.Request, done <-chan struct{}) {
	select {
	case <-r.Context().Done():
	case <-done:
	}
}

func TestHTTP(t *testing.T) {
	done := make(chan struct{})
	server := httptest.NewServer(app(done))
	defer server.Close()
	defer close(done)
	host := server.Listener.Addr().String()
	for path, want := range map[string]string{
		"/status/200":       `success`,
		"/status/204":       `success`,
		"/status/300":       `warning: Probe terminated redirects, Response body: body`,
		"/status/302":       `warning: Probe terminated redirects, Response body: body`,
		"/status/304":       `warning: Probe terminated redirects, Response body: `,
		"/status/399":       `warning: Probe terminated redirects, Response body: body`,
		"/status/400":       `failure: HTTP probe failed with statuscode: 400`,
		"/status/500":       `failure: HTTP probe failed with statuscode: 500`,
		"/nowhere":          `failure: HTTP probe failed with statuscode: 404`,
		"/status/200?a=b&c": `success`,
		"/to/status/200":    `success`,
		"/to/status/503":    `failure: HTTP probe failed with statuscode: 503`,
		"/elsewhere":        `warning: Probe terminated redirects, Response body: gone`,
		"/to/elsewhere":     `warning: Probe terminated redirects, Response body: gone`,
		"/loop":             `failure: Get "/loop": stopped after 10 redirects`,
		"/large":            `warning: Probe terminated redirects, Response body: ` + strings.Repeat("x", maxOutput),
		"/endless":          `success`,
		"/early-hints":      `success`,
		"/cut":              `failure: Get "http://HOST/cut": EOF`,
		"/cut-in-body":      `failure (error: unexpected EOF)`,
		"/garbage": `failure: Get "http://HOST/garbage": ` +
			`net/http: HTTP/1.x transport connection broken: malformed HTTP response "SSH-2.0-x"`,
		"/huge-header": `failure: Get "http://HOST/huge-header": net/http: HTTP/1.x transport connection broken: ` +
			`net/http: server response headers exceeded 1048576 bytes; aborted`,
		"": `failure: HTTP probe failed with statuscode: 404`,
	} {
		get := &corev1.HTTPGetAction{Path: path, Port: portOf(t, host)}
		got := askOf(t, Container{Host: "127.0.0.1"}, 5*time.Second, corev1.ProbeHandler{HTTPGet: get})
		if got.text(host) != want {
			t.Errorf("%s: got %.300q, want %.300q", path, got.text(host), want)
		}
	}
}

func TestHTTPTimeout(t *testing.T) {
	done := make(chan struct{})
	server := httptest.NewServer(app(done))
	defer server.Close()
	defer close(done)
	host := server.Listener.Addr().String()
	for path, want := range map[string]string{
		"/hang": `failure: Get "http://HOST/hang": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`,
		"/hang-in-body": `failure (error: context deadline exceeded ` +
			`(Client.Timeout or context cancellation while reading body))`,
		"/to/hang": `failure: Get "http://HOST/hang": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`,
	} {
		get := &corev1.HTTPGetAction{Path: path, Port: portOf(t, host)}
		got := askOf(t, Container{Host: "127.0.0.1"}, 50*time.Millisecond, corev1.ProbeHandler{HTTPGet: get})
		if got.text(host) != want {
			t.Errorf("%s: got %.300q, want %.300q", path, got.text(host), want)
		}
	}
}

func TestHTTPRefused(t *testing.T) {
	host := refusing(t)
	get := &corev1.HTTPGetAction{Path: "/", Port: portOf(t, host)}
	got := askOf(t, Container{Host: "127.0.0.1"}, time.Second, corev1.ProbeHandler{HTTPGet: get}).text(host)
	if want := `failure: Get "http://HOST/": dial tcp HOST: connect: connection refused`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// refusing is an address nobody listens at.
func refusing(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestHTTPRequest compares what is sent, line by line.
func TestHTTPRequest(t *testing.T) {
	for _, test := range []struct {
		name string
		get  corev1.HTTPGetAction
		want string
	}{{
		name: "as it comes",
		get:  corev1.HTTPGetAction{Path: "/healthz"},
		want: `
			GET /healthz HTTP/1.1
			Host: HOST
			User-Agent: kube-probe/1.37
			Accept: */*
			Connection: close`,
	}, {
		name: "headers",
		get: corev1.HTTPGetAction{Path: "/a b?q=1%202", HTTPHeaders: []corev1.HTTPHeader{
			{Name: "host", Value: "app.example"}, {Name: "X-Twice", Value: "1"}, {Name: "X-Twice", Value: "2"},
			{Name: "user-agent", Value: "me"}, {Name: "Accept", Value: ""},
		}},
		want: `
			GET /a%20b?q=1%202 HTTP/1.1
			Host: app.example
			User-Agent: me
			Connection: close
			X-Twice: 1
			X-Twice: 2`,
	}, {
		name: "no path, port by name",
		get:  corev1.HTTPGetAction{Port: intstr.FromString("web"), Scheme: "HTTP"},
		want: `
			GET / HTTP/1.1
			Host: HOST
			User-Agent: kube-probe/1.37
			Accept: */*
			Connection: close`,
	}, {
		name: "a host of its own",
		get:  corev1.HTTPGetAction{Path: "//x", Host: "127.0.0.1"},
		want: `
			GET / HTTP/1.1
			Host: HOST
			User-Agent: kube-probe/1.37
			Accept: */*
			Connection: close`,
	}} {
		t.Run(test.name, func(t *testing.T) {
			address, sent := recorder(t)
			c := Container{Host: "127.0.0.1", Ports: map[string]int32{"web": portOf(t, address).IntVal}}
			if test.get.Host != "" {
				c.Host = "192.0.2.1"
			}
			if test.get.Port.Type == intstr.Int {
				test.get.Port = portOf(t, address)
			}
			if a := askOf(t, c, 5*time.Second, corev1.ProbeHandler{HTTPGet: &test.get}); a.outcome != Success {
				t.Fatal(a)
			}
			if got := strings.ReplaceAll(<-sent, address, "HOST"); got != dedent(test.want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, dedent(test.want))
			}
		})
	}
}

// recorder is a server for one request, which it sends on.
func recorder(t *testing.T) (string, <-chan string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	sent := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		var b strings.Builder
		for lines := bufio.NewScanner(conn); lines.Scan() && lines.Text() != ""; {
			b.WriteString(lines.Text() + "\n")
		}
		sent <- b.String()
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}()
	return l.Addr().String(), sent
}

// TestHTTPProtocols tells what arrives over TLS with a certificate nobody vouches for, and over
// HTTP/2.
func TestHTTPProtocols(t *testing.T) {
	var got []string
	record := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = append(got, fmt.Sprintf("%s tls=%t", r.Proto, r.TLS != nil))
	})
	h2 := corev1.HTTPProtocolHTTP2
	for _, test := range []struct {
		get   corev1.HTTPGetAction
		start func(*httptest.Server)
	}{
		{corev1.HTTPGetAction{Scheme: "HTTPS"}, (*httptest.Server).StartTLS},
		{corev1.HTTPGetAction{Scheme: "HTTPS"}, func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() }},
		{corev1.HTTPGetAction{Protocol: &h2}, func(s *httptest.Server) {
			s.Config.Protocols = new(http.Protocols)
			s.Config.Protocols.SetUnencryptedHTTP2(true)
			s.Start()
		}},
	} {
		server := httptest.NewUnstartedServer(record)
		test.start(server)
		test.get.Port = portOf(t, server.Listener.Addr().String())
		a := askOf(t, Container{Host: "127.0.0.1"}, 5*time.Second, corev1.ProbeHandler{HTTPGet: &test.get})
		if a.outcome != Success {
			t.Error(a)
		}
		server.Close()
	}
	if got, want := strings.Join(got, ", "), "HTTP/1.1 tls=true, HTTP/2.0 tls=true, HTTP/2.0 tls=false"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestHTTPIgnoresProxy reports whether probes go to the container even if the machine has a proxy.
func TestHTTPIgnoresProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://192.0.2.1:1")
	c := newHTTPClient("x", (&net.Dialer{}).DialContext)
	for _, transport := range []http.RoundTripper{c.usual.(byScheme).secure, c.h2c} {
		if transport.(*http.Transport).Proxy != nil {
			t.Error("probes ask the proxy")
		}
	}
}

// TestRawResponses holds that what a server may send besides a plain response is understood, or
// named as net/http names it.
func TestRawResponses(t *testing.T) {
	for _, c := range []struct{ name, sent, want string }{
		{"early hints", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", "success"},
		{"no end of hints", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 20), `failure: Get "http://HOST/": net/http: too many 1xx informational responses`},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "success"},
		{"until the end", "HTTP/1.0 200 OK\r\n\r\nok", "success"},
		{"nothing", "", `failure: Get "http://HOST/": EOF`},
		{"no HTTP", "SSH-2.0-x\r\n", `failure: Get "http://HOST/": net/http: HTTP/1.x transport connection broken: malformed HTTP response "SSH-2.0-x"`},
		{"endless head", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 2*maxHeader), `failure: Get "http://HOST/": net/http: HTTP/1.x transport connection broken: net/http: server response headers exceeded 1048576 bytes; aborted`},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := answering(t, c.sent)
			got := askOf(t, Container{Host: "127.0.0.1"}, 5*time.Second, corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: portOf(t, address)}}).text(address)
			if got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// answering is the address of a server that reads a request and sends the same to everybody.
func answering(t *testing.T, text string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.WriteString(conn, text)
			}
			_ = conn.Close()
		}
	})
	t.Cleanup(func() { _ = l.Close(); serving.Wait() })
	return l.Addr().String()
}

func TestBrokenProbes(t *testing.T) {
	c := Container{Key: Key{Pod: "default/web", Container: "app"}, Host: "127.0.0.1", Ports: map[string]int32{"bad": 70000}}
	get := func(g corev1.HTTPGetAction) corev1.ProbeHandler { return corev1.ProbeHandler{HTTPGet: &g} }
	for want, h := range map[string]corev1.ProbeHandler{
		`missing probe handler for default/web:app`: {},
		`port "web" not found`:                      get(corev1.HTTPGetAction{Port: intstr.FromString("web")}),
		`invalid port number: 70000`:                get(corev1.HTTPGetAction{Port: intstr.FromString("bad")}),
		`invalid port number: 0`:                    {TCPSocket: &corev1.TCPSocketAction{}},
		`parse "http://a%20b:80": invalid URL escape "%20"`: get(
			corev1.HTTPGetAction{Host: "a b", Port: intstr.FromInt(80)}),
	} {
		if got, want := askOf(t, c, time.Second, h).text("HOST"), "unknown (error: "+want+")"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestOurOwnWant reports whether a container is spared when this process has no file or port left
// to ask it with.
func TestOurOwnWant(t *testing.T) {
	wrapped := &net.OpError{Op: "dial", Err: syscall.EMFILE}
	if a := failed(wrapped, "x"); a.outcome != Unknown || a.err == nil {
		t.Errorf("no file left: %+v", a)
	}
	if a := failed(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "x"); a.outcome != Failure || a.err != nil {
		t.Errorf("refused: %+v", a)
	}
}

func TestTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	})
	open, shut := l.Addr().String(), refusing(t)
	tcp := func(host, address string) corev1.ProbeHandler {
		return corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Host: host, Port: portOf(t, address)}}
	}
	if got := askOf(t, Container{Host: "127.0.0.1"}, time.Second, tcp("", open)).text(open); got != "success" {
		t.Errorf("open: %s", got)
	}
	if got := askOf(t, Container{Host: "192.0.2.1"}, time.Second, tcp("127.0.0.1", open)).text(open); got != "success" {
		t.Errorf("own host: %s", got)
	}
	want := "failure: dial tcp HOST: connect: connection refused"
	if got := askOf(t, Container{Host: "127.0.0.1"}, time.Second, tcp("", shut)).text(shut); got != want {
		t.Errorf("shut: got %q, want %q", got, want)
	}
	want = "failure: dial tcp HOST: i/o timeout"
	if got := askOf(t, Container{Host: "127.0.0.1"}, time.Nanosecond, tcp("", open)).text(open); got != want {
		t.Errorf("out of time: got %q, want %q", got, want)
	}
	l.Close()
	serving.Wait()
}
