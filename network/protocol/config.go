// Package protocol is what the daemon and its router say to each other: the desired state of the
// network as the daemon tells it, and the first words of each stream of the tunnel between them. It
// knows nothing of Kubernetes' types and nothing of how either side does its part.
package protocol

import "net/netip"

// Version is that of the messages. A router of another version is replaced.
const Version = 1

// Ports of the router at its own address.
const (
	// DNSPort is where the router answers DNS, by UDP and TCP.
	DNSPort = 53
	// APIPort is where it takes pods' connections to the Kubernetes API, which it hands to the
	// daemon.
	APIPort = 6443
	// DoorPort is where the front door takes HTTP and HTTPS, which it tells apart by the first byte.
	// Each connection begins with a line of the PROXY protocol (version 1), by which the daemon says
	// who calls.
	DoorPort = 7480
)

// Config is what a router knows of its network. It is told once a session, before anything else.
type Config struct {
	// Subnet is the bridge network's, Gateway the address in it that the engine's machine has, and
	// Router the router's own.
	Subnet  netip.Prefix
	Gateway netip.Addr
	Router  netip.Addr
	// Pods, Shadows, Services and Nodes are parts of Subnet. A pod has its shadow at the same place
	// of Shadows: the address that its connections to services come from, as their endpoints see it.
	// Both parts are of one size.
	Pods, Shadows, Services, Nodes netip.Prefix
	// Kept are addresses in Shadows, Services and Nodes that belong to containers which were there before
	// the network was divided. The router does not answer for them.
	Kept []netip.Addr `json:",omitempty"`
	// Domain is the cluster's, without a dot at its end: "cluster.local".
	Domain string
}

// Shadow is the address that stands for a pod's in connections to services. ok is false for what is
// no pod's address: those connections come from the router's own.
func (c *Config) Shadow(pod netip.Addr) (shadow netip.Addr, ok bool) {
	if !c.Pods.Contains(pod) || !pod.Is4() {
		return netip.Addr{}, false
	}
	a, mask := pod.As4(), c.Mask()
	for i := range a {
		a[i] ^= mask[i]
	}
	return netip.AddrFrom4(a), true
}

// Mask is what a pod's address and its shadow's differ in: one is the other XOR the mask.
func (c *Config) Mask() [4]byte {
	a, b := c.Pods.Masked().Addr().As4(), c.Shadows.Masked().Addr().As4()
	for i := range a {
		a[i] ^= b[i]
	}
	return a
}
