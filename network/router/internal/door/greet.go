package door

import (
	"crypto/tls"
	"errors"
	"net"
	"runtime/debug"
	"slices"
	"time"
)

// tlsRecord is the first byte of a TLS handshake (RFC 8446, section 5.1).
const tlsRecord = 0x16

// errSilent says that a connection has ended before it said anything.
var errSilent = errors.New("connection says nothing")

// errStranger says that a connection is not the daemon's.
var errStranger = errors.New("connection is not from the daemon")

// trusts reports whether a connection is from one that may say who calls.
func (d *door) trusts(from net.Addr) bool {
	if len(d.from) == 0 {
		return true
	}
	tcp, ok := from.(*net.TCPAddr)
	return ok && slices.Contains(d.from, tcp.AddrPort().Addr().Unmap())
}

// greet reads who calls and by what protocol, and serves the connection.
func (d *door) greet(c *conn) {
	defer func() {
		if p := recover(); p != nil {
			d.log.Error("connection has panicked", "caller", c.RemoteAddr(), "panic", p, "stack", string(debug.Stack()))
			_ = c.Close()
		}
	}()
	w := newWire(c.Conn)
	if err := d.hello(c, w); err != nil {
		d.log.Debug("connection refused", "from", c.Conn.RemoteAddr(), "error", err)
		w.release()
		_ = c.Close()
		return
	}
	if w.pending()[0] != tlsRecord {
		d.quick(c, w)
		return
	}
	c.rest = append([]byte(nil), w.pending()...)
	w.release()
	d.secure(c)
}

// hello reads the line that says who calls, and waits for the first byte after it.
func (d *door) hello(c *conn, w *wire) error {
	if !d.trusts(c.Conn.RemoteAddr()) {
		return errStranger
	}
	if err := w.conn.SetReadDeadline(time.Now().Add(proxyLineTimeout)); err != nil {
		return err
	}
	for {
		n, who, err := proxyLine(w.pending())
		if err != nil {
			return err
		}
		if n > 0 {
			c.caller = &who
			w.skip(n)
			break
		}
		if err := w.fill(); err != nil {
			return err
		}
	}
	if len(w.pending()) > 0 {
		return nil
	}
	if err := w.conn.SetReadDeadline(time.Now().Add(idleTimeout)); err != nil {
		return err
	}
	if err := w.fill(); err != nil {
		return errors.Join(errSilent, err)
	}
	return nil
}

// secure serves a connection that begins with a TLS handshake.
func (d *door) secure(c *conn) {
	who := *c.caller
	who.secure = true
	c.caller = &who
	t := tls.Server(c, d.tls)
	if err := d.handshake(c, t); err != nil {
		d.log.Debug("TLS handshake failed", "caller", c.RemoteAddr(), "error", err)
		_ = t.Close()
		return
	}
	if t.ConnectionState().NegotiatedProtocol == "h2" {
		d.handover.hand(t)
		return
	}
	outer := &conn{Conn: t, caller: c.caller}
	d.quick(outer, newWire(t))
}

func (d *door) handshake(c *conn, t *tls.Conn) error {
	if err := c.SetReadDeadline(time.Now().Add(headTimeout)); err != nil {
		return err
	}
	if err := t.HandshakeContext(d.ctx); err != nil {
		return err
	}
	return c.SetReadDeadline(time.Time{})
}

// newTLS has certificates by the names of the newest state. For a name without one, crypto/tls
// refuses with unrecognized_name.
func (d *door) newTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return d.table.Load().certificate(hello.ServerName), nil
		},
	}
}
