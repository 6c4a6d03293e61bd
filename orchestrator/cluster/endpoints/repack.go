package endpoints

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// Repack brings subsets into the one form that says the same with the fewest: addresses that have the
// same ports share a subset, and all is sorted. An address that is both ready and not, at one port,
// is not. What it returns shares nothing that may be written with subsets.
func Repack(subsets []corev1.EndpointSubset) []corev1.EndpointSubset {
	r := repacking{ports: map[string]*port{}, addresses: map[addressKey]corev1.EndpointAddress{}}
	for i := range subsets {
		s := &subsets[i]
		for _, p := range r.portsOf(s) {
			for j := range s.Addresses {
				p.add(r.address(&s.Addresses[j]), true)
			}
			for j := range s.NotReadyAddresses {
				p.add(r.address(&s.NotReadyAddresses[j]), false)
			}
		}
	}
	return r.pack()
}

// repacking is subsets taken apart: for each port the addresses that have it.
type repacking struct {
	ports     map[string]*port
	addresses map[addressKey]corev1.EndpointAddress
}

// addressKey tells addresses apart. Pods may share an address.
type addressKey struct {
	ip  string
	uid types.UID
}

func (a addressKey) compare(b addressKey) int {
	return cmp.Or(cmp.Compare(a.ip, b.ip), cmp.Compare(a.uid, b.uid))
}

type port struct {
	port  corev1.EndpointPort
	none  bool // stands for no port at all
	ready map[addressKey]bool
}

func (p *port) add(a addressKey, ready bool) {
	if was, known := p.ready[a]; !known || was {
		p.ready[a] = ready
	}
}

// set tells apart which addresses have the port, and which of them are ready.
func (p *port) set() string {
	var b strings.Builder
	for _, a := range p.sorted() {
		fmt.Fprintf(&b, "%s %s %t\n", a.ip, a.uid, p.ready[a])
	}
	return b.String()
}

func (p *port) sorted() []addressKey {
	all := make([]addressKey, 0, len(p.ready))
	for a := range p.ready {
		all = append(all, a)
	}
	slices.SortFunc(all, addressKey.compare)
	return all
}

func (r *repacking) portsOf(s *corev1.EndpointSubset) []*port {
	if len(s.Ports) == 0 {
		return []*port{r.port("", corev1.EndpointPort{}, true)}
	}
	ports := make([]*port, len(s.Ports))
	for i, p := range s.Ports {
		ports[i] = r.port(fmt.Sprintf("%s:%d/%s %s", p.Name, p.Port, p.Protocol, ptr.Deref(p.AppProtocol, "")), p, false)
	}
	return ports
}

func (r *repacking) port(key string, of corev1.EndpointPort, none bool) *port {
	p := r.ports[key]
	if p == nil {
		p = &port{port: *of.DeepCopy(), none: none, ready: map[addressKey]bool{}}
		r.ports[key] = p
	}
	return p
}

func (r *repacking) address(of *corev1.EndpointAddress) addressKey {
	key := addressKey{ip: of.IP}
	if of.TargetRef != nil {
		key.uid = of.TargetRef.UID
	}
	if _, known := r.addresses[key]; !known {
		r.addresses[key] = *of.DeepCopy()
	}
	return key
}

// pack makes a subset of each set of addresses, with the ports that they all have.
func (r *repacking) pack() []corev1.EndpointSubset {
	ports := make([]*port, 0, len(r.ports))
	for _, p := range r.ports {
		ports = append(ports, p)
	}
	slices.SortFunc(ports, func(a, b *port) int {
		x, y := a.port, b.port
		return cmp.Or(cmp.Compare(x.Port, y.Port), cmp.Compare(x.Name, y.Name), cmp.Compare(x.Protocol, y.Protocol),
			cmp.Compare(ptr.Deref(x.AppProtocol, ""), ptr.Deref(y.AppProtocol, "")))
	})
	at := map[string]int{}
	var all []corev1.EndpointSubset
	for _, p := range ports {
		if len(p.ready) == 0 {
			continue
		}
		set := p.set()
		i, known := at[set]
		if !known {
			i = len(all)
			at[set] = i
			all = append(all, r.subset(p))
		}
		if !p.none {
			all[i].Ports = append(all[i].Ports, p.port)
		}
	}
	return all
}

func (r *repacking) subset(p *port) corev1.EndpointSubset {
	var s corev1.EndpointSubset
	for _, a := range p.sorted() {
		address := r.addresses[a]
		if p.ready[a] {
			s.Addresses = append(s.Addresses, *address.DeepCopy())
		} else {
			s.NotReadyAddresses = append(s.NotReadyAddresses, *address.DeepCopy())
		}
	}
	return s
}
