package door

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestHostOf(t *testing.T) {
	for _, test := range []struct {
		header, name, port string
		ok                 bool
	}{
		{"localhost", "localhost", "", true},
		{"Shop.Example.ORG:8080", "shop.example.org", "8080", true},
		{"shop.example.org.", "shop.example.org", "", true},
		{"shop.example.org.:80", "shop.example.org", "80", true},
		{"127.0.0.1:80", "127.0.0.1", "80", true},
		{"[::1]", "::1", "", true},
		{"[::1]:443", "::1", "443", true},
		{"[0:0::1]:443", "::1", "443", true},
		{"a_b.localhost", "a_b.localhost", "", true},
		{"a:", "a", "", true},
		{"", "", "", false},
		{":80", "", "", false},
		{"a:b", "", "", false},
		{"a:1:2", "", "", false},
		{"a:123456", "", "", false},
		{"::1", "", "", false},
		{"[::1", "", "", false},
		{"[::1]x", "", "", false},
		{"[fe80::1%eth0]", "", "", false},
		{"[127.0.0.1]", "", "", false},
		{"a..b", "", "", false},
		{".a", "", "", false},
		{"..", "", "", false},
		{"user@a", "", "", false},
		{"a/b", "", "", false},
		{"a b", "", "", false},
		{"ä", "", "", false},
		{"a%41", "", "", false},
		{strings.Repeat("a", 254), "", "", false},
	} {
		name, port, ok := hostOf(test.header)
		if name != test.name && test.ok || port != test.port && test.ok || ok != test.ok {
			t.Errorf("hostOf(%q) = %q, %q, %v; want %q, %q, %v", test.header, name, port, ok, test.name, test.port, test.ok)
		}
	}
}

func FuzzHost(f *testing.F) {
	for _, s := range []string{"localhost:80", "[::1]:1", "a.b.", "A", ":", "[", "a..b", "0.."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		name, port, ok := hostOf(header)
		if !ok {
			return
		}
		if strings.ContainsAny(name+port, "/\\@ \t\r\n<>\"'&%[]") || name == "" || name != strings.ToLower(name) {
			t.Fatalf("hostOf(%q) = %q, %q", header, name, port)
		}
		if again, _, ok := hostOf(name); !strings.Contains(name, ":") && (!ok || again != name) {
			t.Fatalf("hostOf(%q) = %q, which is %q, %v", header, name, again, ok)
		}
	})
}

func TestProxyLine(t *testing.T) {
	const good = "PROXY TCP4 127.0.0.1 127.0.0.2 51234 7480\r\n"
	for i := range len(good) {
		if n, _, err := proxyLine([]byte(good[:i])); n != 0 || err != nil {
			t.Errorf("%q: %d, %v: want more", good[:i], n, err)
		}
	}
	n, who, err := proxyLine([]byte(good + "GET / HTTP/1.1"))
	if n != len(good) || err != nil || who.remote.String() != "127.0.0.1:51234" || who.local.String() != "127.0.0.2:7480" {
		t.Errorf("%d, %v, %v", n, who, err)
	}
	if _, who, err := proxyLine([]byte("PROXY TCP6 ::1 fe80::1 1 2\r\n")); err != nil || who.remote.String() != "[::1]:1" {
		t.Errorf("%v, %v", who, err)
	}
	for _, bad := range []string{
		"GET / HTTP/1.1\r\n", "P\r\n", "\x16\x03\x01", "PROXY UNKNOWN\r\n", "PROXY TCP4 ::1 ::1 1 2\r\n", "proxy ",
		"PROXY TCP6 127.0.0.1 127.0.0.1 1 2\r\n", "PROXY TCP4 127.0.0.1 127.0.0.1 1 65536\r\n",
		"PROXY TCP4 127.0.0.1 127.0.0.1 1 +2\r\n", "PROXY TCP4 127.0.0.1 127.0.0.1 01 2\r\n",
		"PROXY TCP4 127.0.0.1  127.0.0.1 1 2\r\n", "PROXY TCP4 127.0.0.1 127.0.0.1 1 2 3\r\n",
		"PROXY TCP6 fe80::1%a ::1 1 2\r\n", "PROXY " + strings.Repeat("x", 101), "\r\n\r\n\x00\r\nQUIT\n",
	} {
		if _, _, err := proxyLine([]byte(bad)); err == nil {
			t.Errorf("%q is taken for a PROXY line", bad)
		}
	}
}

