package docker

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
)

// Addresses hands out the addresses of an IPv4 network, one a key. It lives in memory: after a
// restart Reserve tells it what is in use. It goes around the whole network before it gives an
// address again, so that what still talks to a dead pod does not reach its successor's neighbour.
// It is safe for concurrent use.
type Addresses struct {
	mu     sync.Mutex
	prefix netip.Prefix
	// whole contains what can be reserved, shadows are as in Layout; invalid for none.
	whole, shadows netip.Prefix
	// byAddr holds reserved names too: the gateway's key is empty.
	byAddr map[netip.Addr]string
	byKey  map[string]netip.Addr
	// next is the offset in the network at which to look first.
	next uint32
}

// NewAddresses makes an allocator for prefix, which must be IPv4 and at most a /30. The network's
// own address, its broadcast address and the gateway are never given out.
func NewAddresses(prefix netip.Prefix, gateway netip.Addr) *Addresses {
	return &Addresses{
		prefix: prefix.Masked(), whole: prefix.Masked(),
		byAddr: map[netip.Addr]string{gateway: ""},
		byKey:  map[string]netip.Addr{},
		next:   1,
	}
}

// PodAddresses makes an allocator for the pods of a divided network. Pods that lie elsewhere in it,
// because they were there before it was divided, can be reserved; Elsewhere tells them.
func PodAddresses(l Layout) *Addresses {
	a := NewAddresses(l.Pods, l.Gateway)
	a.whole, a.shadows = l.Subnet, l.Shadows
	return a
}

// Elsewhere are the reserved addresses outside of the part that new ones come from.
func (a *Addresses) Elsewhere() []netip.Addr {
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []netip.Addr
	for addr := range a.byAddr {
		if !a.prefix.Contains(addr) {
			list = append(list, addr)
		}
	}
	slices.SortFunc(list, netip.Addr.Compare)
	return list
}

// Allocate gives key's address: the one it has, or a free one. ErrNoAddress when there is none.
func (a *Addresses) Allocate(key string) (netip.Addr, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if has, ok := a.byKey[key]; ok {
		return has, nil
	}
	for range a.last() {
		n, candidate := a.next, a.at(a.next)
		a.next = a.next%a.last() + 1
		if !a.taken(n, candidate) {
			a.byAddr[candidate], a.byKey[key] = key, candidate
			return candidate, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("allocate address for %s in %s: %w", key, a.prefix, ErrNoAddress)
}

// Has reports whether an address is given or reserved.
func (a *Addresses) Has(addr netip.Addr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, has := a.byAddr[addr]
	return has
}

// taken reports whether the nth address, or its shadow, is somebody's.
func (a *Addresses) taken(n uint32, addr netip.Addr) bool {
	if _, taken := a.byAddr[addr]; taken || !a.shadows.IsValid() {
		return taken
	}
	_, taken := a.byAddr[offset(a.shadows.Addr(), n)]
	return taken
}

// Reserve gives key the address it had before a restart. Repeating it is no error. ErrConflict when
// the address is another's or key has another, ErrInvalid when the network does not have it to
// give.
func (a *Addresses) Reserve(key string, addr netip.Addr) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.gives(addr) {
		return fmt.Errorf("reserve address %s for %s in %s: %w: not a pod's address there", addr, key, a.prefix, ErrInvalid)
	}
	if owner, taken := a.byAddr[addr]; taken && owner != key {
		return fmt.Errorf("reserve address %s for %s: %w: it is %s's", addr, key, ErrConflict, owner)
	}
	if has, ok := a.byKey[key]; ok && has != addr {
		return fmt.Errorf("reserve address %s for %s: %w: it has %s", addr, key, ErrConflict, has)
	}
	a.byAddr[addr], a.byKey[key] = key, addr
	return nil
}

// Release takes key's address back; a key without one is no error.
func (a *Addresses) Release(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if addr, ok := a.byKey[key]; ok {
		delete(a.byAddr, addr)
		delete(a.byKey, key)
	}
}

// last is the offset of the last address before the broadcast address.
func (a *Addresses) last() uint32 { return uint32(1)<<(32-a.prefix.Bits()) - 2 }

func (a *Addresses) at(n uint32) netip.Addr { return offset(a.prefix.Addr(), n) }

// gives reports whether addr is one that a pod may have.
func (a *Addresses) gives(addr netip.Addr) bool {
	if !a.whole.Contains(addr) {
		return false
	}
	owner, taken := a.byAddr[addr]
	gateway := taken && owner == ""
	broadcast := offset(a.whole.Addr(), uint32(1)<<(32-a.whole.Bits())-1)
	return !gateway && addr != a.whole.Addr() && addr != broadcast
}
