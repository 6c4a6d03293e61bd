package daemon

import (
	"context"
	"errors"
	"net/netip"
	"sync"

	"skiff/docker"
)

// networkedEngine is the engine together with the addresses of the instance's network, which are not known before the engine
// answers for the first time.
type networkedEngine struct {
	*docker.Engine

	// making is held while the network is looked for and made, so that many starts at once make one.
	making sync.Mutex

	mu        sync.Mutex
	prefix    netip.Prefix
	addresses *docker.Addresses
}

var errNoNetwork = errors.New("the instance's network has not been made yet")

// EnsureNetwork makes the network unless it is there, and learns its addresses when they are new.
func (e *networkedEngine) EnsureNetwork(ctx context.Context) (netip.Prefix, netip.Addr, error) {
	e.making.Lock()
	defer e.making.Unlock()
	prefix, gateway, err := e.Engine.EnsureNetwork(ctx)
	if err != nil {
		return prefix, gateway, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.prefix != prefix {
		e.prefix, e.addresses = prefix, docker.NewAddresses(prefix, gateway)
	}
	return prefix, gateway, nil
}

// List makes sure of the network first: whoever takes over the listed containers wants their addresses reserved.
func (e *networkedEngine) List(ctx context.Context) ([]docker.Container, error) {
	if _, err := e.known(); err != nil {
		if _, _, err := e.EnsureNetwork(ctx); err != nil {
			return nil, err
		}
	}
	return e.Engine.List(ctx)
}

func (e *networkedEngine) known() (*docker.Addresses, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.addresses == nil {
		return nil, errNoNetwork
	}
	return e.addresses, nil
}

// Allocate implements node.Addresses.
func (e *networkedEngine) Allocate(key string) (netip.Addr, error) {
	a, err := e.known()
	if err != nil {
		return netip.Addr{}, err
	}
	return a.Allocate(key)
}

// Reserve implements node.Addresses.
func (e *networkedEngine) Reserve(key string, addr netip.Addr) error {
	a, err := e.known()
	if err != nil {
		return err
	}
	return a.Reserve(key, addr)
}

// Release implements node.Addresses.
func (e *networkedEngine) Release(key string) {
	if a, err := e.known(); err == nil {
		a.Release(key)
	}
}
