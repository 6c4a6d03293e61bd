package fleet

import (
	"net/netip"
	"sync"

	"skiff/orchestrator/node"
)

// nodeAddresses are one node's part of addresses that many nodes share. They can be released
// together.
type nodeAddresses struct {
	node.Addresses

	mu   sync.Mutex
	keys map[string]struct{}
}

func newNodeAddresses(a node.Addresses) *nodeAddresses {
	return &nodeAddresses{Addresses: a, keys: map[string]struct{}{}}
}

func (s *nodeAddresses) note(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[key] = struct{}{}
}

func (s *nodeAddresses) Allocate(key string) (netip.Addr, error) {
	addr, err := s.Addresses.Allocate(key)
	if err == nil {
		s.note(key)
	}
	return addr, err
}

func (s *nodeAddresses) Reserve(key string, addr netip.Addr) error {
	err := s.Addresses.Reserve(key, addr)
	if err == nil {
		s.note(key)
	}
	return err
}

func (s *nodeAddresses) Release(key string) {
	s.Addresses.Release(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, key)
}

func (s *nodeAddresses) releaseAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.keys {
		s.Addresses.Release(key)
	}
	clear(s.keys)
}
