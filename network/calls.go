package network

import (
	"net"
	"net/netip"
	"sync"

	"skiff/network/protocol"
	"skiff/network/tunnel"
)

// calls are pods' connections to the Kubernetes API, as a listener.
type calls struct {
	incoming chan net.Conn
	close    sync.Once
	closed   chan struct{}
}

func (c *calls) init() {
	c.incoming, c.closed = make(chan net.Conn), make(chan struct{})
}

// API is a listener of the connections that pods make to the Kubernetes API. The remote address of
// each is the pod's. It opens no port on this machine. Whoever serves it closes it.
func (l *Link) API() net.Listener { return &l.calls }

// Accept implements net.Listener.
func (c *calls) Accept() (net.Conn, error) {
	select {
	case conn := <-c.incoming:
		return conn, nil
	case <-c.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (c *calls) Close() error {
	c.close.Do(func() { close(c.closed) })
	return nil
}

// Addr implements net.Listener.
func (c *calls) Addr() net.Addr { return &net.TCPAddr{} }

// serve takes a stream that the router has opened.
func (l *Link) serve(g protocol.Greeting, s *tunnel.Stream) {
	if g.Kind != protocol.KindAPI {
		_ = s.Close() // nothing that this daemon knows
		return
	}
	caller, err := netip.ParseAddrPort(g.Address)
	if err != nil {
		_ = s.Close()
		return
	}
	select {
	case l.calls.incoming <- s.Named(&net.TCPAddr{}, net.TCPAddrFromAddrPort(caller)):
	case <-l.calls.closed:
		_ = s.Close()
	}
}
