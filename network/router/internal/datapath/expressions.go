//go:build linux

package datapath

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"skiff/network/router/internal/netlink"
)

// Registers of four bytes (NFT_REG32_00 and so on): an endpoint takes two, the address and the port.
const (
	regVerdict = unix.NFT_REG_VERDICT
	reg0       = unix.NFT_REG32_00
	reg1       = unix.NFT_REG32_01
	reg2       = unix.NFT_REG32_02
	reg4       = unix.NFT_REG32_04
)

// expression appends one of a rule's expressions, in the order in which they are carried out. One that
// does not match ends the rule (include/uapi/linux/netfilter/nf_tables.h).
type expression func(*netlink.Attributes)

func expressionOf(name string, data func(*netlink.Attributes)) expression {
	return func(a *netlink.Attributes) {
		a.Nest(unix.NFTA_LIST_ELEM, func(a *netlink.Attributes) {
			a.String(unix.NFTA_EXPR_NAME, name)
			a.Nest(unix.NFTA_EXPR_DATA, data)
		})
	}
}

// value appends bytes that are compared, or loaded.
func value(a *netlink.Attributes, kind uint16, data []byte) {
	a.Nest(kind, func(a *netlink.Attributes) { a.Bytes(unix.NFTA_DATA_VALUE, data) })
}

// payload loads bytes of the packet.
func payload(base, offset, size, register uint32) expression {
	return expressionOf("payload", func(a *netlink.Attributes) {
		a.Network32(unix.NFTA_PAYLOAD_DREG, register)
		a.Network32(unix.NFTA_PAYLOAD_BASE, base)
		a.Network32(unix.NFTA_PAYLOAD_OFFSET, offset)
		a.Network32(unix.NFTA_PAYLOAD_LEN, size)
	})
}

func loadSource(register uint32) expression {
	return payload(unix.NFT_PAYLOAD_NETWORK_HEADER, 12, 4, register)
}

func loadDestination(register uint32) expression {
	return payload(unix.NFT_PAYLOAD_NETWORK_HEADER, 16, 4, register)
}

func loadSourcePort(register uint32) expression {
	return payload(unix.NFT_PAYLOAD_TRANSPORT_HEADER, 0, 2, register)
}

func loadDestinationPort(register uint32) expression {
	return payload(unix.NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, register)
}

// meta loads what is known of the packet beside its bytes.
func meta(key, register uint32) expression {
	return expressionOf("meta", func(a *netlink.Attributes) {
		a.Network32(unix.NFTA_META_KEY, key)
		a.Network32(unix.NFTA_META_DREG, register)
	})
}

func setMark(register uint32) expression {
	return expressionOf("meta", func(a *netlink.Attributes) {
		a.Network32(unix.NFTA_META_KEY, unix.NFT_META_MARK)
		a.Network32(unix.NFTA_META_SREG, register)
	})
}

// connection loads what is known of the packet's connection.
func connection(key, register uint32) expression {
	return expressionOf("ct", func(a *netlink.Attributes) {
		a.Network32(unix.NFTA_CT_KEY, key)
		a.Network32(unix.NFTA_CT_DREG, register)
	})
}

// compare goes on if a register is, or is not, what is given.
func compare(register, operation uint32, data []byte) expression {
	return expressionOf("cmp", func(a *netlink.Attributes) {
		a.Network32(unix.NFTA_CMP_SREG, register)
		a.Network32(unix.NFTA_CMP_OP, operation)
		value(a, unix.NFTA_CMP_DATA, data)
	})
}

// bitwise is register & mask ^ flip.
func bitwise(register uint32, mask, flip []byte) expression {
	return expressionOf("bitwise", func(a *netlink.Attributes) {
		a.Network32(unix.NFTA_BITWISE_SREG, register)
		a.Network32(unix.NFTA_BITWISE_DREG, register)
		a.Network32(unix.NFTA_BITWISE_LEN, uint32(len(mask)))
		value(a, unix.NFTA_BITWISE_MASK, mask)
		value(a, unix.NFTA_BITWISE_XOR, flip)
	})
}

func and(register uint32, mask []byte) expression {
	return bitwise(register, mask, make([]byte, len(mask)))
}

// within goes on if a register holds an address of a prefix.
func within(register uint32, prefix netip.Prefix) []expression {
	mask := binary.BigEndian.AppendUint32(nil, ^uint32(0)<<(32-prefix.Bits()))
	return []expression{and(register, mask), compare(register, unix.NFT_CMP_EQ, prefix.Masked().Addr().AsSlice())}
}

// anyBit goes on if any of these bits, a number in the machine's order, is set; noBit if none is.
func anyBit(register, mask uint32) []expression { return masked(register, mask, unix.NFT_CMP_NEQ) }

