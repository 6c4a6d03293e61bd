package docker

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// Layout is how the instance's network is divided. Its quarters are for pods, for the engine and the
// router, for pods' shadows (see network/protocol) and for services.
type Layout struct {
	// Subnet is the whole, Gateway the engine's machine in it.
	Subnet  netip.Prefix
	Gateway netip.Addr
	// Pods is where new pods lie.
	Pods netip.Prefix
	// Engine is where the engine chooses addresses for containers that name none: somebody may
	// connect one by hand.
	Engine netip.Prefix
	// Router is the router's address: the second of Nodes, which are otherwise nodes'.
	Router netip.Addr
	Nodes  netip.Prefix
	// Shadows is as large as Pods.
	Shadows  netip.Prefix
	Services netip.Prefix
}

// maxLayoutBits is the longest prefix that can be divided.
const maxLayoutBits = 26

// Divide divides an IPv4 subnet of 26 bits or fewer; ErrInvalid for others.
func Divide(subnet netip.Prefix) (Layout, error) {
	if !subnet.Addr().Is4() || subnet.Bits() > maxLayoutBits {
		return Layout{}, fmt.Errorf("divide subnet %s: %w: want an IPv4 prefix of %d bits or fewer", subnet, ErrInvalid, maxLayoutBits)
	}
	subnet = subnet.Masked()
	quarter, eighth := subnet.Bits()+2, subnet.Bits()+3
	l := Layout{
		Subnet: subnet, Gateway: subnet.Addr().Next(),
		Pods: part(subnet, quarter, 0), Engine: part(subnet, eighth, 2), Nodes: part(subnet, eighth, 3),
		Shadows: part(subnet, quarter, 2), Services: part(subnet, quarter, 3),
	}
	l.Router = l.Nodes.Addr().Next()
	return l, nil
}

// IsNode reports whether an address may be a node's.
func (l Layout) IsNode(a netip.Addr) bool {
	return l.Nodes.IsValid() && l.Nodes.Contains(a) && a != l.Nodes.Addr() && a != l.Router
}

// part is the nth prefix of so many bits in a subnet.
func part(subnet netip.Prefix, bits int, n uint32) netip.Prefix {
	return netip.PrefixFrom(offset(subnet.Addr(), n<<(32-bits)), bits)
}

// offset is the IPv4 address n after another.
func offset(base netip.Addr, n uint32) netip.Addr {
	from := base.As4()
	var address [4]byte
	binary.BigEndian.PutUint32(address[:], binary.BigEndian.Uint32(from[:])+n)
	return netip.AddrFrom4(address)
}
