//go:build linux

package datapath

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"skiff/network/protocol"
)

// Names of what all services share.
const (
	table        = "skiff-router"
	servicesMap  = "services"
	nodePortsMap = "nodeports"
	nodesSet     = "nodes"
	placesMap    = "places"
	dispatch     = "dispatch"
)

// hook is where the kernel enters a chain.
type hook struct {
	kind     string // nat, filter
	at       uint32
	priority int32
}

// Hooks with the usual priorities.
var (
	prerouting   = hook{"nat", unix.NF_INET_PRE_ROUTING, -100}
	outputNAT    = hook{"nat", unix.NF_INET_LOCAL_OUT, -100}
	postrouting  = hook{"nat", unix.NF_INET_POST_ROUTING, 100}
	input        = hook{"filter", unix.NF_INET_LOCAL_IN, 0}
	forward      = hook{"filter", unix.NF_INET_FORWARD, 0}
	outputFilter = hook{"filter", unix.NF_INET_LOCAL_OUT, 0}
)

// baseChain is a chain that the kernel enters by itself.
type baseChain struct {
	chain
	hook hook
}

// base is what there is before any service.
func base(c *protocol.Config) []baseChain {
	shadows := slices.Concat([]expression{loadDestination(reg0)}, within(reg0, c.Shadows), []expression{decide(verdictDrop, "")})
	return []baseChain{
		{chain{name: "prerouting", rules: []rule{fixed("jump "+dispatch, jump(dispatch))}}, prerouting},
		// The router itself dials services for the daemon.
		{chain{name: "output", rules: []rule{fixed("jump "+dispatch, jump(dispatch))}}, outputNAT},
		{chain{name: "postrouting", rules: sourceRules(c)}, postrouting},
		{chain{name: "input", rules: []rule{
			// A packet out of a known connection's turn is not translated. To answer it would end the
			// connection.
			fixed("ct state invalid drop", slices.Concat([]expression{connection(unix.NFT_CT_STATE, reg0)},
				anyBit(reg0, stateInvalid), []expression{decide(verdictDrop, "")})...),
			// What comes to a shadow and is not translated belongs to a connection that a former router
			// had: the client's next packet brings it back. A reset would end it.
			fixed(fmt.Sprintf("ip daddr %s drop", c.Shadows.Masked()), shadows...),
		}}, input},
		// The same while the routes are not there yet, by which shadows are the router's. If such a packet
		// went on, the kernel would know it as a connection, whose ports the client's next packet can't
		// have then: it would come to the endpoint as a stranger's, and be answered with a reset.
		{chain{name: "forward", rules: []rule{fixed(fmt.Sprintf("ct status ! dnat ip daddr %s drop", c.Shadows.Masked()),
			slices.Concat([]expression{connection(unix.NFT_CT_STATUS, reg0)}, noBit(reg0, statusDNAT), shadows)...)}}, forward},
		// What leaves by the device it came in on makes the kernel tell the pod of a better way.
		{chain{name: "redirects", rules: []rule{fixed("icmp type redirect drop",
			meta(unix.NFT_META_L4PROTO, reg0), compare(reg0, unix.NFT_CMP_EQ, []byte{unix.IPPROTO_ICMP}),
			payload(unix.NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, reg0), compare(reg0, unix.NFT_CMP_EQ, []byte{icmpRedirect}),
			decide(verdictDrop, ""))}}, outputFilter},
	}
}

const (
	icmpRedirect = 5
	// stateInvalid is a bit of a packet's state, statusDNAT one of a connection's status
	// (include/uapi/linux/netfilter/nf_conntrack_common.h).
	stateInvalid = 1
	statusDNAT   = 1 << 5
)

// sourceRules give a pod's connections their shadow's address, and those of all others the router's
// own. A shadow for each pod keeps the client's port, which two clients of one endpoint could not
// both have otherwise: the second would meet the first's TIME_WAIT.
func sourceRules(c *protocol.Config) []rule {
	translated := slices.Concat([]expression{connection(unix.NFT_CT_STATUS, reg0)}, anyBit(reg0, statusDNAT))
	mask := c.Mask()
	return []rule{
		fixed(fmt.Sprintf("ct status dnat ip saddr %s snat to ip saddr ^ %s", c.Pods.Masked(), netip.AddrFrom4(mask)),
			slices.Concat(translated, []expression{loadSource(reg0)}, within(reg0, c.Pods), []expression{
				loadSource(reg0), bitwise(reg0, []byte{255, 255, 255, 255}, mask[:]), nat(unix.NFT_NAT_SNAT, reg0, 0),
			})...),
		fixed("ct status dnat masquerade", slices.Concat(translated, []expression{masquerade()})...),
	}
}

// dispatchRules send a new connection to the chain of its service.
func dispatchRules(c *protocol.Config, machine netip.Addr) []rule {
	rules := []rule{
		fixed("ip daddr . meta l4proto . th dport vmap @services",
			loadDestination(reg0), meta(unix.NFT_META_L4PROTO, reg1), loadDestinationPort(reg2),
			lookup(reg0, regVerdict, named(servicesMap))),
		fixed("ip daddr @nodes meta l4proto . th dport vmap @nodeports",
			loadDestination(reg0), contains(reg0, named(nodesSet)), meta(unix.NFT_META_L4PROTO, reg0), loadDestinationPort(reg1),
			lookup(reg0, regVerdict, named(nodePortsMap))),
	}
	if machine.IsValid() {
		rules = append(rules, fixed(fmt.Sprintf("ip daddr %s dnat to %s", machine, c.Gateway),
			loadDestination(reg0), compare(reg0, unix.NFT_CMP_EQ, machine.AsSlice()),
			immediate(reg0, c.Gateway.AsSlice()), nat(unix.NFT_NAT_DNAT, reg0, 0)))
	}
	return rules
}

// baseText is what base depends on: as long as it is the same, so is base.
func baseText(c *protocol.Config) string {
	var text strings.Builder
	for _, b := range base(c) {
		for _, r := range b.rules {
			fmt.Fprintf(&text, "%s: %s\n", b.name, r)
		}
	}
	return text.String()
}

// key is a target as an element of its map: each part padded to four bytes.
func (t target) key() []byte {
	var out []byte
	if t.address.IsValid() {
		out = t.address.AsSlice()
	}
	out = append(out, protocolNumber(t.protocol), 0, 0, 0)
	out = binary.BigEndian.AppendUint16(out, t.port)
	return append(out, 0, 0)
}

// set is the map that has the target.
func (t target) set() string {
	if t.address.IsValid() {
		return servicesMap
	}
	return nodePortsMap
}

func protocolNumber(name string) byte {
	if name == protocol.UDP {
		return unix.IPPROTO_UDP
	}
	return unix.IPPROTO_TCP
}
