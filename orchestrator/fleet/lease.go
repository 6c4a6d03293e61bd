package fleet

import (
	"net/netip"
	"sync"

	"skiff/orchestrator/node"
)

// lease is one node's part of addresses that many nodes share: it can be given
// back as a whole.
type lease struct {
	node.Addresses

	mu   sync.Mutex
	keys map[string]struct{}
}

func newLease(a node.Addresses) *lease { return &lease{Addresses: a, keys: map[string]struct{}{}} }

func (l *lease) note(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keys[key] = struct{}{}
}

func (l *lease) Allocate(key string) (netip.Addr, error) {
	addr, err := l.Addresses.Allocate(key)
	if err == nil {
		l.note(key)
	}
	return addr, err
}

func (l *lease) Reserve(key string, addr netip.Addr) error {
	err := l.Addresses.Reserve(key, addr)
	if err == nil {
		l.note(key)
	}
	return err
}

func (l *lease) Release(key string) {
	l.Addresses.Release(key)
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.keys, key)
}

func (l *lease) releaseAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key := range l.keys {
		l.Addresses.Release(key)
	}
	clear(l.keys)
}
