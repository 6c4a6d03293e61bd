package userland

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"skiff/network/protocol"
	"skiff/network/router/internal/state"
)

// places are what is known of where clients are.
type places struct {
	config  *protocol.Config
	machine string
	// pods has the node's name by a pod's address.
	pods map[netip.Addr]string
}

func placesOf(s *state.State) *places {
	p := &places{config: s.Config, pods: map[netip.Addr]string{}}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if n.Machine {
			p.machine = n.Name
		}
		for _, pod := range n.Pods {
			p.pods[pod] = n.Name
		}
	}
	return p
}

// route is where an address and port leads.
type route struct {
	key      protocol.Key
	port     *protocol.Port
	affinity time.Duration
	places   *places
	// node is the one at whose address this is, empty for the service's own addresses.
	node string
}

// at is the route at a node's address.
func (r *route) at(node string) *route {
	other := *r
	other.node = node
	return &other
}

// endpoints are those for a client.
func (r *route) endpoints(client netip.Addr) []netip.AddrPort {
	if r.node != "" {
		if list, ok := r.port.At[r.node]; ok {
			return list
		}
		return r.port.Endpoints
	}
	place, ok := r.places.pods[client]
	if !ok {
		place = r.places.machine // who is no node's pod counts as the machine's
	}
	if list, ok := r.port.From[place]; ok {
		return list
	}
	return r.port.Endpoints
}

// allows reports whether the client may still be sent to the endpoint.
func (r *route) allows(client netip.Addr, endpoint netip.AddrPort) bool {
	return slices.Contains(r.endpoints(client), endpoint)
}

// choose is the endpoint for a client's next connection.
func (m *memory) choose(r *route, client netip.Addr, now time.Time) (netip.AddrPort, error) {
	list := r.endpoints(client)
	if len(list) == 0 {
		return netip.AddrPort{}, errNoEndpoint
	}
	if r.affinity == 0 {
		return list[rand.IntN(len(list))], nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	who := remembered{r.key, r.port.Protocol, r.port.Port, r.node, client}
	had, ok := m.clients[who]
	if !ok || now.After(had.until) || !slices.Contains(list, had.endpoint) {
		had.endpoint = list[rand.IntN(len(list))]
	}
	had.until = now.Add(r.affinity)
	if m.clients == nil {
		m.clients = map[remembered]place{}
	}
	m.clients[who] = had
	return had.endpoint, nil
}

// memory keeps which endpoint a client had.
type memory struct {
	mu      sync.Mutex
	clients map[remembered]place
}

type remembered struct {
	service  protocol.Key
	protocol string
	port     uint16
	node     string
	client   netip.Addr
}

type place struct {
	endpoint netip.AddrPort
	until    time.Time
}

// run forgets once a minute.
func (m *memory) run(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			m.mu.Lock()
			for who, p := range m.clients {
				if now.After(p.until) {
					delete(m.clients, who)
				}
			}
			m.mu.Unlock()
		}
	}
}
