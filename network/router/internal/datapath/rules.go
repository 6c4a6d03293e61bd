//go:build linux

package datapath

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"maps"
	"math/bits"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// rule is a rule: String is as nft would print it, nearly; statements are what is sent.
type rule interface {
	String() string
	statements(e *encoder) []expression
}

// statement is a rule that is made of fixed parts.
type statement struct {
	text string
	make func(e *encoder) []expression
}

func (s statement) String() string                     { return s.text }
func (s statement) statements(e *encoder) []expression { return s.make(e) }

// fixed is a rule that needs no set of its own.
func fixed(text string, list ...expression) rule {
	return statement{text, func(*encoder) []expression { return list }}
}

// pick chooses an endpoint by bits of the client's port, or of its address, from a map of a power of
// two of slots. That needs neither nft_numgen nor nft_hash, which Docker Desktop's kernel is built
// without, and no state: a router that is made anew takes established connections up where they were,
// for the same client and port lead to the same endpoint. Linux gives connect() ports of one parity,
// and the next one to the next connection: without the lowest bit they take turns.
type pick struct {
	to []netip.AddrPort
	// byAddress keeps each client at one endpoint for as long as that is there.
	byAddress bool
	// remember is the map in which the choice is kept for the client's next connection, empty for
	// none.
	remember string
}

func (p pick) String() string {
	text := fmt.Sprintf("dnat to th sport of %d { %s }", slots(len(p.to)), addressList(p.to))
	switch {
	case p.byAddress:
		text = fmt.Sprintf("dnat to ip saddr of %d { %s }", slots(len(p.to)), addressList(p.to))
	case len(p.to) == 1:
		text = "dnat to " + p.to[0].String()
	}
	if p.remember != "" {
		text = fmt.Sprintf("update @%s { ip saddr : %s }", p.remember, text)
	}
	return text
}

func (p pick) statements(e *encoder) []expression {
	var list []expression
	switch n := len(p.to); {
	case n == 1:
		list = append(list, immediate(reg0, destination(p.to[0])))
	case p.byAddress:
		key := func(slot int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(slot)) }
		list = append(list, loadSource(reg0), and(reg0, key(slots(n)-1)),
			lookup(reg0, reg0, e.anonymousMap(typeAddress, p.elements(key, rendezvous(p.to, slots(n))))))
	default:
		key := func(slot int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(slot<<1)) }
		turns := make([]int, slots(n))
		for i := range turns {
			turns[i] = i % n
		}
		list = append(list, loadSourcePort(reg0), and(reg0, key(slots(n)-1)),
			lookup(reg0, reg0, e.anonymousMap(typePort, p.elements(key, turns))))
	}
	if p.remember != "" {
		list = append(list, loadSource(reg4), update(p.remember, reg4, reg0))
	}
	return append(list, destinationNAT(reg0, reg1))
}

// elements are a map from slots to endpoints, of which chosen has the index for each slot.
func (p pick) elements(key func(slot int) []byte, chosen []int) []element {
	destinations := make([][]byte, len(p.to))
	for i, to := range p.to {
		destinations[i] = destination(to)
	}
	list := make([]element, len(chosen))
	for slot, i := range chosen {
		list[slot] = element{key(slot), destinations[i]}
	}
	return list
}

// recall sends a client where it was before, if that is still an endpoint, and remembers it anew.
func recall(memory string, endpoints []netip.AddrPort) rule {
	text := fmt.Sprintf("dnat to update @%s { ip saddr : ip saddr map @%s } if in { %s }", memory, memory, addressList(endpoints))
	return statement{text, func(e *encoder) []expression {
		elements := make([]element, len(endpoints))
		for i, to := range endpoints {
			elements[i] = element{key: destination(to)}
		}
		return []expression{
			loadSource(reg4), lookup(reg4, reg0, named(memory)), contains(reg0, e.anonymousSet(elements)),
			update(memory, reg4, reg0), destinationNAT(reg0, reg1),
		}
	}}
}

// markMachine and markPlace put the address of the client's node into the packet's mark. A client that
// is no node's pod counts as the machine's.
func markMachine(machine netip.Addr) rule {
	value := make([]byte, 4)
	if machine.IsValid() {
		copy(value, machine.AsSlice())
	}
	return fixed(fmt.Sprintf("meta mark set %s", netip.AddrFrom4([4]byte(value))), immediate(reg0, value), setMark(reg0))
}

func markPlace() rule {
	return fixed("meta mark set ip saddr map @places", loadSource(reg0), lookup(reg0, reg0, named(placesMap)), setMark(reg0))
}

// byMark goes where the packet's mark says, byDestination where its destination does.
func byMark(verdicts map[netip.Addr]verdict) rule {
	return byAddress("meta mark", meta(unix.NFT_META_MARK, reg0), verdicts)
}

func byDestination(verdicts map[netip.Addr]verdict) rule {
	return byAddress("ip daddr", loadDestination(reg0), verdicts)
}

func byAddress(what string, load expression, verdicts map[netip.Addr]verdict) rule {
	addresses := slices.SortedFunc(maps.Keys(verdicts), netip.Addr.Compare)
	texts := make([]string, len(addresses))
	for i, a := range addresses {
		texts[i] = fmt.Sprintf("%s : %s", a, verdicts[a])
	}
	text := fmt.Sprintf("%s vmap { %s }", what, strings.Join(texts, ", "))
	return statement{text, func(e *encoder) []expression {
		elements := make([]verdictElement, len(addresses))
		for i, a := range addresses {
			elements[i] = verdictElement{a.AsSlice(), verdicts[a]}
		}
		return []expression{load, lookup(reg0, regVerdict, e.anonymousVerdicts(elements))}
	}}
}

// slots is how many slots there are for so many endpoints: each has 4 at least, so that their shares
// differ by a quarter at most, and up to four endpoints have 32, for an eighth. Beyond 1,024 endpoints
// they have fewer, but one.
func slots(endpoints int) int {
	if endpoints <= 1 {
		return endpoints
	}
	return 1 << min(max(5, bits.Len(uint(4*endpoints-1))), max(12, bits.Len(uint(endpoints-1))), 15)
}

// rendezvous chooses an endpoint for each slot so that a change of one endpoint moves only the clients of
// that endpoint.
func rendezvous(endpoints []netip.AddrPort, count int) []int {
	out := make([]int, count)
	for slot := range out {
		var best uint64
		for i, e := range endpoints {
			h := fnv.New64a()
			_, _ = fmt.Fprintf(h, "%d %s", slot, e) // a hash never fails
			if v := mix(h.Sum64()); v >= best {
				best, out[slot] = v, i
			}
		}
	}
	return out
}

// mix spreads a hash over all bits: FNV's high ones hardly know its last bytes (the finalizer of
// MurmurHash3).
func mix(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

func addressList(list []netip.AddrPort) string {
	texts := make([]string, len(list))
	for i, e := range list {
		texts[i] = e.String()
	}
	return strings.Join(texts, ", ")
}