func noBit(register, mask uint32) []expression { return masked(register, mask, unix.NFT_CMP_EQ) }

func masked(register, mask, operation uint32) []expression {
	return []expression{and(register, binary.NativeEndian.AppendUint32(nil, mask)), compare(register, operation, make([]byte, 4))}
}

func immediate(register uint32, data []byte) expression {
	return expressionOf("immediate", func(a *netlink.Attributes) {
		a.Network32(unix.NFTA_IMMEDIATE_DREG, register)
		value(a, unix.NFTA_IMMEDIATE_DATA, data)
	})
}

// jump goes to a chain and comes back, end ends the packet's way through this hook.
func jump(chain string) expression { return decide(unix.NFT_JUMP, chain) }

func decide(code int32, chain string) expression {
	return expressionOf("immediate", func(a *netlink.Attributes) {
		a.Network32(unix.NFTA_IMMEDIATE_DREG, regVerdict)
		a.Nest(unix.NFTA_IMMEDIATE_DATA, func(a *netlink.Attributes) { verdictData(a, code, chain) })
	})
}

func verdictData(a *netlink.Attributes, code int32, chain string) {
	a.Nest(unix.NFTA_DATA_VERDICT, func(a *netlink.Attributes) {
		a.Network32(unix.NFTA_VERDICT_CODE, uint32(code))
		if chain != "" {
			a.String(unix.NFTA_VERDICT_CHAIN, chain)
		}
	})
}

// Verdicts that end a packet's way through a hook (include/uapi/linux/netfilter.h).
const (
	verdictDrop   = 0
	verdictAccept = 1
)

// code is a verdict's number.
func (v verdict) code() int32 {
	switch {
	case v.drop:
		return verdictDrop
	case v.chain != "":
		return unix.NFT_GOTO
	}
	return verdictAccept
}

// setRef names a set: by its name, or by its number in the same batch.
type setRef struct {
	name string
	id   uint32
}

func named(name string) setRef { return setRef{name: name} }

// lookup puts what a map has for one register into another, and goes on if it has anything.
func lookup(from, to uint32, set setRef) expression {
	return expressionOf("lookup", func(a *netlink.Attributes) {
		lookupIn(a, from, set)
		a.Network32(unix.NFTA_LOOKUP_DREG, to)
	})
}

// contains goes on if a set has what a register holds.
func contains(register uint32, set setRef) expression {
	return expressionOf("lookup", func(a *netlink.Attributes) { lookupIn(a, register, set) })
}

func lookupIn(a *netlink.Attributes, register uint32, set setRef) {
	a.String(unix.NFTA_LOOKUP_SET, set.name)
	if set.id != 0 {
		a.Network32(unix.NFTA_LOOKUP_SET_ID, set.id)
	}
	a.Network32(unix.NFTA_LOOKUP_SREG, register)
}

// update puts an element into a map, or lets the one that is there begin anew.
func update(set string, key, data uint32) expression {
	return expressionOf("dynset", func(a *netlink.Attributes) {
		a.String(unix.NFTA_DYNSET_SET_NAME, set)
		a.Network32(unix.NFTA_DYNSET_OP, unix.NFT_DYNSET_OP_UPDATE)
		a.Network32(unix.NFTA_DYNSET_SREG_KEY, key)
		a.Network32(unix.NFTA_DYNSET_SREG_DATA, data)
	})
}

// destinationNAT sends the connection to the address and port in two registers.
func destinationNAT(address, port uint32) expression {
	return nat(unix.NFT_NAT_DNAT, address, port)
}

// nat changes an address, and a port unless its register is 0.
func nat(kind, address, port uint32) expression {
	return expressionOf("nat", func(a *netlink.Attributes) {
		a.Network32(unix.NFTA_NAT_TYPE, kind)
		a.Network32(unix.NFTA_NAT_FAMILY, unix.NFPROTO_IPV4)
		a.Network32(unix.NFTA_NAT_REG_ADDR_MIN, address)
		if port != 0 {
			a.Network32(unix.NFTA_NAT_REG_PROTO_MIN, port)
		}
	})
}

// masquerade gives the connection the router's own address.
func masquerade() expression { return expressionOf("masq", func(*netlink.Attributes) {}) }

// destination is an endpoint in registers: the address, and the port padded to four bytes.
func destination(to netip.AddrPort) []byte {
	out := make([]byte, 8)
	copy(out, to.Addr().AsSlice())
	binary.BigEndian.PutUint16(out[4:], to.Port())
	return out
}

// origin is the endpoint that destination has made these bytes of.
func origin(data []byte) (netip.AddrPort, bool) {
	if len(data) < 6 {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(data)), binary.BigEndian.Uint16(data[4:])), true
}
