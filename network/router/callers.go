//go:build linux

package main

import (
	"net"
	"net/netip"
	"sync"
)

// callsAtOnce bounds how many connections to the Kubernetes API a pod may have at a time. The daemon
// holds some memory for each: no pod is to take what the others need.
const callsAtOnce = 256

// callers counts connections by the address they come from.
type callers struct {
	mu   sync.Mutex
	open map[netip.Addr]int
}

// enter counts a connection in. It reports false if its caller has as many as it may.
func (c *callers) enter(from netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[from] >= callsAtOnce {
		return false
	}
	if c.open == nil {
		c.open = map[netip.Addr]int{}
	}
	c.open[from]++
	return true
}

// leave counts a connection out.
func (c *callers) leave(from netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[from]--; c.open[from] == 0 {
		delete(c.open, from)
	}
}

// callerOf is the address that a connection comes from, the zero value if it has none.
func callerOf(c net.Conn) netip.Addr {
	tcp, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap()
}

// reset closes a connection so that its other end sees a fault, and not an end.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
