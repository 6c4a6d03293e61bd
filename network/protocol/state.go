package protocol

import (
	"net/netip"
	"time"
)

// Protocols of ports.
const (
	TCP = "tcp"
	UDP = "udp"
)

// Key names a service.
type Key struct{ Namespace, Name string }

// String is "namespace/name".
func (k Key) String() string { return k.Namespace + "/" + k.Name }

// Service is where a name and its addresses lead. The daemon has decided everything that is policy:
// the router sends what comes to an address to one of the endpoints that are listed for it.
type Service struct {
	Key
	// Addresses are the service's cluster IPs. A service without any is headless, unless it has an
	// ExternalName.
	Addresses []netip.Addr `json:",omitempty"`
	// External are further addresses at which it answers on its ports: externalIPs, and those of a
	// load balancer.
	External []netip.Addr `json:",omitempty"`
	// Aliases are further names of the service in its namespace, in lower case. A service whose own name
	// one is goes before.
	Aliases []string `json:",omitempty"`
	// ExternalName is the name that the service's is an alias of, empty for none.
	ExternalName string `json:",omitempty"`
	// Affinity is for how long a client stays with the endpoint it had, 0 for no time.
	Affinity time.Duration `json:",omitempty"`
	Ports    []Port        `json:",omitempty"`
	// Hosts are what a headless service's name stands for.
	Hosts []Host `json:",omitempty"`
	// HealthCheck is the port of the nodes' addresses at which HTTP says whether the node has an
	// endpoint for traffic from outside, 0 for none.
	HealthCheck uint16 `json:",omitempty"`
}

// Port is one of a service's.
type Port struct {
	// Name is empty for one that has none.
	Name string `json:",omitempty"`
	// Protocol is TCP or UDP.
	Protocol string
	Port     uint16
	// NodePort is the port of the nodes' addresses that leads here too, 0 for none.
	NodePort uint16 `json:",omitempty"`
	// Endpoints are where traffic goes. Without any, it is refused.
	Endpoints []netip.AddrPort `json:",omitempty"`
	// From are the endpoints for clients on nodes for which they are others, by the node's name.
	// What a client sends for which the list is empty is dropped.
	From map[string][]netip.AddrPort `json:",omitempty"`
	// At are the endpoints for what comes to a node's own address, by the node's name, where they
	// are others than Endpoints. What comes to a node whose list is empty is dropped.
	At map[string][]netip.AddrPort `json:",omitempty"`
}

// Host is an address behind a headless service.
type Host struct {
	// Name is its label below the service's name, empty for one made of the address.
	Name    string `json:",omitempty"`
	Address netip.Addr
}

// Node is a node as far as the network knows it.
type Node struct {
	Name string
	// Address is one of Config.Nodes, by which the router tells nodes apart, and at which it serves
	// node ports.
	Address netip.Addr
	// Machine says that the node is the engine's machine: what comes to its address and is no node
	// port goes there.
	Machine bool `json:",omitempty"`
	// Pods are the addresses of its pods. They are told only while there is a service for which it
	// matters where a client is. A client that is no node's pod counts as the machine's.
	Pods []netip.Addr `json:",omitempty"`
}
