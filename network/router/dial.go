//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"skiff/network/protocol"
	"skiff/network/tunnel"
)

const (
	// dialTimeout is how long a connection into the pods' network may take.
	dialTimeout = 5 * time.Second
	// daemonTimeout is how long a pod's call waits for a daemon: one that is replaced is soon back.
	daemonTimeout = 5 * time.Second
)

// dial connects the daemon with something in the pods' network, as a greeting says.
func dial(ctx context.Context, g protocol.Greeting, s *tunnel.Stream) {
	c, err := dialTo(ctx, g)
	if err := protocol.WriteLine(s, protocol.ResultOf(err)); err != nil || c == nil {
		if c != nil {
			_ = c.Close()
		}
		_ = s.Close()
		return
	}
	if g.Network == protocol.UDP {
		tunnel.JoinDatagrams(ctx, c, tunnel.NewDatagrams(s))
		return
	}
	tunnel.Join(ctx, c, s)
}

func dialTo(ctx context.Context, g protocol.Greeting) (net.Conn, error) {
	if g.Network != protocol.TCP && g.Network != protocol.UDP {
		return nil, fmt.Errorf("dial %q: network %q is neither tcp nor udp", g.Address, g.Network)
	}
	to, err := netip.ParseAddrPort(g.Address)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	d := net.Dialer{Timeout: dialTimeout}
	return d.DialContext(ctx, g.Network, to.String())
}

// handToDaemon gives a pod's connection to the Kubernetes API to the daemon. Without one in time, and if
// the pod has too many, it is reset.
func (r *router) handToDaemon(ctx context.Context, c net.Conn) {
	from := callerOf(c)
	if !r.callers.enter(from) {
		reset(c)
		return
	}
	defer r.callers.leave(from)
	waiting, cancel := context.WithTimeout(ctx, daemonTimeout)
	defer cancel()
	g := protocol.Greeting{Kind: protocol.KindAPI, Network: protocol.TCP, Address: c.RemoteAddr().String()}
	for {
		session, changed := r.sessions.get()
		if session != nil {
			if s, err := session.Open(g); err == nil {
				tunnel.Join(ctx, c, s)
				return
			}
		}
		select {
		case <-waiting.Done():
			reset(c)
			return
		case <-changed:
		}
	}
}
