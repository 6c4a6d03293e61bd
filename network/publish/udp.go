package publish

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// A flow of datagrams ends after so long without any (nf_conntrack_udp_timeout_stream), and there are
// no more than so many at a time for a port: one more takes the place of the one that has been silent
// for longest.
const (
	flowTimeout = 2 * time.Minute
	maxFlows    = 4096
	maxDatagram = 65535
	// flowDial is how long a flow may take to begin. Datagrams of all clients wait meanwhile: it is
	// better to lose one, which its client sends again.
	flowDial = time.Second
)

func (p *Publisher) listenUDP(l *listener) error {
	open, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(l.port.At))
	if err != nil {
		return err
	}
	l.close = open.Close
	f := &flows{publisher: p, listener: l, open: open, by: map[netip.AddrPort]*flow{}}
	p.group.Go(f.run)
	return nil
}

// flows are the clients of a UDP port.
type flows struct {
	publisher *Publisher
	listener  *listener
	open      *net.UDPConn

	mu sync.Mutex
	by map[netip.AddrPort]*flow
}

// flow is a client's connection into the pods' network.
type flow struct {
	conn net.Conn
	to   string
	// last is when something was sent either way, in nanoseconds of Unix time.
	last atomic.Int64
}

func (f *flow) touch() { f.last.Store(time.Now().UnixNano()) }

func (f *flows) run() {
	buffer := make([]byte, maxDatagram)
	for {
		n, from, err := f.open.ReadFromUDPAddrPort(buffer)
		if errors.Is(err, net.ErrClosed) {
			f.closeAll()
			return
		}
		if err != nil {
			continue // an earlier answer was refused by its client
		}
		to, err := f.of(from)
		if err != nil {
			f.publisher.log.Debug("datagram not forwarded", "port", f.listener.port, "error", err)
			continue
		}
		to.touch()
		if _, err := to.conn.Write(buffer[:n]); err != nil {
			f.end(from, to)
		}
	}
}

// of is a client's flow, which is made if there is none, or if the port leads elsewhere by now.
func (f *flows) of(from netip.AddrPort) (*flow, error) {
	target := f.listener.target()
	f.mu.Lock()
	old := f.by[from]
	f.mu.Unlock()
	if old != nil && old.to == target {
		return old, nil
	}
	if old != nil {
		f.end(from, old)
	}
	ctx, cancel := context.WithTimeout(f.publisher.ctx, flowDial)
	defer cancel()
	conn, err := f.publisher.dial(ctx, "udp", target)
	if err != nil {
		return nil, err
	}
	made := &flow{conn: conn, to: target}
	made.touch()
	f.mu.Lock()
	if len(f.by) >= maxFlows {
		f.endSilent()
	}
	f.by[from] = made
	f.mu.Unlock()
	f.publisher.group.Go(func() { f.answer(from, made) })
	return made, nil
}

// endSilent ends the flow that has been silent for longest. f.mu is held.
func (f *flows) endSilent() {
	var silent netip.AddrPort
	for client, one := range f.by {
		if s := f.by[silent]; s == nil || one.last.Load() < s.last.Load() {
			silent = client
		}
	}
	_ = f.by[silent].conn.Close()
	delete(f.by, silent)
}

// answer carries what comes back to the client, until nothing has come for too long.
func (f *flows) answer(from netip.AddrPort, of *flow) {
	defer f.end(from, of)
	buffer := make([]byte, maxDatagram)
	for {
		if err := of.conn.SetReadDeadline(time.Now().Add(flowTimeout)); err != nil {
			return
		}
		n, err := of.conn.Read(buffer)
		if err != nil {
			return
		}
		of.touch()
		if _, err := f.open.WriteToUDPAddrPort(buffer[:n], from); err != nil {
			return
		}
	}
}

func (f *flows) end(from netip.AddrPort, of *flow) {
	_ = of.conn.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.by[from] == of {
		delete(f.by, from)
	}
}

func (f *flows) closeAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for from, of := range f.by {
		_ = of.conn.Close()
		delete(f.by, from)
	}
}
