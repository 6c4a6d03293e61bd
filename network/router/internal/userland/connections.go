package userland

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"skiff/network/protocol"
	"skiff/network/tunnel"
)

const (
	dialTimeout = 5 * time.Second
	// flowTimeout ends a UDP flow in which nobody says anything.
	flowTimeout = time.Minute
	// flowsAtOnce bounds the flows of a port. One more takes the place of the one that has been silent
	// for longest: every question of DNS is a flow, of which nobody says that it has ended.
	flowsAtOnce = 1024
	datagram    = 1 << 16
)

func (p *Proxy) serveTCP(l *net.TCPListener, at *listener) {
	var failures int
	for {
		c, err := l.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			failures++
			if !wait(p.ctx, failures) { // out of files, say: some will be free
				return
			}
			continue
		}
		failures = 0
		p.serving.Go(func() { p.connect(c, at.route.Load()) })
	}
}

// wait waits a little longer with each failure in turn, and reports whether ctx goes on.
func wait(ctx context.Context, failures int) bool {
	timer := time.NewTimer(min(time.Second, time.Duration(failures)*5*time.Millisecond))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// connect joins a client with an endpoint. Without one the client is reset.
func (p *Proxy) connect(c *net.TCPConn, r *route) {
	client := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr()
	to, err := p.memory.choose(r, client, time.Now())
	if err == nil && to == netip.AddrPortFrom(r.places.config.Router, protocol.APIPort) {
		p.api(p.ctx, c)
		return
	}
	var d net.Conn
	if err == nil {
		d, err = r.dial(p.ctx, "tcp4", client, to)
	}
	if err != nil {
		_ = c.SetLinger(0) // a reset
		_ = c.Close()
		return
	}
	tunnel.Join(p.ctx, c, d)
}

// dial connects with an endpoint: for a pod, from its shadow's address.
func (r *route) dial(ctx context.Context, network string, client netip.Addr, to netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	if shadow, ok := r.places.config.Shadow(client); ok && to.Addr() != r.places.config.Router {
		from := netip.AddrPortFrom(shadow, 0)
		d.LocalAddr = net.TCPAddrFromAddrPort(from)
		if network == "udp4" {
			d.LocalAddr = net.UDPAddrFromAddrPort(from)
		}
	}
	return d.DialContext(ctx, network, to.String())
}

// flows are the clients of a UDP port, each with a socket of its own.
type flows struct {
	mu  sync.Mutex
	all map[netip.AddrPort]*flow
}

type flow struct {
	net.Conn
	to netip.AddrPort
	// last is when something was sent either way, in nanoseconds of Unix time.
	last atomic.Int64
}

func newFlow(c net.Conn, to netip.AddrPort) *flow {
	f := &flow{Conn: c, to: to}
	f.touch()
	return f
}

func (f *flow) touch() { f.last.Store(time.Now().UnixNano()) }

func newFlows() *flows { return &flows{all: map[netip.AddrPort]*flow{}} }

// keep ends the flows that are not allowed any longer: the client's next datagram goes elsewhere.
func (f *flows) keep(allowed func(netip.Addr, netip.AddrPort) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for client, one := range f.all {
		if !allowed(client.Addr(), one.to) {
			delete(f.all, client)
			_ = one.Close()
		}
	}
}

func (f *flows) get(client netip.AddrPort) *flow {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.all[client]
}

// put adds a client's flow. If there are too many, the one that has been silent for longest ends.
func (f *flows) put(client netip.AddrPort, one *flow) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.all) >= flowsAtOnce {
		var silent netip.AddrPort
		for c, other := range f.all {
			if s := f.all[silent]; s == nil || other.last.Load() < s.last.Load() {
				silent = c
			}
		}
		_ = f.all[silent].Close()
		delete(f.all, silent)
	}
	f.all[client] = one
}

func (f *flows) remove(client netip.AddrPort, one *flow) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all[client] == one {
		delete(f.all, client)
	}
}

func (f *flows) close() { f.keep(func(netip.Addr, netip.AddrPort) bool { return false }) }

func (p *Proxy) serveUDP(l *net.UDPConn, at *listener) {
	defer at.flows.close()
	buffer := make([]byte, datagram)
	for {
		n, client, err := l.ReadFromUDPAddrPort(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // about an earlier answer
		}
		one := at.flows.get(client)
		if one == nil {
			if one = p.begin(l, at, client); one == nil {
				continue
			}
		}
		one.touch()
		_, _ = one.Write(buffer[:n]) // a datagram may be lost
	}
}

// begin makes a flow for a client; nil if there is nowhere to send it.
func (p *Proxy) begin(l *net.UDPConn, at *listener, client netip.AddrPort) *flow {
	r := at.route.Load()
	to, err := p.memory.choose(r, client.Addr(), time.Now())
	if err != nil {
		return nil
	}
	c, err := r.dial(p.ctx, "udp4", client.Addr(), to)
	if err != nil {
		return nil
	}
	one := newFlow(c, to)
	at.flows.put(client, one)
	p.serving.Go(func() {
		defer at.flows.remove(client, one)
		defer c.Close()
		answer := make([]byte, datagram)
		for {
			if c.SetReadDeadline(time.Now().Add(flowTimeout)) != nil {
				return
			}
			n, err := c.Read(answer)
			if err != nil {
				return
			}
			one.touch()
			_, _ = l.WriteToUDPAddrPort(answer[:n], client)
		}
	})
	return one
}
