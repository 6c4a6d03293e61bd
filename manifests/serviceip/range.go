// Package serviceip says what can be told of the addresses of services alone: which ranges there
// are, and which of a range's addresses a service may have. It imports nothing of skiff.
package serviceip

import (
	"encoding/binary"
	"net/netip"
)

// Contains reports whether a service may have the address as one of the range: as upstream has it
// (k8s.io/kubernetes/pkg/api/servicecidr), neither the network's own address nor, for IPv4, the
// broadcast address.
func Contains(p netip.Prefix, a netip.Addr) bool {
	p = p.Masked()
	if !p.Contains(a) || a == p.Addr() {
		return false
	}
	return !a.Is4() || number(a) != number(p.Addr())+size(p)-1
}

// Within reports whether all of the inner range lies in the outer one.
func Within(outer, inner netip.Prefix) bool {
	return outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}

// At is the nth address of an IPv4 range, counted from the network's own, and whether a service may
// have it.
func At(p netip.Prefix, n uint64) (netip.Addr, bool) {
	p = p.Masked()
	if !p.Addr().Is4() || n >= size(p) {
		return netip.Addr{}, false
	}
	a := addr(number(p.Addr()) + n)
	return a, Contains(p, a)
}

// Free is an address of an IPv4 range that is not taken: the next one after the address given, which
// may be none, going round; so that an address that was given up is not given away at once, while
// others still send to it. The range's first part is left to services that ask for an address by its
// number, until the rest is full (KEP-3070).
func Free(p netip.Prefix, after netip.Addr, taken func(netip.Addr) bool) (netip.Addr, bool) {
	p = p.Masked()
	if !p.Addr().Is4() || size(p) < 4 {
		return netip.Addr{}, false // there is no address between the first and the last
	}
	base := number(p.Addr())
	first, last := base+1, base+size(p)-2
	free := func(from, to uint64) (netip.Addr, bool) {
		for n := from; n <= to; n++ {
			if a := addr(n); !taken(a) {
				return a, true
			}
		}
		return netip.Addr{}, false
	}
	dynamic := first + reserved(p)
	start := dynamic
	if after.Is4() && number(after) >= dynamic && number(after) <= last {
		start = number(after) + 1
	}
	for _, part := range [][2]uint64{{start, last}, {dynamic, start - 1}, {first, dynamic - 1}} {
		if a, ok := free(part[0], part[1]); ok {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// reserved is how many addresses at a range's beginning are left to services that ask for them:
// min(max(16, size/16), 256), and none in a range of 16 or fewer.
func reserved(p netip.Prefix) uint64 {
	if size(p) <= 16 {
		return 0
	}
	return min(max(16, size(p)/16), 256)
}

// size is how many addresses an IPv4 range has.
func size(p netip.Prefix) uint64 { return 1 << (32 - p.Bits()) }

func number(a netip.Addr) uint64 {
	b := a.As4()
	return uint64(binary.BigEndian.Uint32(b[:]))
}

func addr(n uint64) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(n))
	return netip.AddrFrom4(b)
}
