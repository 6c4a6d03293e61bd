// Package names answers DNS for the cluster's domain, as Kubernetes specifies it
// (https://github.com/kubernetes/dns/blob/master/docs/specification.md), and asks the engine's resolvers
// for all other names.
package names

import (
	"net/netip"
	"slices"
	"strings"
	"sync"

	"golang.org/x/net/dns/dnsmessage"

	"skiff/network/protocol"
)

// Index has the names of all services. It is safe for concurrent use: what Set has returned from is in
// every later answer.
type Index struct {
	mu       sync.RWMutex
	config   protocol.Config
	zone     string // in lower case, with a dot at its end
	services map[protocol.Key]*entry
	// aliases are the services that further names stand for.
	aliases map[protocol.Key]*entry
	// namespaces counts the services in each.
	namespaces map[string]int
	// reverse has the names of an address, below the zone.
	reverse map[netip.Addr][]string
}

// NewIndex returns an index without services.
func NewIndex() *Index {
	return &Index{services: map[protocol.Key]*entry{}, aliases: map[protocol.Key]*entry{}, namespaces: map[string]int{}, reverse: map[netip.Addr][]string{}}
}

// entry is a service as far as it has names.
type entry struct {
	// name is the service's below the zone: "web.default.svc.".
	name string
	// others are the service's further names.
	others []protocol.Key
	// addresses are what the name stands for: the service's own, or those of a headless one's hosts.
	addresses []netip.Addr
	headless  bool
	// alias is the name that it stands for, empty for none.
	alias string
	hosts []host
	ports []port
}

// host is an address with a name below the service's.
type host struct {
	label   string
	address netip.Addr
}

// port is one of a service's, with where it leads.
type port struct {
	name, protocol string
	services       []location
}

// location is what an SRV record says. Without a label it is the service itself.
type location struct {
	label   string
	address netip.Addr
	port    uint16
}

// Configure sets the network's parts and the domain.
func (x *Index) Configure(c *protocol.Config) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.config = *c
	x.zone = strings.ToLower(strings.Trim(c.Domain, ".")) + "."
}

// Set adds a service or replaces it.
func (x *Index) Set(s *protocol.Service) {
	e := newEntry(s)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.remove(s.Key)
	x.services[s.Key] = e
	x.namespaces[s.Namespace]++
	for _, k := range e.others {
		x.aliases[k] = e
	}
	for _, r := range e.reverse() {
		x.reverse[r.address] = append(x.reverse[r.address], r.label)
	}
}

// Delete removes a service, if it is there.
func (x *Index) Delete(key protocol.Key) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.remove(key)
}

func (x *Index) remove(key protocol.Key) {
	e := x.services[key]
	if e == nil {
		return
	}
	delete(x.services, key)
	for _, k := range e.others {
		if x.aliases[k] == e {
			delete(x.aliases, k)
		}
	}
	if x.namespaces[key.Namespace]--; x.namespaces[key.Namespace] == 0 {
		delete(x.namespaces, key.Namespace)
	}
	for _, r := range e.reverse() {
		// A new list: answers are made of the old one meanwhile.
		left := slices.DeleteFunc(slices.Clone(x.reverse[r.address]), func(name string) bool { return name == r.label })
		if x.reverse[r.address] = left; len(left) == 0 {
			delete(x.reverse, r.address)
		}
	}
}

func newEntry(s *protocol.Service) *entry {
	e := &entry{name: s.Name + "." + s.Namespace + ".svc.", addresses: s.Addresses, headless: len(s.Addresses) == 0}
	for _, name := range s.Aliases {
		e.others = append(e.others, protocol.Key{Namespace: s.Namespace, Name: name})
	}
	if e.headless && s.ExternalName != "" {
		e.alias = strings.TrimSuffix(s.ExternalName, ".") + "."
		return e
	}
	for _, h := range s.Hosts {
		label := strings.ToLower(h.Name)
		if label == "" {
			label = dashed(h.Address)
		}
		e.hosts = append(e.hosts, host{label, h.Address})
		if e.headless {
			e.addresses = append(e.addresses, h.Address)
		}
	}
	for i := range s.Ports {
		e.ports = append(e.ports, e.newPort(&s.Ports[i]))
	}
	return e
}

// newPort says where a port leads: to the service's own address, or to each host of a headless one, at
// the port that its endpoint has.
func (e *entry) newPort(p *protocol.Port) port {
	out := port{name: strings.ToLower(p.Name), protocol: p.Protocol}
	if !e.headless {
		out.services = []location{{port: p.Port}}
		return out
	}
	at := map[netip.Addr]uint16{}
	for _, endpoint := range p.Endpoints {
		at[endpoint.Addr()] = endpoint.Port()
	}
	for _, h := range e.hosts {
		number, listed := at[h.address]
		switch {
		case listed:
		case len(p.Endpoints) == 0: // it was not said
			number = p.Port
		default:
			continue
		}
		out.services = append(out.services, location{h.label, h.address, number})
	}
	return out
}

// reverse lists the names that addresses stand for: the service's for its own addresses, each host's.
func (e *entry) reverse() []host {
	var list []host
	if !e.headless {
		for _, a := range e.addresses {
			list = append(list, host{e.name, a})
		}
	}
	for _, h := range e.hosts {
		list = append(list, host{h.label + "." + e.name, h.address})
	}
	return list
}

// dashed is an address as a label: "10-0-0-1".
func dashed(a netip.Addr) string {
	return strings.NewReplacer(".", "-", ":", "-").Replace(a.String())
}

// record is a resource record; without a name it is the question's.
type record struct {
	name string
	body dnsmessage.ResourceBody
}
