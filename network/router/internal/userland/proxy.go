// Package userland sends traffic from services to their endpoints by a listener for each address and
// port: where the kernel has no nf_tables. link has made the addresses the router's own.
package userland

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"skiff/network/protocol"
	"skiff/network/router/internal/state"
)

// Proxy is the data path in userland.
type Proxy struct {
	// api takes connections to the router's own API port, which keep their client's address so.
	api func(context.Context, net.Conn)
	// open are the listeners; a Proxy's Apply is called by one goroutine at a time.
	open    map[target]*listener
	memory  memory
	serving sync.WaitGroup
	ctx     context.Context
	cancel  context.CancelFunc
}

// New returns a proxy without services. It ends when ctx does, and Close waits for that.
func New(ctx context.Context, api func(context.Context, net.Conn)) *Proxy {
	ctx, cancel := context.WithCancel(ctx)
	return &Proxy{api: api, open: map[target]*listener{}, ctx: ctx, cancel: cancel}
}

// Run forgets clients whose affinity has ended, until ctx ends.
func (p *Proxy) Run(ctx context.Context) error { return p.memory.run(ctx) }

// Close ends all connections and returns when they have ended.
func (p *Proxy) Close() error {
	p.cancel()
	for _, l := range p.open {
		_ = l.Close()
	}
	p.serving.Wait()
	return nil
}

// listener is an open one, with where it leads at present.
type listener struct {
	io.Closer
	route atomic.Pointer[route]
	flows *flows // of UDP
}

// Apply brings the state in force. Problems are services of which an address could not be opened.
func (p *Proxy) Apply(s *state.State, _ state.Change) (map[protocol.Key]error, error) {
	wanted, problems := routes(s)
	for t, l := range p.open {
		if wanted[t] == nil {
			_ = l.Close()
			delete(p.open, t)
		}
	}
	for _, t := range slices.SortedFunc(maps.Keys(wanted), target.compare) {
		r := wanted[t]
		if l := p.open[t]; l != nil {
			l.route.Store(r)
			if l.flows != nil {
				l.flows.keep(r.allows)
			}
			continue
		}
		l, err := p.listen(t, r)
		if err != nil {
			problems[r.key] = fmt.Errorf("%s: %w", t, err)
			continue
		}
		p.open[t] = l
	}
	return problems, nil
}

func (p *Proxy) listen(t target, r *route) (*listener, error) {
	l := &listener{}
	l.route.Store(r)
	at := netip.AddrPortFrom(t.address, t.port)
	if t.protocol == protocol.UDP {
		c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
		if err != nil {
			return nil, err
		}
		l.Closer, l.flows = c, newFlows()
		p.serving.Go(func() { p.serveUDP(c, l) })
		return l, nil
	}
	c, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	l.Closer = c
	p.serving.Go(func() { p.serveTCP(c, l) })
	return l, nil
}

// target is an address and port.
type target struct {
	address  netip.Addr
	protocol string
	port     uint16
}

// String is "tcp 10.0.0.1:80".
func (t target) String() string {
	return t.protocol + " " + netip.AddrPortFrom(t.address, t.port).String()
}

func (t target) compare(o target) int {
	if c := netip.AddrPortFrom(t.address, t.port).Compare(netip.AddrPortFrom(o.address, o.port)); c != 0 {
		return c
	}
	if t.protocol < o.protocol {
		return -1
	}
	if t.protocol > o.protocol {
		return 1
	}
	return 0
}

// routes says where each address and port leads. Of services that want the same, the first by name has
// it.
func routes(s *state.State) (map[target]*route, map[protocol.Key]error) {
	all := map[target]*route{}
	problems := map[protocol.Key]error{}
	where := placesOf(s)
	add := func(t target, r *route) {
		if other := all[t]; other != nil {
			problems[r.key] = fmt.Errorf("%s belongs to service %s", t, other.key)
			return
		}
		all[t] = r
	}
	for _, key := range slices.SortedFunc(maps.Keys(s.Services), state.CompareKeys) {
		service := s.Services[key]
		for i := range service.Ports {
			port := &service.Ports[i]
			if len(port.Endpoints)+len(port.From)+len(port.At) == 0 {
				continue // the kernel refuses
			}
			r := &route{key: key, port: port, affinity: service.Affinity, places: where}
			for _, address := range slices.Concat(service.Addresses, service.External) {
				if s.Config.Subnet.Contains(address) {
					add(target{address, port.Protocol, port.Port}, r)
				}
			}
			if port.NodePort == 0 {
				continue
			}
			for j := range s.Nodes {
				n := &s.Nodes[j]
				add(target{n.Address, port.Protocol, port.NodePort}, r.at(n.Name))
			}
		}
	}
	return all, problems
}

// errNoEndpoint is of a client for which there is none.
var errNoEndpoint = errors.New("no endpoint")
