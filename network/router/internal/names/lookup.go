package names

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	"skiff/network/protocol"
)

// specification is the version of Kubernetes' specification that is followed.
const specification = "1.1.0"

// maxAliases bounds a chain of aliases.
const maxAliases = 8

// result is what is known of a question.
type result struct {
	code       dnsmessage.RCode
	answers    []record
	additional []record
	// alias is a name outside of the zone at which the answer goes on, empty for none.
	alias string
	// zone is the one whose SOA goes with a negative answer.
	zone string
}

// exists is a name without records of the type asked for, unknown one that there isn't.
var (
	exists  = result{}
	unknown = result{code: dnsmessage.RCodeNameError}
)

// lookup answers a question. ours is false for names that are not this zone's: others know.
func (x *Index) lookup(name string, kind dnsmessage.Type) (r result, ours bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	name = strings.ToLower(name)
	labels, inside := below(name, x.zone)
	if !inside {
		return x.lookupAddress(name, kind)
	}
	r = x.inZone(labels, kind)
	r.zone = x.zone
	for range maxAliases {
		rest, inside := below(strings.ToLower(r.alias), x.zone)
		if r.alias == "" || !inside {
			return r, true
		}
		next := x.inZone(rest, kind)
		for i := range next.answers {
			if next.answers[i].name == "" {
				next.answers[i].name = r.alias
			}
		}
		next.answers = slices.Concat(r.answers, next.answers)
		next.zone = x.zone
		r = next
	}
	return result{code: dnsmessage.RCodeServerFailure}, true // aliases of each other
}

// below splits what comes before a zone into labels, and reports whether the name is in the zone.
func below(name, zone string) (labels []string, ok bool) {
	if zone == "" {
		return nil, false
	}
	if name == zone {
		return nil, true
	}
	rest, ok := strings.CutSuffix(name, "."+zone)
	if !ok {
		return nil, false
	}
	return strings.Split(rest, "."), true
}

// inZone answers for a name below the zone. Names that others are below exist.
func (x *Index) inZone(labels []string, kind dnsmessage.Type) result {
	n := len(labels)
	if n == 0 {
		return x.apex(kind)
	}
	switch labels[n-1] {
	case "svc":
		return x.inServices(labels[:n-1], kind)
	case "pod":
		return x.inPods(labels[:n-1], kind)
	case "dns":
		if n == 1 {
			return exists
		}
		if n == 2 && labels[0] == "ns" {
			return result{answers: addressRecords(kind, x.config.Router)}
		}
	case "dns-version":
		if n == 1 && (kind == dnsmessage.TypeTXT || kind == dnsmessage.TypeALL) {
			return result{answers: []record{{body: &dnsmessage.TXTResource{TXT: []string{specification}}}}}
		}
		if n == 1 {
			return exists
		}
	}
	return unknown
}

func (x *Index) apex(kind dnsmessage.Type) result {
	switch kind {
	case dnsmessage.TypeSOA:
		return result{answers: []record{authority(x.zone)}}
	case dnsmessage.TypeNS:
		server := "ns.dns." + x.zone
		return result{
			answers:    []record{{body: &dnsmessage.NSResource{NS: nameOf(server)}}},
			additional: named(server, addressRecords(dnsmessage.TypeA, x.config.Router)),
		}
	}
	return exists
}

// inPods answers for a-b-c-d.namespace.pod: any address of pods, in whatever namespace.
func (x *Index) inPods(labels []string, kind dnsmessage.Type) result {
	if len(labels) < 2 {
		return exists
	}
	address, err := netip.ParseAddr(strings.ReplaceAll(labels[0], "-", "."))
	if len(labels) > 2 || err != nil || !x.config.Pods.Contains(address) || dashed(address) != labels[0] {
		return unknown
	}
	return result{answers: addressRecords(kind, address)}
}

// inServices answers for what is below svc: [[[_port._protocol.]|[host.]]service.]namespace.
func (x *Index) inServices(labels []string, kind dnsmessage.Type) result {
	n := len(labels)
	if n == 0 {
		return exists
	}
	namespace := labels[n-1]
	if n == 1 {
		if x.namespaces[namespace] > 0 {
			return exists
		}
		return unknown
	}
	key := protocol.Key{Namespace: namespace, Name: labels[n-2]}
	e := cmp.Or(x.services[key], x.aliases[key])
	if e == nil {
		return unknown
	}
	sub := labels[:n-2]
	switch {
	case e.alias != "":
		if len(sub) > 0 {
			return unknown
		}
		r := result{answers: []record{{body: &dnsmessage.CNAMEResource{CNAME: nameOf(e.alias)}}}}
		if kind != dnsmessage.TypeCNAME && kind != dnsmessage.TypeALL {
			r.alias = e.alias
		}
		return r
	case len(e.addresses) == 0: // headless, and nobody is there
		return unknown
	case len(sub) == 0:
		return x.ofService(e, kind)
	case len(sub) == 1:
		return x.ofHost(e, sub[0], kind)
	case len(sub) == 2:
		return x.ofPort(e, sub[0], sub[1], kind)
	}
	return unknown
}

