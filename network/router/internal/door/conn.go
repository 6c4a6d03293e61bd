package door

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
)

// caller is who has opened a connection, as the daemon says.
type caller struct {
	// remote is the caller's address, local the one that was called.
	remote, local netip.AddrPort
	// secure says that the connection is TLS.
	secure bool
}

// scheme is that of the URLs by which a caller sees the door.
func (c *caller) scheme() string {
	if c.secure {
		return "https"
	}
	return "http"
}

// conn is a client's connection whose addresses are those of the PROXY line, and of which the
// beginning has been read already.
type conn struct {
	net.Conn
	caller *caller
	// rest is what has been read and not been used.
	rest  []byte
	once  sync.Once
	ended func() // nil for one inside another
}

// Read reads what is left of the beginning first.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	if len(c.rest) == 0 {
		c.rest = nil
	}
	return n, nil
}

// RemoteAddr is the caller's address.
func (c *conn) RemoteAddr() net.Addr {
	if c.caller == nil {
		return c.Conn.RemoteAddr()
	}
	return net.TCPAddrFromAddrPort(c.caller.remote)
}

// LocalAddr is the address that was called.
func (c *conn) LocalAddr() net.Addr {
	if c.caller == nil {
		return c.Conn.LocalAddr()
	}
	return net.TCPAddrFromAddrPort(c.caller.local)
}

// CloseWrite says that nothing more comes from here.
func (c *conn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// Close closes the connection. Only the first call does something.
func (c *conn) Close() error {
	var err error
	c.once.Do(func() {
		err = c.Conn.Close()
		if c.ended != nil {
			c.ended()
		}
	})
	return err
}

// callerKey is where a request's context has its caller.
type callerKey struct{}

// withCaller is a connection's context.
func withCaller(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if ours, ok := c.(*conn); ok {
		return context.WithValue(ctx, callerKey{}, ours.caller)
	}
	return ctx
}

// callerOf is who has sent a request.
func callerOf(ctx context.Context) *caller {
	if c, ok := ctx.Value(callerKey{}).(*caller); ok {
		return c
	}
	return &caller{}
}

// handover is the listener by which net/http gets connections.
type handover struct {
	address net.Addr
	conns   chan net.Conn
	done    chan struct{}
	once    sync.Once
}

func newHandover(address net.Addr) *handover {
	return &handover{address: address, conns: make(chan net.Conn), done: make(chan struct{})}
}

// hand gives a connection away. It is closed if nobody takes it any more.
func (h *handover) hand(c net.Conn) {
	select {
	case h.conns <- c:
	case <-h.done:
		_ = c.Close()
	}
}

// Accept returns the next connection that is handed over.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (h *handover) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

// Addr is the address of the listener behind.
func (h *handover) Addr() net.Addr { return h.address }
