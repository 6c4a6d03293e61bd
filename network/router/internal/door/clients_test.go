package door

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"skiff/network/protocol"
)

func TestConnectionsWithoutProxyLine(t *testing.T) {
	at, _ := serve(t, echo, nil)
	d := run(t, oneSite("shop.localhost", to("web", at)))
	for _, text := range []string{"GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n", "\x16\x03\x01", "PROXY UNKNOWN\r\nGET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n"} {
		c, err := net.Dial("tcp", d.at)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, _ = io.WriteString(c, text)
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		if got, err := io.ReadAll(c); len(got) > 0 || errors.Is(err, net.ErrClosed) || time.Since(began) > proxyLineTimeout/2 {
			t.Errorf("%q is answered with %q, %v after %s", text, got, err, time.Since(began))
		}
		c.Close()
	}
}

// TestForwarded asks for the same by the quick way and by net/http's, which "TE" asks for.
func TestForwarded(t *testing.T) {
	at, _ := serve(t, echo, nil)
	d := run(t, oneSite("shop.localhost", to("web", at)))
	const want = "GET Shop.localhost:8080 /a%s?b=c;d&e=%%zz HTTP/1.1\n" +
		"X-Forwarded-For: 192.0.2.7\nX-Forwarded-Host: Shop.localhost:8080\nX-Forwarded-Proto: http\nX-Forwarded-Port: 8443\n" +
		"Forwarded: for=192.0.2.7;proto=http;host=\"Shop.localhost:8080\"\nAccept: x\n"
	for _, way := range []struct{ header, escape string }{{"", ""}, {"TE: trailers\r\n", ""}, {"", "%20%2F"}, {"Connection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n", ""}} {
		_, body := say(t, d.dial(), "GET /a"+way.escape+"?b=c;d&e=%zz HTTP/1.1\r\nHost: Shop.localhost:8080\r\nAccept: x\r\n"+way.header+
			"X-Forwarded-For: 6.6.6.6\r\nx_forwarded_for: 6.6.6.6\r\nFORWARDED: for=6.6.6.6\r\nX-Forwarded-Proto: https\r\n"+
			"X-Forwarded-Prefix: /x\r\nX-Forwarded-Port: 1\r\nX-Forwarded-Host: evil\r\nX-Real-IP: 6.6.6.6\r\n\r\n")
		if want := fmt.Sprintf(want, way.escape); body != want {
			t.Errorf("with %+v the backend gets\n%s\nwant\n%s", way, body, want)
		}
	}
}

func TestKeepAlive(t *testing.T) {
	at, conns := serve(t, echo, nil)
	d := run(t, oneSite("shop.localhost", to("web", at)))
	c := d.dial()
	r := bufio.NewReader(c)
	// Two at once, then a body in two parts, HEAD, and the last one.
	_, _ = io.WriteString(c, "GET /1 HTTP/1.1\r\nHost: shop.localhost\r\n\r\nGET /2 HTTP/1.1\r\nHost: shop.localhost\r\n\r\n")
	for _, want := range []string{"GET shop.localhost /1 ", "GET shop.localhost /2 "} {
		if _, body := hear(t, r); !strings.HasPrefix(body, want) {
			t.Errorf("%q, want %q", body, want)
		}
	}
	_, _ = io.WriteString(c, "POST /3 HTTP/1.1\r\nHost: shop.localhost\r\nContent-Length: 10\r\n\r\n01234")
	_, _ = io.WriteString(c, "56789HEAD /4 HTTP/1.1\r\nHost: shop.localhost\r\n\r\n")
	if _, body := hear(t, r); !strings.HasPrefix(body, "POST shop.localhost /3 ") || !strings.HasSuffix(body, "0123456789") {
		t.Errorf("%q", body)
	}
	response, err := http.ReadResponse(r, &http.Request{Method: "HEAD"})
	if err != nil || response.StatusCode != 200 || response.ContentLength <= 0 {
		t.Fatal(response, err)
	}
	_, _ = io.WriteString(c, "GET /5 HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n\r\n")
	if response, _ := hear(t, r); !response.Close {
		t.Error("the client's wish to close is not confirmed")
	}
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last response comes %v", err)
	}
	if conns.Load() != 1 {
		t.Errorf("%d connections to the backend, want 1", conns.Load())
	}
}

