package tunnel

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"skiff/network/protocol"
)

// patience bounds whatever a test waits for.
const patience = 10 * time.Second

// ends are the two ends of a tunnel. accepted are the streams that the client's end has opened.
type ends struct {
	client, server *Session
	wire           net.Conn // cut it and the tunnel is
	accepted       chan *Stream
	ended          chan struct{} // Accept has returned
}

func newEnds(t *testing.T) *ends {
	a, b := pair(t)
	client, err := Client(a)
	check(t, err)
	server, err := Server(b)
	check(t, err)
	e := &ends{client: client, server: server, wire: a, accepted: make(chan *Stream), ended: make(chan struct{})}
	go func() {
		defer close(e.ended)
		_ = server.Accept(func(_ protocol.Greeting, s *Stream) { e.accepted <- s })
	}()
	t.Cleanup(func() {
		_ = client.Close()
		_ = server.Close()
		<-e.ended
	})
	return e
}

// pair are the two ends of a TCP connection.
func pair(t *testing.T) (a, b net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	a, err = net.Dial("tcp", l.Addr().String())
	check(t, err)
	b, err = l.Accept()
	check(t, err)
	t.Cleanup(func() { _, _ = a.Close(), b.Close() })
	return a, b
}

// stream opens a stream and returns both of its ends.
func (e *ends) stream(t *testing.T) (a, b *Stream) {
	t.Helper()
	a, err := e.client.Open(protocol.Greeting{Kind: protocol.KindDial})
	check(t, err)
	b = <-e.accepted
	for _, s := range []*Stream{a, b} {
		check(t, s.SetDeadline(time.Now().Add(patience)))
		t.Cleanup(func() { _ = s.Close() })
	}
	return a, b
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestHalfClose checks that one end may say all it has to say and still listen.
func TestHalfClose(t *testing.T) {
	a, b := newEnds(t).stream(t)
	_, err := a.Write([]byte("question"))
	check(t, err)
	check(t, a.CloseWrite())
	got, err := io.ReadAll(b)
	check(t, err)
	_, err = b.Write([]byte("answer to " + string(got)))
	check(t, err)
	check(t, b.Close())
	got, err = io.ReadAll(a)
	check(t, err)
	if string(got) != "answer to question" {
		t.Errorf("got %q", got)
	}
	if _, err := a.Write([]byte("more")); err == nil {
		t.Error("a closed half takes more")
	}
}

// TestFirstLine checks that what follows the first line at once is not lost, whatever its size.
func TestFirstLine(t *testing.T) {
	a, b := newEnds(t).stream(t)
	sent := make([]byte, 3<<20)
	_, _ = rand.Read(sent)
	go func() {
		check(t, protocol.WriteLine(a, protocol.Result{Error: "no"}))
		_, err := a.Write(sent)
		check(t, err)
		check(t, a.CloseWrite())
	}()
	var result protocol.Result
	check(t, protocol.ReadLine(b.Lines(), &result))
	got, err := io.ReadAll(b)
	check(t, err)
	if result.Error != "no" || !bytes.Equal(got, sent) {
		t.Errorf("got %+v and %d bytes of %d", result, len(got), len(sent))
	}
}

// TestCut checks that all ends when the connection below does.
func TestCut(t *testing.T) {
	e := newEnds(t)
	a, b := e.stream(t)
	var reading sync.WaitGroup
	for _, s := range []*Stream{a, b} {
		reading.Go(func() {
			if n, err := s.Read(make([]byte, 1)); !errors.Is(err, ErrEnded) {
				t.Errorf("read %d bytes, %v", n, err)
			}
		})
	}
	check(t, e.wire.Close())
	reading.Wait()
	<-e.client.Done()
	<-e.server.Done()
	<-e.ended
	if _, err := a.Write([]byte("x")); err == nil {
		t.Error("a stream of a tunnel that has ended takes more")
	}
	if _, err := e.client.Open(protocol.Greeting{Kind: protocol.KindDial}); err == nil {
		t.Error("a tunnel that has ended opens streams")
	}
	check(t, a.Close())
}

// TestDeadline checks that an expired deadline is what net says it is, and does no harm.
func TestDeadline(t *testing.T) {
	a, b := newEnds(t).stream(t)
	check(t, a.SetReadDeadline(time.Now().Add(time.Millisecond)))
	_, err := a.Read(make([]byte, 1))
	var timeout net.Error
	if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Fatalf("got %v", err)
	}
	// A deadline that is set while somebody reads wakes them up.
	check(t, a.SetReadDeadline(time.Now().Add(patience)))
	read := make(chan error)
	go func() {
		_, err := a.Read(make([]byte, 1))
		read <- err
	}()
	check(t, a.SetReadDeadline(past))
	if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	check(t, a.SetReadDeadline(time.Now().Add(patience)))
	_, err = b.Write([]byte("x"))
	check(t, err)
	_, err = a.Read(make([]byte, 1))
	check(t, err)
	// What does not fit in the window waits, no longer than the deadline.
	check(t, a.SetWriteDeadline(time.Now().Add(50*time.Millisecond)))
	if _, err := a.Write(make([]byte, 16<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// TestClose checks that Close wakes up whoever reads at this end and whoever writes at the other, and
// that what was written before it arrives.
func TestClose(t *testing.T) {
	e := newEnds(t)
	a, b := e.stream(t)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) && err != nil {
			t.Errorf("at this end: %v", err)
		}
	})
	waiting.Go(func() {
		for {
			if _, err := b.Write(make([]byte, 1<<20)); err != nil {
				if !errors.Is(err, syscall.EPIPE) {
					t.Errorf("at the other end: %v", err)
				}
				return
			}
		}
	})
	said := bytes.Repeat([]byte("last words"), 20_000)
	_, err := a.Write(said)
	check(t, err)
	check(t, a.Close())
	check(t, a.Close())
	waiting.Wait()
	got, err := io.ReadAll(b)
	check(t, err)
	if !bytes.Equal(got, said) {
		t.Errorf("%d bytes of %d have come", len(got), len(said))
	}
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed stream reads: %v", err)
	}
	// The tunnel goes on.
	a, b = e.stream(t)
	_, err = a.Write([]byte("x"))
	check(t, err)
	_, err = b.Read(make([]byte, 1))
	check(t, err)
}

