package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"skiff/network/protocol"
	"skiff/network/tunnel"
)

// Dial connects to an address in the pods' network, "tcp" or "udp", directly where that works and
// through the router elsewhere; a name, which is of this machine's world, always directly. It waits for
// a router that is not connected until ctx is about to end; that error is syscall.ENETDOWN.
func (l *Link) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return l.dial(ctx, network, address, func() *tunnel.Session { return l.control })
}

// DialBulk is Dial for connections over which much may go: they do not delay the others.
func (l *Link) DialBulk(ctx context.Context, network, address string) (net.Conn, error) {
	return l.dial(ctx, network, address, func() *tunnel.Session { return l.bulk })
}

func (l *Link) dial(ctx context.Context, network, address string, of func() *tunnel.Session) (net.Conn, error) {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return directly(ctx, network, address)
	}
	for {
		session, direct, err := l.way(ctx, of)
		if err != nil {
			return nil, fmt.Errorf("dial %s %s: %w", network, address, err)
		}
		if direct {
			return directly(ctx, network, address)
		}
		conn, err := dialThrough(ctx, session, network, address)
		if err == nil || ctx.Err() != nil || !session.Ended() {
			return conn, err
		}
	}
}

// directly dials from this machine. Nothing is gained by asking whether a peer on it is still alive.
func directly(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{KeepAlive: -1}
	return d.DialContext(ctx, network, address)
}

// way is how to get into the network. Before the router has been connected for the first time, and
// where the bridge is this machine's, that is directly.
func (l *Link) way(ctx context.Context, of func() *tunnel.Session) (session *tunnel.Session, direct bool, err error) {
	waiting, cancel := nearlyAll(ctx)
	defer cancel()
	for {
		l.mu.Lock()
		session, changed, direct, here := of(), l.changed, l.status.Direct, l.here
		l.mu.Unlock()
		switch {
		case direct:
			return nil, true, nil
		case session != nil && !session.Ended():
			return session, false, nil
		case !l.options.ByRouter && here:
			return nil, true, nil
		}
		select {
		case <-waiting.Done():
			return nil, false, errors.Join(errNotConnected, ctx.Err())
		case <-changed:
		}
	}
}

// errNotConnected says that there is no way into the network: whoever is there is not to blame.
var errNotConnected = fmt.Errorf("the router is not connected: %w", syscall.ENETDOWN)

// nearlyAll ends a little before ctx does. Whoever has set the deadline learns why nothing came of it,
// where an HTTP client for one would hear of the deadline alone.
func nearlyAll(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-time.Until(deadline)/10))
}

// dialThrough has the router dial.
func dialThrough(ctx context.Context, session *tunnel.Session, network, address string) (net.Conn, error) {
	stream, err := session.Open(protocol.Greeting{Kind: protocol.KindDial, Network: network, Address: address})
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	stop := context.AfterFunc(ctx, func() { _ = stream.Close() })
	var result protocol.Result
	err = protocol.ReadLine(stream.Lines(), &result)
	if !stop() {
		err = errors.Join(ctx.Err(), err)
	} else if err == nil {
		err = result.Err()
	}
	remote, parsed := remoteAddr(network, address)
	if err != nil || parsed != nil {
		_ = stream.Close() // the error says more
		return nil, &net.OpError{Op: "dial", Net: network, Addr: remote, Err: errors.Join(err, parsed)}
	}
	named := stream.Named(nil, remote)
	if network == "udp" {
		return tunnel.NewDatagrams(named), nil
	}
	return named, nil
}

func remoteAddr(network, address string) (net.Addr, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	if network == "udp" {
		return net.UDPAddrFromAddrPort(at), nil
	}
	return net.TCPAddrFromAddrPort(at), nil
}