func TestNames(t *testing.T) {
	at, _ := serve(t, echo, nil)
	nothing := to("cart")
	nothing.Problem = "service port 80 has no name <http>"
	d := run(t, oneSite("shop.localhost", to("web", at)), oneSite("*.example.org", to("web", at)), oneSite("cart.localhost", nothing),
		protocol.Site{Host: "a.localhost", Title: "ingress shop/<a>", Paths: []protocol.Path{{Path: "/a", Backend: to("web", at)}}})
	for _, test := range []struct {
		url, host, accept string
		status            int
		want, not         string
	}{
		{"/", "shop.localhost:1", "", 200, "GET shop.localhost:1 /", ""},
		{"/", "x.example.org", "", 200, "GET x.example.org /", ""},
		{"/", "localhost:8080", "text/html", 200, `<a href="http://shop.localhost:8080/">http://shop.localhost:8080/</a>`, "<a>"},
		{"/", "LOCALHOST", "", 200, "http://shop.localhost/\n  service shop/web", "<li>"},
		{"/x", "localhost", "", 404, "http://a.localhost/a\n", ""},
		{"/", "nobody.localhost", "application/json", 404, `"host":"*.example.org","title":"service shop/web"}`, ""},
		{"/", "127.0.0.1:80", "text/html", 404, "There is no site of the name 127.0.0.1", ""},
		{"/", "[::1]", "text/html", 404, "shop.localhost", ""},
		{"/", "evil.example.com", "text/html", 421, "no site of this name", "localhost"},
		{"/", "a.b.example.org", "", 421, "no site of this name", "localhost"},
		{"/", "localhost.evil.com", "", 421, "no site of this name", "shop"},
		{"/b", "a.localhost", "", 404, "ingress shop/<a> has nothing at this path\n", ""},
		{"/b", "a.localhost", "text/html", 404, "ingress shop/&lt;a&gt; has", "<a>"},
		{"/", "cart.localhost", "", 503, "service shop/cart: service port 80 has no name <http>\n", ""},
		{"/", "user@localhost", "", 400, "", "shop"},
		{"/", "", "", 400, "", "shop"},
		{"/", "a b", "", 400, "", "shop"},
	} {
		response, body := say(t, d.dial(), "GET "+test.url+" HTTP/1.1\r\nHost: "+test.host+"\r\nAccept: "+test.accept+"\r\n\r\n")
		if response.StatusCode != test.status || !strings.Contains(body, test.want) || test.not != "" && strings.Contains(body, test.not) {
			t.Errorf("%+v: %d\n%s", test, response.StatusCode, body)
		}
	}
	// The target counts, not the header, if it is absolute.
	_, body := say(t, d.dial(), "GET http://shop.localhost/abs HTTP/1.1\r\nHost: evil\r\n\r\n")
	if !strings.HasPrefix(body, "GET shop.localhost /abs ") {
		t.Errorf("absolute target: %q", body)
	}
}

func TestMalformedRequests(t *testing.T) {
	at, _ := serve(t, echo, nil)
	d := run(t, oneSite("shop.localhost", to("web", at)))
	for _, text := range []string{
		"GET / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: shop.localhost\r\nHost: shop.localhost\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: shop.localhost\r\nContent-Length: +1\r\n\r\n1",
		"GET / HTTP/1.1\r\nHost: shop.localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
		"GET / HTTP/1.1\r\nHost: shop.localhost\r\nA b: c\r\n\r\n",
		"GET / HTTP/1.1\r\nHost : shop.localhost\r\n\r\n",
		"GET /%zz HTTP/1.1\r\nHost: shop.localhost\r\n\r\n",
		"\x00\x01\x02 nothing at all\r\n\r\n",
		"CONNECT shop.localhost:80 HTTP/1.1\r\nHost: shop.localhost\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: shop.localhost\r\nBig: " + strings.Repeat("x", maxHead+8192) + "\r\n\r\n",
	} {
		c := d.dial()
		if _, err := io.WriteString(c, text); err != nil {
			continue // refused half-way
		}
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || response.StatusCode/100 != 4 {
			t.Errorf("%.60q: %v, %v", text, response, err)
		}
	}
	// A head that is large, but allowed.
	response, _ := say(t, d.dial(), "GET / HTTP/1.1\r\nHost: shop.localhost\r\nBig: "+strings.Repeat("x", 40000)+"\r\n\r\n")
	if response.StatusCode != 200 {
		t.Errorf("a head of 40 kB: %d", response.StatusCode)
	}
}

