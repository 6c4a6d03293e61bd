package door

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"skiff/network/protocol"
)

func TestMain(m *testing.M) {
	if isChild() {
		runChild()
		return
	}
	goleak.VerifyTestMain(m)
}

// running is a door that runs for a test.
type running struct {
	t       *testing.T
	at      string
	states  *io.PipeWriter
	encoder *json.Encoder
	done    chan error
}

const (
	callerAddress = "192.0.2.7"
	proxied       = "PROXY TCP4 192.0.2.7 192.0.2.1 51234 8443\r\n"
)

// run runs a door that serves these sites.
func run(t *testing.T, sites ...protocol.Site) *running {
	return runState(t, &protocol.Door{Sites: sites})
}

func runState(t *testing.T, state *protocol.Door) *running {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	in, out := io.Pipe()
	d := &running{t: t, at: l.Addr().String(), states: out, encoder: json.NewEncoder(out), done: make(chan error, 1)}
	log := slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	go func() { d.done <- Run(context.Background(), in, l, Options{Log: log}) }()
	d.set(state)
	t.Cleanup(d.stop)
	return d
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func (d *running) set(state *protocol.Door) {
	d.t.Helper()
	if err := d.encoder.Encode(state); err != nil {
		d.t.Fatal(err)
	}
}

// stop lets the door's input end.
func (d *running) stop() {
	_ = d.states.Close()
	if err := <-d.done; err != nil {
		d.t.Errorf("Run: %v", err)
	}
	d.done <- nil
}

// dial is a connection to the door that the daemon has introduced.
func (d *running) dial() net.Conn {
	d.t.Helper()
	c, err := net.Dial("tcp", d.at)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		d.t.Fatal(err)
	}
	if _, err := io.WriteString(c, proxied); err != nil {
		d.t.Fatal(err)
	}
	return c
}

// client has all its connections go to the door.
func (d *running) client(change func(*http.Transport)) *http.Client {
	tr := &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return d.dial(), nil },
		Protocols:   &http.Protocols{}, DisableCompression: true, ExpectContinueTimeout: 10 * time.Second,
	}
	tr.Protocols.SetHTTP1(true)
	if change != nil {
		change(tr)
	}
	d.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// say sends raw text and reads one response.
func say(t *testing.T, c net.Conn, text string) (*http.Response, string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return hear(t, bufio.NewReader(c))
}

func hear(t *testing.T, r *bufio.Reader) (*http.Response, string) {
	t.Helper()
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

// ask sends a request and returns its response with the whole body.
func ask(t *testing.T, c *http.Client, method, url string, body io.Reader, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(text)
}

// serve is a backend; conns counts its connections.
func serve(t *testing.T, h http.HandlerFunc, change func(*http.Server)) (at string, conns *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns = &atomic.Int32{}
	s := &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0), ConnState: func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}}
	tlsToo := false
	if change != nil {
		change(s)
		tlsToo = s.TLSConfig != nil
	}
	go func() {
		if tlsToo {
			_ = s.ServeTLS(l, "", "")
		} else {
			_ = s.Serve(l)
		}
	}()
	t.Cleanup(func() { s.Close() })
	return l.Addr().String(), conns
}

// raw is a backend that answers each connection by hand.
func raw(t *testing.T, h func(net.Conn, *bufio.Reader)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(20 * time.Second))
				h(c, bufio.NewReader(c))
			}()
		}
	}()
	return l.Addr().String()
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "text/plain")
	fmt.Fprintf(w, "%s %s %s %s\n", r.Method, r.Host, r.URL.RequestURI(), r.Proto)
	for _, h := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "Forwarded", "Connection", "X-Real-Ip", "X_forwarded_for", "X-Forwarded-Prefix", "Keep-Alive", "X-Hop", "Accept"} {
		if v, ok := r.Header[h]; ok {
			fmt.Fprintf(w, "%s: %s\n", h, strings.Join(v, "|"))
		}
	}
	_, _ = w.Write(body)
}

// certificateFor is one that signs itself.
func certificateFor(t *testing.T, names ...string) protocol.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: names, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return protocol.Certificate{
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}
}

func pairOf(t *testing.T, c protocol.Certificate) tls.Certificate {
	pair, err := tls.X509KeyPair(c.Cert, c.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// nobody is an address where nothing listens, nor can anybody begin to during the test: a socket has it
// that does not listen.
func nobody(t *testing.T) string {
	t.Helper()
	at, _ := reserve(t)
	return at
}

// reserve takes an address that nobody else can take, and on which listen begins to listen.
func reserve(t *testing.T) (at string, listen func() (net.Listener, error)) {
	t.Helper()
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(socket), "reserved")
	t.Cleanup(func() { file.Close() })
	if err := unix.Bind(socket, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(socket)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port), func() (net.Listener, error) {
		if err := unix.Listen(socket, 8); err != nil {
			return nil, err
		}
		return net.FileListener(file)
	}
}

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