// TestNonsenseGreeting checks that a stream which does not say what it is for is closed, and no other.
func TestNonsenseGreeting(t *testing.T) {
	e := newEnds(t)
	for _, first := range []string{"nonsense\n", strings.Repeat("x", 5000), `{"Kind":"reset","Address":"nonsense"}` + "\n"} {
		raw, err := e.client.mux.OpenStream()
		check(t, err)
		_, err = raw.Write([]byte(first))
		check(t, err)
		check(t, raw.Close())
		check(t, raw.SetReadDeadline(time.Now().Add(patience)))
		if _, err := raw.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%.20q: %v", first, err)
		}
	}
	e.stream(t)
}

// streams is a listener of a tunnel's streams.
type streams struct{ *ends }

func (l streams) Accept() (net.Conn, error) {
	select {
	case s := <-l.accepted:
		return s, nil
	case <-l.ended:
		return nil, net.ErrClosed
	}
}

func (l streams) Addr() net.Addr { return l.server.mux.Addr() }
func (l streams) Close() error   { return l.server.Close() }

// TestHTTPS checks that a TLS server keeps its connections over a tunnel, and ends them.
func TestHTTPS(t *testing.T) {
	e := newEnds(t)
	var opened, closed atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(body)
	}))
	server.Listener = streams{e}
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			opened.Add(1)
		case http.StateClosed:
			closed.Add(1)
		}
	}
	server.StartTLS()
	defer server.Close()
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		Dial: func(string, string) (net.Conn, error) {
			return e.client.Open(protocol.Greeting{Kind: protocol.KindAPI})
		},
	}
	client := http.Client{Transport: transport, Timeout: patience}
	for range 50 {
		r, err := client.Post("https://server/", "text/plain", strings.NewReader(strings.Repeat("hello", 5000)))
		check(t, err)
		body, err := io.ReadAll(r.Body)
		check(t, err)
		check(t, r.Body.Close())
		if len(body) != 25000 {
			t.Fatalf("got %d bytes", len(body))
		}
	}
	if opened.Load() != 1 {
		t.Errorf("50 requests took %d connections", opened.Load())
	}
	transport.CloseIdleConnections()
	for deadline := time.Now().Add(patience); closed.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the connection is still open")
		}
	}
}