func TestTLS(t *testing.T) {
	at, _ := serve(t, echo, nil)
	d := runState(t, &protocol.Door{
		Sites:        []protocol.Site{oneSite("shop.example.org", to("web", at)), oneSite("a.wild.org", to("web", at))},
		Certificates: []protocol.Certificate{certificateFor(t, "shop.example.org"), certificateFor(t, "*.wild.org"), {Cert: []byte("nothing")}},
	})
	for _, h2 := range []bool{false, true} {
		c := d.client(func(tr *http.Transport) {
			tr.Protocols.SetHTTP2(h2)
			tr.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
		})
		for range 2 {
			response, body := ask(t, c, "GET", "https://shop.example.org/x", nil)
			if response.ProtoMajor == 2 != h2 || response.TLS.PeerCertificates[0].DNSNames[0] != "shop.example.org" ||
				!strings.Contains(body, "X-Forwarded-For: "+callerAddress+"\n") || !strings.Contains(body, "X-Forwarded-Proto: https\n") {
				t.Errorf("%s:\n%s", response.Proto, body)
			}
		}
		if response, _ := ask(t, c, "GET", "https://a.wild.org/", nil); response.TLS.PeerCertificates[0].DNSNames[0] != "*.wild.org" {
			t.Error("not the wildcard's certificate")
		}
	}
	for _, name := range []string{"other.org", "a.b.wild.org", ""} {
		err := tls.Client(d.dial(), &tls.Config{InsecureSkipVerify: true, ServerName: name}).Handshake()
		if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("handshake for %q: %v", name, err)
		}
	}
}

func TestH2C(t *testing.T) {
	at, _ := serve(t, echo, nil)
	d := run(t, oneSite("shop.localhost", to("web", at)))
	c := d.client(func(tr *http.Transport) {
		tr.Protocols.SetHTTP1(false)
		tr.Protocols.SetUnencryptedHTTP2(true)
	})
	response, body := ask(t, c, "POST", "http://shop.localhost/x", strings.NewReader("body"))
	if response.ProtoMajor != 2 || !strings.HasSuffix(body, "body") || !strings.Contains(body, "X-Forwarded-For: "+callerAddress+"\n") {
		t.Errorf("%s:\n%s", response.Proto, body)
	}
}

func TestRunEnds(t *testing.T) {
	at, _ := serve(t, echo, nil)
	d := run(t, oneSite("shop.localhost", to("web", at)))
	c := d.dial()
	say(t, c, "GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n")
	d.stop()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection has outlived the door")
	}
	if _, err := net.Dial("tcp", d.at); err == nil {
		t.Error("the listener has outlived the door")
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), strings.NewReader("{} nonsense"), l, Options{}); err == nil {
		t.Error("nonsense is no error")
	}
}

// TestTimeouts holds how long a client may say nothing, or half of something.
func TestTimeouts(t *testing.T) {
	for _, test := range []struct {
		says string
		want time.Duration
	}{
		{"", proxyLineTimeout},
		{"PROXY TCP4 127.0.0.1", proxyLineTimeout},
		{proxied, idleTimeout},
		{proxied + "GET / HTTP/1.1\r\nHo", headTimeout},
		{proxied + "\x16\x03\x01", headTimeout},
		{proxied + "GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / ", headTimeout}, // by net/http
		{proxied + "GET / HTTP/1.1\r\nHost: x\r\n\r\n", idleTimeout},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := newDoor(t.Context(), &net.TCPAddr{}, slog.New(slog.DiscardHandler))
			d.set(&protocol.Door{})
			go func() { _ = d.server.Serve(d.handover) }()
			ours, theirs := net.Pipe()
			began := time.Now()
			go d.greet(d.admit(theirs))
			go func() { _, _ = io.WriteString(ours, test.says) }()
			_, _ = io.Copy(io.Discard, ours)
			if took := time.Since(began); took.Round(time.Second) != test.want {
				t.Errorf("after %q the connection ends in %s, want %s", test.says, took, test.want)
			}
			_, _ = ours.Close(), d.handover.Close()
			_ = d.server.Close()
			d.group.Wait()
			d.quiet.Stop()
		})
	}
}
