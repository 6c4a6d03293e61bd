package streams

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/wsstream"
)

// canUpgrade checks that a request's connection can be taken over for a stream.
func canUpgrade(r *http.Request) error {
	if !httpstream.IsUpgradeRequest(r) {
		return apierrors.NewBadRequest("Upgrade request required")
	}
	if r.ProtoMajor != 1 {
		return apierrors.NewBadRequest("streams need HTTP/1.1")
	}
	return nil
}

func isWebSocket(r *http.Request) bool { return wsstream.IsWebSocketRequest(r) }

// takenOver is a response whose connection a stream protocol takes over. It ties the connection to
// the request: when the request's context ends, which is what a shutdown does, the connection is
// closed a little later; when the client closes the connection, the context ends. It has no Unwrap,
// so that nobody takes the connection from under it.
type takenOver struct {
	w      http.ResponseWriter
	cancel context.CancelFunc
	ctx    context.Context
	ended  chan struct{} // closed by end

	mu   sync.Mutex
	conn *tied
	// served is set when the protocol got as far as running something; then it closes the
	// connection itself, when all it wrote is sent.
	served bool
}

// takeOver returns w and r tied together. The caller must call end when it is done with them.
func takeOver(w http.ResponseWriter, r *http.Request) (*takenOver, *http.Request) {
	ctx, cancel := context.WithCancel(quiet(r.Context()))
	return &takenOver{w: w, ctx: ctx, cancel: cancel, ended: make(chan struct{})}, r.WithContext(ctx)
}

// Header implements http.ResponseWriter.
func (t *takenOver) Header() http.Header { return t.w.Header() }

// Write implements http.ResponseWriter.
func (t *takenOver) Write(p []byte) (int, error) { return t.w.Write(p) }

// WriteHeader implements http.ResponseWriter.
func (t *takenOver) WriteHeader(status int) { t.w.WriteHeader(status) }

// Flush implements http.Flusher.
func (t *takenOver) Flush() {
	if f, ok := t.w.(http.Flusher); ok {
		f.Flush()
	}
}

// Hijack implements http.Hijacker.
func (t *takenOver) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	hijacker, ok := t.w.(http.Hijacker)
	if !ok {
		return nil, nil, errors.New("this connection can not be taken over")
	}
	conn, rw, err := hijacker.Hijack()
	if err != nil {
		return nil, nil, err
	}
	to := &tied{Conn: conn, lost: t.cancel}
	to.release = context.AfterFunc(t.ctx, func() { t.closeLate(conn) })
	t.mu.Lock()
	t.conn = to
	t.mu.Unlock()
	// What came behind the request's header is in rw's buffer already; the rest must be read
	// through the tied connection.
	buffered, err := rw.Reader.Peek(rw.Reader.Buffered())
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	to.ahead = append([]byte(nil), buffered...)
	return to, bufio.NewReadWriter(bufio.NewReader(to), bufio.NewWriter(to)), nil
}

// closeLate closes a connection whose request was told to end, unless it has ended by itself soon
// after: a client that hears no last word takes it for success.
func (t *takenOver) closeLate(conn net.Conn) {
	late, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), lastWord)
	defer cancel()
	select {
	case <-t.ended:
	case <-late.Done():
		conn.Close()
	}
}

// serving notes that the client got the protocol it asked for.
func (t *takenOver) serving() context.Context {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.served = true
	return t.ctx
}

// end lets the connection go. One on which nothing was ever served is closed here: the protocols
// forget it.
func (t *takenOver) end() {
	close(t.ended)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn != nil {
		t.conn.release()
		if !t.served {
			t.conn.Close() //nolint:errcheck // the client is gone
		}
	}
	t.cancel()
}

// tied is a connection that tells when its other side is gone.
type tied struct {
	net.Conn
	lost    func()
	release func() bool
	ahead   []byte // read before the connection was taken over; only Read touches it
}

// Read implements net.Conn.
func (c *tied) Read(p []byte) (int, error) {
	if len(c.ahead) > 0 {
		n := copy(p, c.ahead)
		c.ahead = c.ahead[n:]
		return n, nil
	}
	n, err := c.Conn.Read(p)
	if err != nil {
		c.lost()
	}
	return n, err
}

// Close implements net.Conn. SPDY closes a connection whose client said goodbye without reading to
// its end. That the client was gone before is no error: spdystream would keep a goroutine waiting
// for somebody to hear of it.
func (c *tied) Close() error {
	c.lost()
	c.Conn.Close()
	return nil
}
