package daemon

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"

	"skiff/docker"
	"skiff/network"
)

// networkedEngine is the engine with the addresses of the instance's network, which are not known
// before the engine's first answer.
type networkedEngine struct {
	*docker.Engine
	// nodeIP is the InternalIP of a stored Node, the zero value if there is no such node or it has
	// none.
	nodeIP func(name string) netip.Addr

	// making is held while the network is looked for and created, so that concurrent starts create
	// one.
	making sync.Mutex

	mu     sync.Mutex
	layout docker.Layout
	// here says that the network's bridge is on this machine.
	here  bool
	pods  *docker.Addresses
	nodes map[netip.Addr]string
	// former are addresses outside of the part for pods that containers have had since before the
	// network was divided.
	former []netip.Addr
}

var errNoNetwork = errors.New("the instance's network has not been made yet")

// EnsureNetwork creates the network unless it exists, and learns its addresses when they are new.
func (e *networkedEngine) EnsureNetwork(ctx context.Context) (docker.Layout, error) {
	e.making.Lock()
	defer e.making.Unlock()
	layout, err := e.Engine.EnsureNetwork(ctx)
	if err != nil || layout == e.Layout() {
		return layout, err
	}
	// The agents have not taken the containers over yet when the router is told what it must not
	// answer for.
	containers, err := e.Engine.List(ctx)
	if err != nil {
		return docker.Layout{}, err
	}
	e.learn(layout, containers)
	return layout, nil
}

// learn takes a new layout in. What has been given of the network before remains given if the router
// alone has moved.
func (e *networkedEngine) learn(l docker.Layout, containers []docker.Container) {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := e.layout
	before.Router = l.Router
	if before != l {
		e.pods, e.nodes, e.former = docker.PodAddresses(l), map[netip.Addr]string{}, nil
		for i := range containers {
			if at := containers[i].IP; l.Subnet.Contains(at) && !l.Pods.Contains(at) {
				e.former = append(e.former, at)
			}
		}
	}
	delete(e.nodes, l.Router)
	e.layout, e.here = l, network.OwnAddress(l.Gateway)
}

// Layout is the network's, the zero value while it is not known.
func (e *networkedEngine) Layout() docker.Layout {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.layout
}

// Here reports whether the network is known and its bridge on this machine.
func (e *networkedEngine) Here() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.here
}

// Arch implements network.Engine.
func (e *networkedEngine) Arch(ctx context.Context) (string, error) {
	info, err := e.Info(ctx)
	return info.Arch, err
}

// Elsewhere implements network.Engine.
func (e *networkedEngine) Elsewhere() []netip.Addr {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.pods == nil {
		return nil
	}
	list := append(e.pods.Elsewhere(), e.former...)
	slices.SortFunc(list, netip.Addr.Compare)
	return slices.Compact(list)
}

// NodeAddress is a node's address in the network, invalid while that is not known. A node keeps the
// address that its object has; a new one gets one that no other node has.
func (e *networkedEngine) NodeAddress(name string) netip.Addr {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.layout.Nodes.IsValid() {
		return netip.Addr{}
	}
	if has := e.nodeIP(name); e.layout.IsNode(has) && (e.nodes[has] == "" || e.nodes[has] == name) {
		e.nodes[has] = name
		return has
	}
	for at, owner := range e.nodes {
		if owner == name {
			return at
		}
	}
	at := e.freeNodeAddress(func(owner string) bool { return owner == "" })
	if !at.IsValid() { // addresses of nodes that are gone are given again only when there are no others
		at = e.freeNodeAddress(func(owner string) bool { return !e.nodeIP(owner).IsValid() })
	}
	if at.IsValid() {
		e.nodes[at] = name
	}
	return at
}

// freeNodeAddress is the first whose owner's address is free to take. e.mu is held.
func (e *networkedEngine) freeNodeAddress(free func(owner string) bool) netip.Addr {
	for at := e.layout.Nodes.Addr(); e.layout.Nodes.Contains(at); at = at.Next() {
		if e.layout.IsNode(at) && !e.pods.Has(at) && !slices.Contains(e.former, at) && free(e.nodes[at]) {
			return at
		}
	}
	return netip.Addr{}
}

// List ensures the network first: whoever takes over the listed containers reserves their
// addresses.
func (e *networkedEngine) List(ctx context.Context) ([]docker.Container, error) {
	if _, err := e.known(); err != nil {
		if _, err := e.EnsureNetwork(ctx); err != nil {
			return nil, err
		}
	}
	return e.Engine.List(ctx)
}

func (e *networkedEngine) known() (*docker.Addresses, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.pods == nil {
		return nil, errNoNetwork
	}
	return e.pods, nil
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
