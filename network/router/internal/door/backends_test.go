package door

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"skiff/network/protocol"
)

// TestBodies sends bodies of all sizes in all framings back and forth, by both ways.
func TestBodies(t *testing.T) {
	at, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/length":
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		case "/close":
			c, rw, _ := w.(http.Hijacker).Hijack()
			fmt.Fprint(rw, "HTTP/1.0 200 OK\nOld: yes\n\n")
			_, _ = rw.Write(body)
			_ = rw.Flush()
			c.Close()
			return
		default:
			w.Header().Set("Trailer", "Sum")
			w.(http.Flusher).Flush()
			defer w.Header().Set("Sum", "42")
		}
		_, _ = w.Write(body)
	}, nil)
	d := run(t, oneSite("shop.localhost", to("web", at)))
	c := d.client(nil)
	for _, size := range []int{0, 1, 4000, 8192, 70_000, 3 << 20} {
		body := make([]byte, size)
		_, _ = rand.Read(body)
		for _, path := range []string{"/length", "/close", "/chunked"} {
			for _, chunked := range []bool{false, true} {
				var in io.Reader = bytes.NewReader(body)
				if chunked {
					in = struct{ io.Reader }{in}
				}
				response, got := ask(t, c, "PUT", "http://shop.localhost"+path, in)
				if got != string(body) || response.StatusCode != 200 || path == "/chunked" && response.Trailer.Get("Sum") != "42" {
					t.Errorf("%d bytes, %s, chunked %v: %d with %d bytes, trailers %v", size, path, chunked, response.StatusCode, len(got), response.Trailer)
				}
			}
		}
	}
}

// TestStreaming holds that what a backend says arrives before it says more.
func TestStreaming(t *testing.T) {
	more := make(chan struct{})
	at, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		for i := range 3 {
			<-more
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
		}
	}, nil)
	d := run(t, oneSite("shop.localhost", to("web", at)))
	for _, change := range []func(*http.Transport){nil, func(tr *http.Transport) {
		tr.Protocols.SetHTTP1(false)
		tr.Protocols.SetUnencryptedHTTP2(true)
	}} {
		response, err := d.client(change).Get("http://shop.localhost/")
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(response.Body)
		for i := range 3 {
			more <- struct{}{}
			if line, err := lines.ReadString('\n'); err != nil || line != fmt.Sprintf("data: %d\n", i) {
				t.Fatal(line, err)
			}
			if _, err := lines.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		response.Body.Close()
	}
}

// TestClientLeaves holds that a backend that has not answered yet is told that nobody waits.
func TestClientLeaves(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	at, _ := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		began <- struct{}{}
		<-r.Context().Done()
		ended <- struct{}{}
	}, nil)
	d := run(t, oneSite("shop.localhost", to("web", at)))
	for _, way := range []string{"", "TE: trailers\r\n"} {
		c := d.dial()
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: shop.localhost\r\n"+way+"\r\n")
		<-began
		c.Close()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Fatalf("with %q the backend's request goes on", way)
		}
	}
}

// TestSlowAnswer holds that watching a client does not lose what it says.
func TestSlowAnswer(t *testing.T) {
	begun, answer := make(chan struct{}), make(chan struct{})
	at, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			begun <- struct{}{}
			<-answer
		}
		fmt.Fprint(w, r.URL.Path)
	}, nil)
	d := run(t, oneSite("shop.localhost", to("web", at)))
	c := d.dial()
	r := bufio.NewReader(c)
	for range 2 {
		_, _ = io.WriteString(c, "GET /slow HTTP/1.1\r\nHost: shop.localhost\r\n\r\n")
		<-begun
		time.Sleep(patience + 100*time.Millisecond) // until the client is watched
		_, _ = io.WriteString(c, "GET /next HTTP/1.1\r\nHost: shop.localhost\r\n\r\n")
		answer <- struct{}{}
		for _, want := range []string{"/slow", "/next"} {
			if _, body := hear(t, r); body != want {
				t.Fatalf("%q, want %q", body, want)
			}
		}
	}
}

func TestExpectContinue(t *testing.T) {
	at, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		echo(w, r)
	}, nil)
	d := run(t, oneSite("shop.localhost", to("web", at)))
	c := d.dial()
	r := bufio.NewReader(c)
	_, _ = io.WriteString(c, "POST /yes HTTP/1.1\r\nHost: shop.localhost\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	if line, err := r.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatal(line, err)
	}
	_, _ = r.ReadString('\n')
	_, _ = io.WriteString(c, "body")
	if response, body := hear(t, r); !strings.HasSuffix(body, "body") {
		t.Error(response, body)
	}
	response, _ := say(t, d.dial(), "POST /no HTTP/1.1\r\nHost: shop.localhost\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	if response.StatusCode != http.StatusForbidden {
		t.Error(response.Status)
	}
}

