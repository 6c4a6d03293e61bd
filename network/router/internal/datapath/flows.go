//go:build linux

package datapath

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"skiff/network/protocol"
	"skiff/network/router/internal/netlink"
	"skiff/network/router/internal/state"
)

// Messages and attributes of connection tracking
// (include/uapi/linux/netfilter/nfnetlink_conntrack.h).
const (
	ctGet    = 1
	ctDelete = 2

	ctaOriginal = 1
	ctaReply    = 2
	ctaID       = 12

	ctaTupleIP       = 1
	ctaTupleProtocol = 2

	ctaSource      = 1
	ctaDestination = 2

	ctaProtocol        = 1
	ctaSourcePort      = 2
	ctaDestinationPort = 3
)

// flows end UDP flows that go where they no longer should. A flow has no end of its own: for as long
// as a client talks, the kernel sends it where it went first, though that endpoint may be gone, or
// though there was none at the time. TCP finds out by itself. Looking takes the kernel a while when it
// knows many connections, so it is done beside, for all that has changed meanwhile.
type flows struct {
	wake chan struct{}

	mu sync.Mutex
	// allowed has the endpoints of each target that has changed.
	allowed map[target][]netip.AddrPort
	nodes   map[netip.Addr]bool
}

func newFlows() *flows { return &flows{wake: make(chan struct{}, 1)} }

// changed notes the UDP targets that plans have changed.
func (f *flows) changed(s *state.State, plans []servicePlan) {
	allowed := map[target][]netip.AddrPort{}
	for i := range plans {
		for _, step := range plans[i].steps {
			if step.action == deleteTarget && step.target.protocol == protocol.UDP {
				allowed[step.target] = nil
			}
		}
	}
	for i := range plans {
		if service := s.Services[plans[i].key]; service != nil {
			allowUDP(allowed, service)
		}
	}
	if len(allowed) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.allowed == nil {
		f.allowed = allowed
	} else {
		for t, list := range allowed {
			f.allowed[t] = list
		}
	}
	f.nodes = placesOf(s.Nodes).nodes
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// allowUDP adds where the targets of a service lead: whichever list is a client's.
func allowUDP(allowed map[target][]netip.AddrPort, service *protocol.Service) {
	for i := range service.Ports {
		p := &service.Ports[i]
		if p.Protocol != protocol.UDP {
			continue
		}
		inside, outside := slices.Clone(p.Endpoints), slices.Clone(p.Endpoints)
		for _, list := range p.From {
			inside = append(inside, list...)
		}
		for _, list := range p.At {
			outside = append(outside, list...)
		}
		for _, address := range slices.Concat(service.Addresses, service.External) {
			allowed[target{address, protocol.UDP, p.Port}] = inside
		}
		if p.NodePort != 0 {
			allowed[target{protocol: protocol.UDP, port: p.NodePort}] = outside
		}
	}
}

// Run ends flows until ctx does.
func (t *Tables) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.flows.wake:
			if err := t.flows.end(); err != nil {
				slog.Warn("UDP flows to former endpoints may go on", "err", err)
			}
		}
	}
}

func (f *flows) end() error {
	f.mu.Lock()
	allowed, nodes := f.allowed, f.nodes
	f.allowed = nil
	f.mu.Unlock()
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // it was done or not
	var stale []netlink.Attributes
	list := netlink.Message{Type: conntrackMessage(ctGet), Body: conntrackHead()}
	err = conn.Dump(list, func(m netlink.Message) error {
		flow, err := parseFlow(m.Body)
		if err != nil {
			return err
		}
		if flow.protocol == unix.IPPROTO_UDP && flow.stale(allowed, nodes) {
			stale = append(stale, flow.body())
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list flows: %w", err)
	}
	for _, body := range stale {
		err := conn.Do(netlink.Message{Type: conntrackMessage(ctDelete), Body: body})
		if err != nil && !errors.Is(err, unix.ENOENT) { // it has ended by itself
			return fmt.Errorf("end a flow: %w", err)
		}
	}
	return nil
}

// FlushConnections makes the kernel forget all connections. Connection tracking is on before there are
// rules, by the engine's own for 127.0.0.11: what came in so early is known as not translated.
func FlushConnections() error {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // it was done or not
	if err := conn.Do(netlink.Message{Type: conntrackMessage(ctDelete), Body: conntrackHead()}); err != nil {
		return fmt.Errorf("forget connections: %w", err)
	}
	return nil
}

func conntrackMessage(kind uint16) uint16 { return unix.NFNL_SUBSYS_CTNETLINK<<8 | kind }

func conntrackHead() netlink.Attributes {
	return netlink.Attributes{unix.AF_INET, unix.NFNETLINK_V0, 0, 0}
}

// flow is one of the connections that the kernel knows.
type flow struct {
	protocol byte
	// to is where the client sends, from is who answers: another one if it is translated.
	to, from netip.AddrPort
	// tuple and id name it.
	tuple, id []byte
}

// stale reports whether the flow goes where nothing leads any longer.
func (f *flow) stale(allowed map[target][]netip.AddrPort, nodes map[netip.Addr]bool) bool {
	endpoints, changed := allowed[target{f.to.Addr(), protocol.UDP, f.to.Port()}]
	if !changed && nodes[f.to.Addr()] {
		endpoints, changed = allowed[target{protocol: protocol.UDP, port: f.to.Port()}]
	}
	if !changed || slices.Contains(endpoints, f.from) {
		return false
	}
	return f.from != f.to || len(endpoints) > 0
}

// body names the flow in a message.
func (f *flow) body() netlink.Attributes {
	a := conntrackHead()
	a.Bytes(ctaOriginal|unix.NLA_F_NESTED, f.tuple)
	if f.id != nil {
		a.Bytes(ctaID, f.id)
	}
	return a
}

func parseFlow(body []byte) (flow, error) {
	var f flow
	const head = 4
	if len(body) < head {
		return f, nil
	}
	err := netlink.Each(body[head:], func(kind uint16, data []byte) (err error) {
		switch kind {
		case ctaOriginal:
			f.tuple = slices.Clone(data)
			_, f.to, f.protocol, err = parseTuple(data)
		case ctaReply:
			f.from, _, _, err = parseTuple(data)
		case ctaID:
			f.id = slices.Clone(data)
		}
		return err
	})
	return f, err
}

func parseTuple(data []byte) (from, to netip.AddrPort, number byte, err error) {
	var addresses [2]netip.Addr
	var ports [2]uint16
	err = netlink.Each(data, func(part uint16, data []byte) error {
		return netlink.Each(data, func(kind uint16, value []byte) error {
			switch {
			case part == ctaTupleIP && (kind == ctaSource || kind == ctaDestination):
				addresses[kind-ctaSource], _ = netip.AddrFromSlice(value)
			case part == ctaTupleProtocol && kind == ctaProtocol && len(value) == 1:
				number = value[0]
			case part == ctaTupleProtocol && (kind == ctaSourcePort || kind == ctaDestinationPort) && len(value) == 2:
				ports[kind-ctaSourcePort] = binary.BigEndian.Uint16(value)
			}
			return nil
		})
	})
	return netip.AddrPortFrom(addresses[0], ports[0]), netip.AddrPortFrom(addresses[1], ports[1]), number, err
}