func (x *Index) ofService(e *entry, kind dnsmessage.Type) result {
	if kind == dnsmessage.TypeSRV {
		return x.locations(e, func(port, location) bool { return true })
	}
	return result{answers: addressRecords(kind, e.addresses...)}
}

func (x *Index) ofHost(e *entry, label string, kind dnsmessage.Type) result {
	var addresses []netip.Addr
	for _, h := range e.hosts {
		if h.label == label {
			addresses = append(addresses, h.address)
		}
	}
	switch {
	case len(addresses) == 0:
		// _tcp has names below it.
		if slices.ContainsFunc(e.ports, func(p port) bool { return p.name != "" && "_"+p.protocol == label }) {
			return exists
		}
		return unknown
	case kind == dnsmessage.TypeSRV:
		return x.locations(e, func(_ port, l location) bool { return l.label == label })
	}
	return result{answers: addressRecords(kind, addresses...)}
}

func (x *Index) ofPort(e *entry, name, transport string, kind dnsmessage.Type) result {
	is := func(p port) bool { return p.name != "" && "_"+p.name == name && "_"+p.protocol == transport }
	switch {
	case !slices.ContainsFunc(e.ports, is):
		return unknown
	case kind == dnsmessage.TypeSRV:
		return x.locations(e, func(p port, _ location) bool { return is(p) })
	}
	return exists
}

// locations are SRV records, with the addresses of their targets. They share a weight of 100.
func (x *Index) locations(e *entry, wanted func(port, location) bool) result {
	var list []location
	for _, p := range e.ports {
		for _, l := range p.services {
			if wanted(p, l) {
				list = append(list, l)
			}
		}
	}
	var r result
	targets := map[string]bool{}
	for _, l := range list {
		target, addresses := e.name+x.zone, e.addresses
		if l.label != "" {
			target, addresses = l.label+"."+e.name+x.zone, []netip.Addr{l.address}
		}
		r.answers = append(r.answers, record{body: &dnsmessage.SRVResource{
			Weight: uint16(max(1, 100/len(list))), Port: l.port, Target: nameOf(target),
		}})
		if targets[target+l.address.String()] {
			continue
		}
		targets[target+l.address.String()] = true
		r.additional = append(r.additional, named(target, addressRecords(dnsmessage.TypeALL, addresses...))...)
	}
	return r
}

// lookupAddress answers for addresses of the network; all others' names are others'.
func (x *Index) lookupAddress(name string, kind dnsmessage.Type) (r result, ours bool) {
	address, ok := reversed(name)
	if !ok || !x.config.Subnet.IsValid() || !x.config.Subnet.Contains(address) {
		return result{}, false
	}
	found := x.reverse[address]
	if len(found) == 0 {
		r.code = dnsmessage.RCodeNameError
	}
	if kind == dnsmessage.TypePTR || kind == dnsmessage.TypeALL {
		for _, to := range found {
			r.answers = append(r.answers, record{body: &dnsmessage.PTRResource{PTR: nameOf(to + x.zone)}})
		}
	}
	r.zone = name
	return r, true
}

// reversed is the address whose name in in-addr.arpa this is.
func reversed(name string) (netip.Addr, bool) {
	labels, ok := below(name, "in-addr.arpa.")
	if !ok || len(labels) != 4 {
		return netip.Addr{}, false
	}
	var octets [4]byte
	for i, label := range labels {
		n, err := strconv.ParseUint(label, 10, 8)
		if err != nil || strconv.FormatUint(n, 10) != label {
			return netip.Addr{}, false
		}
		octets[3-i] = byte(n)
	}
	return netip.AddrFrom4(octets), true
}

// addressRecords are the A or AAAA records of addresses, both for TypeALL.
func addressRecords(kind dnsmessage.Type, addresses ...netip.Addr) []record {
	var list []record
	for _, a := range addresses {
		switch {
		case a.Is4() && (kind == dnsmessage.TypeA || kind == dnsmessage.TypeALL):
			list = append(list, record{body: &dnsmessage.AResource{A: a.As4()}})
		case a.Is6() && (kind == dnsmessage.TypeAAAA || kind == dnsmessage.TypeALL):
			list = append(list, record{body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	return list
}

func named(name string, list []record) []record {
	for i := range list {
		list[i].name = name
	}
	return list
}

// authority is the SOA of a zone. A negative answer holds for a second at most: a name is there as soon
// as its service is.
func authority(zone string) record {
	return record{name: zone, body: &dnsmessage.SOAResource{
		NS: nameOf("ns.dns." + zone), MBox: nameOf("hostmaster." + zone),
		Serial: 1, Refresh: 7200, Retry: 1800, Expire: 86400, MinTTL: negativeTTL,
	}}
}

// nameOf is a name as it is packed: empty, the root, if it is too long for one.
func nameOf(text string) dnsmessage.Name {
	name, err := dnsmessage.NewName(text)
	if err != nil {
		return dnsmessage.MustNewName(".")
	}
	return name
}