func TestInterimResponses(t *testing.T) {
	at, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>")
		w.WriteHeader(http.StatusEarlyHints)
		fmt.Fprint(w, "done")
	}, nil)
	d := run(t, oneSite("shop.localhost", to("web", at)))
	c := d.dial()
	r := bufio.NewReader(c)
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n")
	if response, _ := hear(t, r); response.StatusCode != 103 || response.Header.Get("Link") == "" {
		t.Error(response)
	}
	if response, body := hear(t, r); response.StatusCode != 200 || body != "done" {
		t.Error(response, body)
	}
}

func TestWebSocket(t *testing.T) {
	at := raw(t, func(c net.Conn, r *bufio.Reader) {
		request, err := http.ReadRequest(r)
		if err != nil || request.Header.Get("Upgrade") != "websocket" || request.Header.Get("Sec-Websocket-Key") != "k" {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: a\r\n\r\nhello")
		_, _ = io.Copy(c, r)
	})
	secure, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		c, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello")
		_, _ = io.Copy(c, rw)
		c.Close()
	}, func(s *http.Server) {
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pairOf(t, certificateFor(t, "x"))}}
	})
	https := to("api", secure)
	https.Protocol = protocol.HTTPS
	d := run(t, oneSite("shop.localhost", to("web", at)), oneSite("api.localhost", https))
	for _, host := range []string{"shop.localhost", "api.localhost"} {
		c := d.dial()
		r := bufio.NewReader(c)
		_, _ = io.WriteString(c, "GET /ws HTTP/1.1\r\nHost: "+host+"\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n")
		response, err := http.ReadResponse(r, nil)
		if err != nil || response.StatusCode != 101 || response.Header.Get("Upgrade") != "websocket" {
			t.Fatal(response, err)
		}
		for _, word := range []string{"", "ping", "pong"} {
			want := word
			if word == "" {
				want = "hello"
			}
			_, _ = io.WriteString(c, word)
			got := make([]byte, len(want))
			if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
				t.Fatalf("%q, %v, want %q", got, err, want)
			}
		}
	}
}

// healthServer has a call of either kind, with trailers.
type healthServer struct {
	healthv1.UnimplementedHealthServer
}

func (healthServer) Check(ctx context.Context, r *healthv1.HealthCheckRequest) (*healthv1.HealthCheckResponse, error) {
	_ = grpc.SetTrailer(ctx, metadata.Pairs("seen", r.Service))
	if r.Service == "none" {
		return nil, status.Error(codes.NotFound, "no such service")
	}
	return &healthv1.HealthCheckResponse{Status: healthv1.HealthCheckResponse_SERVING}, nil
}

func (healthServer) Watch(_ *healthv1.HealthCheckRequest, s healthv1.Health_WatchServer) error {
	for i := range 3 {
		if err := s.Send(&healthv1.HealthCheckResponse{Status: healthv1.HealthCheckResponse_ServingStatus(i)}); err != nil {
			return err
		}
	}
	s.SetTrailer(metadata.Pairs("seen", "all"))
	return status.Error(codes.Aborted, "enough")
}

func TestGRPC(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	healthv1.RegisterHealthServer(server, healthServer{})
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	b := to("rpc", l.Addr().String())
	b.Protocol = protocol.HTTP2
	down := to("down", nobody(t))
	down.Protocol = protocol.HTTP2
	d := run(t, oneSite("rpc.localhost", b), oneSite("down.localhost", down))
	connect := func(host string) healthv1.HealthClient {
		conn, err := grpc.NewClient("passthrough:///"+host, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return d.dial(), nil }))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return healthv1.NewHealthClient(conn)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	client := connect("rpc.localhost")
	var trailer metadata.MD
	if r, err := client.Check(ctx, &healthv1.HealthCheckRequest{Service: "x"}, grpc.Trailer(&trailer)); err != nil || r.Status != healthv1.HealthCheckResponse_SERVING || trailer.Get("seen")[0] != "x" {
		t.Errorf("%v, %v, %v", r, trailer, err)
	}
	if _, err := client.Check(ctx, &healthv1.HealthCheckRequest{Service: "none"}); status.Code(err) != codes.NotFound || status.Convert(err).Message() != "no such service" {
		t.Error(err)
	}
	stream, err := client.Watch(ctx, &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if r, err := stream.Recv(); err != nil || int(r.Status) != i {
			t.Fatal(r, err)
		}
	}
	if _, err := stream.Recv(); status.Code(err) != codes.Aborted || stream.Trailer().Get("seen")[0] != "all" {
		t.Errorf("%v, %v", err, stream.Trailer())
	}
	if _, err := connect("down.localhost").Check(ctx, &healthv1.HealthCheckRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("a service that is down: %v", err)
	}
}

