//go:build linux

// Package datapath sends traffic from services to their endpoints by the kernel's nftables: one map
// from address, protocol and port to a chain for each service port, and in each chain a rule that
// chooses an endpoint. A change of a service is a transaction that touches its chains only, however
// many others there are.
//
//	map services  { ip daddr . protocol . port : goto svc/default/web/tcp/80 }
//	map nodeports { protocol . port : goto svc/default/web/tcp/80 }   at the addresses in set nodes
//	map places    { ip saddr : the address of the node whose pod it is }
//
// What no rule takes is delivered to the router itself, for link has made all those addresses its
// own: a service without endpoints refuses at once.
package datapath

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"skiff/network/protocol"
)

// target is where something answers. Without an address it is a port of all nodes.
type target struct {
	address  netip.Addr
	protocol string
	port     uint16
}

// String is as an nftables map shows it.
func (t target) String() string {
	if !t.address.IsValid() {
		return fmt.Sprintf("nodeports { %s . %d", t.protocol, t.port)
	}
	return fmt.Sprintf("services { %s . %s . %d", t.address, t.protocol, t.port)
}

// compareTargets orders targets as they are printed.
func compareTargets(a, b target) int { return strings.Compare(a.String(), b.String()) }

// verdict is what happens to what comes to a target. The zero verdict is to go nowhere else: the
// router's own stack has the packet.
type verdict struct {
	drop bool
	// chain is the one to go to.
	chain string
}

// String is as nftables has it.
func (v verdict) String() string {
	switch {
	case v.drop:
		return "drop"
	case v.chain != "":
		return "goto " + v.chain
	}
	return "accept"
}

// chain is a chain and its rules.
type chain struct {
	name  string
	rules []rule
	// memory is for how long the map of the chain's name keeps which endpoint a client had; 0 for no
	// such map. endpoints are those that it may keep.
	memory    time.Duration
	endpoints []netip.AddrPort
}

// objects are what a service is in nftables.
type objects struct {
	chains  []chain
	targets map[target]verdict
}

// surroundings are what the objects of all services depend on.
type surroundings struct {
	// nodes has the nodes' addresses by name. machine is the one of the engine's machine, invalid if
	// there is none.
	nodes   map[string]netip.Addr
	machine netip.Addr
	// memory says that the kernel can keep which endpoint a client had.
	memory bool
}

func surroundingsOf(nodes []protocol.Node, memory bool) surroundings {
	s := surroundings{nodes: make(map[string]netip.Addr, len(nodes)), memory: memory}
	for i := range nodes {
		s.nodes[nodes[i].Name] = nodes[i].Address
		if nodes[i].Machine {
			s.machine = nodes[i].Address
		}
	}
	return s
}

// compile says what a service is in nftables.
func (s *surroundings) compile(service *protocol.Service) *objects {
	o := &objects{targets: map[target]verdict{}}
	for i := range service.Ports {
		s.compilePort(o, service, &service.Ports[i])
	}
	if service.HealthCheck != 0 {
		// The router itself answers, at the machine's address too.
		o.targets[target{protocol: protocol.TCP, port: service.HealthCheck}] = verdict{}
	}
	return o
}

func (s *surroundings) compilePort(o *objects, service *protocol.Service, p *protocol.Port) {
	name := fmt.Sprintf("svc/%s/%s/%s/%d", service.Namespace, service.Name, p.Protocol, p.Port)
	from := s.byNode(o, name+"/from/", p.From, service.Affinity)
	var leading []rule
	if len(from) > 0 {
		leading = []rule{markMachine(s.machine), markPlace(), byMark(from)}
	}
	to := s.choice(o, name, leading, p.Endpoints, service.Affinity)
	if to.chain != "" { // otherwise nothing redirects, and the router refuses
		for _, address := range slices.Concat(service.Addresses, service.External) {
			o.targets[target{address, p.Protocol, p.Port}] = to
		}
	}
	if p.NodePort == 0 {
		return
	}
	at := s.byNode(o, name+"/at/", p.At, service.Affinity)
	if len(from)+len(at) > 0 {
		leading = nil
		if len(at) > 0 {
			leading = []rule{byDestination(at)}
		}
		to = s.choice(o, name+"/node", leading, p.Endpoints, service.Affinity)
	}
	o.targets[target{protocol: p.Protocol, port: p.NodePort}] = to
}

// byNode makes a chain for each list of a node that is known, and returns where each of them leads, by
// the node's address. An empty list drops.
func (s *surroundings) byNode(o *objects, prefix string, lists map[string][]netip.AddrPort, affinity time.Duration) map[netip.Addr]verdict {
	verdicts := map[netip.Addr]verdict{}
	for node, list := range lists {
		address, ok := s.nodes[node]
		switch {
		case !ok:
		case len(list) == 0:
			verdicts[address] = verdict{drop: true}
		default:
			verdicts[address] = s.choice(o, prefix+address.String(), nil, list, affinity)
		}
	}
	return verdicts
}

// choice makes a chain that chooses one of the endpoints, unless a rule before it has gone elsewhere.
// Without rules and endpoints there is none.
func (s *surroundings) choice(o *objects, name string, leading []rule, endpoints []netip.AddrPort, affinity time.Duration) verdict {
	endpoints = slices.Clone(endpoints)
	slices.SortFunc(endpoints, netip.AddrPort.Compare)
	c := chain{name: name, rules: leading, endpoints: slices.Compact(endpoints)}
	switch {
	case len(endpoints) == 0 && len(leading) == 0:
		return verdict{}
	case len(endpoints) == 0:
	case affinity > 0 && s.memory:
		c.memory = affinity
		c.rules = append(c.rules, recall(name, c.endpoints), pick{to: c.endpoints, remember: name})
	case affinity > 0:
		c.rules = append(c.rules, pick{to: c.endpoints, byAddress: true})
	default:
		c.rules = append(c.rules, pick{to: c.endpoints})
	}
	o.chains = append(o.chains, c)
	return verdict{chain: name}
}