func FuzzProxyLine(f *testing.F) {
	f.Add([]byte("PROXY TCP4 127.0.0.1 127.0.0.1 51234 7480\r\nGET"))
	f.Add([]byte("PROXY TCP6 ::1 ::1 1 2\r\n"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, who, err := proxyLine(data)
		switch {
		case err != nil && n != 0, n > maxProxyLine:
			t.Fatal(n, err)
		case err == nil && n == 0 && len(data) >= maxProxyLine:
			t.Fatal("it waits for more for ever")
		case n > 0 && (!who.remote.IsValid() || !who.local.IsValid() || !bytes.HasSuffix(data[:n], []byte("\r\n"))):
			t.Fatal(who)
		}
	})
}

// FuzzHead holds that what is taken for a request of the usual kind is the same to net/http.
func FuzzHead(f *testing.F) {
	for _, s := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /a?b=%zz HTTP/1.1\r\nHost: a:80\r\ncontent-length: 3\r\nConnection: close\r\n\r\nabcGET",
		"GET //a HTTP/1.1\r\nHost: a\r\nX: y\r\nX: \tz \r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n1",
		"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
		"GET /a%20b%2Fc%25?%zz HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /%+41 HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.1\r0Host:0\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var h head
		if !h.parse(data) {
			return
		}
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(data)))
		if err != nil {
			t.Fatalf("%q is a request here, and none to net/http: %v", data, err)
		}
		if _, _, ok := hostOf(string(h.host)); !ok {
			return // handed over
		}
		if r.Method != string(h.method) || r.URL.Path != string(h.path) || r.Host != string(h.host) ||
			r.ContentLength != int64(h.length) || r.Close != h.close || len(r.TransferEncoding) > 0 {
			t.Fatalf("%q is %q %q %q %d %v here, and %q %q %q %d %v to net/http", data, h.method, h.path, h.host, h.length, h.close,
				r.Method, r.URL.Path, r.Host, r.ContentLength, r.Close)
		}
	})
}

// FuzzReply holds that responses end where net/http sees them end.
func FuzzReply(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
		"HTTP/1.0 200 OK\r\n\r\nabc",
		"HTTP/1.1 200\nTransfer-Encoding: chunked\n\n3;a=b\r\nabc\r\n0\r\nA: b\r\n\r\n",
		"HTTP/1.1 204 No Content\r\nConnection: x, close\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var r reply
		if more, err := r.parse(data); more || err != nil || r.status < 200 {
			return
		}
		theirs, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(data)), nil)
		if err != nil {
			return // the client gets what it can't read, and its connection is its own
		}
		want, err := io.ReadAll(theirs.Body)
		if err != nil {
			return
		}
		if theirs.StatusCode != r.status {
			t.Fatalf("%q: status %d here, %d to net/http", data, r.status, theirs.StatusCode)
		}
		body := framing{left: r.length, chunked: r.chunked, open: r.length < 0 && !r.chunked}
		if r.bodiless([]byte("GET")) {
			body = framing{}
		}
		n, done, err := body.next(data[r.size:])
		if err != nil || !done && !body.open {
			return
		}
		if r.chunked {
			got, err := io.ReadAll(http.MaxBytesReader(nil, must(t, data[:r.size+n]).Body, 1<<20))
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%q: body %q here (%v), %q to net/http", data, got, err, want)
			}
			return
		}
		if !bytes.Equal(data[r.size:r.size+n], want) {
			t.Fatalf("%q: body %q here, %q to net/http", data, data[r.size:r.size+n], want)
		}
	})
}

func must(t *testing.T, data []byte) *http.Response {
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(data)), nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestForwarding(t *testing.T) {
	for name, want := range map[string]bool{
		"Forwarded": true, "X-Forwarded-For": true, "x_forwarded_for": true, "X-Forwarded-Anything": true, "X-Real-Ip": true,
		"X-Real_IP": true, "X-Forwarded": false, "Forwarder": false, "X-Forwardes-For": false, "Accept": false, "Host": false, "": false,
	} {
		if forwarding(name) != want || forwarding([]byte(name)) != want {
			t.Errorf("forwarding(%q) is not %v", name, want)
		}
	}
}