func TestHTTPSBackend(t *testing.T) {
	at, _ := serve(t, echo, func(s *http.Server) {
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pairOf(t, certificateFor(t, "x"))}}
	})
	b := to("web", at)
	b.Protocol = protocol.HTTPS
	d := run(t, oneSite("shop.localhost", b))
	if _, body := ask(t, d.client(nil), "GET", "http://shop.localhost/", nil); !strings.HasPrefix(body, "GET shop.localhost / HTTP/2.0") {
		t.Error(body)
	}
}

func TestFailures(t *testing.T) {
	dead := nobody(t)
	nonsense := raw(t, func(c net.Conn, r *bufio.Reader) {
		_, _ = http.ReadRequest(r)
		_, _ = io.WriteString(c, "220 ready\r\n\r\n")
	})
	silent := raw(t, func(_ net.Conn, r *bufio.Reader) { _, _ = http.ReadRequest(r) })
	half := raw(t, func(c net.Conn, r *bufio.Reader) {
		_, _ = http.ReadRequest(r)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
	})
	good, _ := serve(t, echo, nil)
	d := run(t, oneSite("dead", to("dead", dead)), oneSite("nonsense", to("nonsense", nonsense)), oneSite("silent", to("silent", silent)),
		oneSite("half", to("half", half)), oneSite("two", to("two", dead, good)), oneSite("nowhere", to("nowhere")))
	for _, method := range []string{"GET", "POST"} {
		for _, way := range []string{"", "TE: trailers\r\n"} {
			head := method + " / HTTP/1.1\r\n" + way + "Host: "
			for _, test := range []struct {
				host   string
				status int
				want   string
			}{
				{"dead", 503, "service shop/dead has no ready endpoints\n"},
				{"nonsense", 502, "service shop/nonsense has not answered this request: "},
				{"silent", 502, "service shop/silent has not answered this request: "},
				{"nowhere", 503, "service shop/nowhere: it has no address\n"},
				{"two", 200, method + " two / "},
				{"two", 200, method + " two / "},
			} {
				response, body := say(t, d.dial(), head+test.host+"\r\n\r\n")
				if response.StatusCode != test.status || !strings.HasPrefix(body, test.want) {
					t.Errorf("%s %s (%q): %d %q", method, test.host, way, response.StatusCode, body)
				}
			}
			c := d.dial()
			_, _ = io.WriteString(c, head+"half\r\n\r\n")
			response, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(response.Body); string(body) != "half" || err == nil {
				t.Errorf("half a response: %q, %v", body, err)
			}
		}
	}
	// After a failure the connection is as good as before.
	c := d.dial()
	r := bufio.NewReader(c)
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: silent\r\n\r\nGET / HTTP/1.1\r\nHost: two\r\n\r\n")
	if response, _ := hear(t, r); response.StatusCode != 502 {
		t.Error(response.Status)
	}
	if response, _ := hear(t, r); response.StatusCode != 200 {
		t.Error(response.Status)
	}
}

// TestDeadConnection has a backend close each connection after one response, without a word. What must
// not be sent twice is sent when that has happened; the rest at once.
func TestDeadConnection(t *testing.T) {
	var served atomic.Int32
	closed := make(chan struct{}, 100)
	at := raw(t, func(c net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		served.Add(1)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		c.Close()
		closed <- struct{}{}
	})
	d := run(t, oneSite("shop.localhost", to("web", at)))
	for i := range 20 {
		c := d.dial()
		method := []string{"GET", "POST"}[i%2]
		if method == "POST" {
			<-closed
		}
		response, body := say(t, c, method+" / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n")
		if response.StatusCode != 200 || body != "ok" {
			t.Fatalf("request %d: %s %q", i, response.Status, body)
		}
		if method == "POST" {
			<-closed
		}
	}
	if served.Load() != 20 {
		t.Errorf("%d requests have been served, want 20", served.Load())
	}
}