// TestDatagrams checks that datagrams stay apart, whatever their sizes.
func TestDatagrams(t *testing.T) {
	a, b := newEnds(t).stream(t)
	from, to := NewDatagrams(a), NewDatagrams(b)
	sizes := []int{0, 1, 1500, 32<<10 + 1, maxDatagram}
	go func() {
		for _, size := range sizes {
			_, err := from.Write(make([]byte, size))
			check(t, err)
		}
		_, err := from.Write([]byte("longer than the buffer"))
		check(t, err)
		_, err = from.Write([]byte("last"))
		check(t, err)
		check(t, from.Close())
	}()
	buffer := make([]byte, maxDatagram)
	for _, size := range sizes {
		n, err := to.Read(buffer)
		check(t, err)
		if n != size {
			t.Errorf("got %d bytes, want %d", n, size)
		}
	}
	for _, want := range []string{"long", "last"} {
		n, err := to.Read(buffer[:4])
		check(t, err)
		if got := string(buffer[:n]); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if _, err := to.Read(buffer); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	if _, err := from.Write(make([]byte, maxDatagram+1)); err == nil {
		t.Error("a datagram that is too long was taken")
	}
}

// TestCutDatagram checks that half a datagram is none.
func TestCutDatagram(t *testing.T) {
	a, b := newEnds(t).stream(t)
	_, err := a.Write([]byte{0, 5, 'x'})
	check(t, err)
	check(t, a.CloseWrite())
	if _, err := NewDatagrams(b).Read(make([]byte, 10)); err != io.ErrUnexpectedEOF {
		t.Errorf("got %v", err)
	}
}

// TestJoinDatagrams checks that large datagrams pass, and that either side ends both.
func TestJoinDatagrams(t *testing.T) {
	a, b := newEnds(t).stream(t)
	server, err := net.ListenPacket("udp4", "127.0.0.1:0")
	check(t, err)
	defer server.Close()
	c, err := net.Dial("udp4", server.LocalAddr().String())
	check(t, err)
	joined := make(chan struct{})
	go func() {
		defer close(joined)
		JoinDatagrams(t.Context(), c, NewDatagrams(b))
	}()
	d := NewDatagrams(a)
	buffer := make([]byte, maxDatagram)
	for _, size := range []int{1, 60_000} {
		_, err := d.Write(make([]byte, size))
		check(t, err)
		n, from, err := server.ReadFrom(buffer)
		check(t, err)
		_, err = server.WriteTo(buffer[:n], from)
		check(t, err)
		if n, err = d.Read(buffer); n != size || err != nil {
			t.Errorf("got %d bytes of %d, %v", n, size, err)
		}
	}
	check(t, d.Close())
	<-joined
	if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the socket is still open: %v", err)
	}
}

// TestJoin checks that halves are closed on their own, and that who has gone ends whoever writes to
// them.
func TestJoin(t *testing.T) {
	a, b := newEnds(t).stream(t)
	pod, inner := pair(t)
	joined := make(chan struct{})
	go func() {
		defer close(joined)
		Join(t.Context(), inner, b)
	}()
	_, err := a.Write([]byte("question"))
	check(t, err)
	check(t, a.CloseWrite())
	got, err := io.ReadAll(pod)
	check(t, err)
	if string(got) != "question" {
		t.Errorf("got %q", got)
	}
	check(t, a.Close())
	check(t, pod.SetWriteDeadline(time.Now().Add(patience)))
	for err == nil { // it would fill the window otherwise, and wait
		_, err = pod.Write(make([]byte, 1<<20))
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the pod still writes to nobody")
	}
	<-joined
}

// counted counts writes.
type counted struct {
	net.Conn
	writes atomic.Int32
}

func (c *counted) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// TestJoinedWrites checks that a head and its body go out in one call.
func TestJoinedWrites(t *testing.T) {
	a, b := pair(t)
	wire := &counted{Conn: a}
	client, err := Client(wire)
	check(t, err)
	defer client.Close()
	server, err := Server(b)
	check(t, err)
	accepted := make(chan *Stream, 1)
	go func() { _ = server.Accept(func(_ protocol.Greeting, s *Stream) { accepted <- s }) }()
	defer server.Close()
	s, err := client.Open(protocol.Greeting{Kind: protocol.KindDial})
	check(t, err)
	other := <-accepted
	before := wire.writes.Load()
	for range 100 {
		_, err := s.Write([]byte("hello"))
		check(t, err)
	}
	_, err = io.ReadFull(other, make([]byte, 500))
	check(t, err)
	if n := wire.writes.Load() - before; n > 110 {
		t.Errorf("100 writes took %d", n)
	}
}