// TestReplacedReplica has a backend come up after its connection was refused.
func TestReplacedReplica(t *testing.T) {
	at, listen := reserve(t)
	b := &backend{service: "shop/web", to: []*address{newAddress(target{addrPort(at), ""})}}
	go func() {
		time.Sleep(redialPause / 3)
		l, err := listen()
		if err != nil {
			return
		}
		defer l.Close()
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = http.ReadRequest(bufio.NewReader(c))
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	}()
	r, _ := http.NewRequest("POST", "http://x/", strings.NewReader("body"))
	response, err := b.RoundTrip(r)
	if err != nil || response.StatusCode != 200 {
		t.Fatal(response, err)
	}
	response.Body.Close()
}

func TestFailureStatus(t *testing.T) {
	b := &backend{service: "shop/web"}
	dial := func(err error) error { return fmt.Errorf("x: %w", &net.OpError{Op: "dial", Err: err}) }
	for _, test := range []struct {
		err    error
		status int
	}{
		{dial(syscall.ECONNREFUSED), 503},
		{dial(context.DeadlineExceeded), 504},
		{dial(syscall.EHOSTUNREACH), 502},
		{io.EOF, 502},
		{syscall.ECONNRESET, 502},
	} {
		if status, text := b.failure(test.err); status != test.status || !strings.HasPrefix(text, "service shop/web ") {
			t.Errorf("%v: %d %q", test.err, status, text)
		}
	}
}

// TestStateChanges follows requests of one connection through changes, and holds that connections to
// addresses that are not used any more are closed.
func TestStateChanges(t *testing.T) {
	closed := make(chan string, 10)
	backendAt := func(name string) string {
		at, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) }, func(s *http.Server) {
			s.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateClosed {
					closed <- name
				}
			}
		})
		return at
	}
	one, two := backendAt("one"), backendAt("two")
	d := run(t, oneSite("shop.localhost", to("web", one)))
	for _, way := range []string{"", "TE: trailers\r\n"} {
		c := d.dial()
		r := bufio.NewReader(c)
		get := func() string {
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: shop.localhost\r\n"+way+"\r\n")
			_, body := hear(t, r)
			return body
		}
		d.set(&protocol.Door{Sites: []protocol.Site{oneSite("shop.localhost", to("web", one))}})
		until(t, func() bool { return get() == "one" })
		d.set(&protocol.Door{Sites: []protocol.Site{oneSite("shop.localhost", to("web", two))}})
		until(t, func() bool { return get() == "two" })
		select {
		case name := <-closed:
			if name != "one" {
				t.Errorf("connection to %s is closed", name)
			}
		case <-time.After(10 * time.Second):
			t.Error("the connection to an address that is not used stays open")
		}
		d.set(&protocol.Door{})
		until(t, func() bool { return strings.HasPrefix(get(), "There is no site of the name shop.localhost") })
		<-closed
	}
}

func until(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never happens")
		}
	}
}

// TestList is what programs get.
func TestList(t *testing.T) {
	d := run(t, oneSite("shop.localhost", to("web")), protocol.Site{Host: "*.x.org", Title: "ingress a/b", Paths: []protocol.Path{{Path: "/", Backend: to("b", "127.0.0.1:1")}}})
	response, body := ask(t, d.client(nil), "GET", "http://localhost:99/", nil, "Accept", "application/json")
	var got struct{ Sites []listed }
	if err := json.Unmarshal([]byte(body), &got); err != nil || response.StatusCode != 200 || len(got.Sites) != 2 || got.Sites[0].URLs[0] != "http://shop.localhost:99/" {
		t.Errorf("%v: %s", err, body)
	}
	if response.Header.Get("Content-Security-Policy") == "" || response.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error(response.Header)
	}
}

// TestGarbage holds that connections that make no sense end, and nothing else.
func TestGarbage(t *testing.T) {
	at, _ := serve(t, echo, nil)
	d := run(t, oneSite("shop.localhost", to("web", at)))
	for _, text := range []string{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\xff\xff\xff\xff", "\x16\x03\x01\xff\xff" + strings.Repeat("\x00", 100)} {
		c := d.dial()
		_, _ = io.WriteString(c, text)
		_ = c.(*net.TCPConn).CloseWrite()
		if _, err := io.ReadAll(c); err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
	}
	if response, _ := say(t, d.dial(), "GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n"); response.StatusCode != 200 {
		t.Error(response.Status)
	}
}

// TestPanic has a door without a table serve a request.
func TestPanic(t *testing.T) {
	d := newDoor(t.Context(), &net.TCPAddr{}, slog.New(slog.DiscardHandler))
	ours, theirs := net.Pipe()
	go func() {
		_, _ = io.WriteString(ours, proxied)
		_, _ = io.WriteString(ours, "GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n")
	}()
	d.greet(d.admit(theirs))
	if _, err := ours.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the connection is still open: %v", err)
	}
	d.group.Wait()
}
