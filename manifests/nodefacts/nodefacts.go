// Package nodefacts is what a Node object alone says of a node: the keys by which people describe the
// node that they want, and where it is.
package nodefacts

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
)

// What a Node object says of the node that is wanted. `skiff node` writes these keys, and so may
// any other client.
const (
	// LabelVirtual is "true" on nodes that run beside the machine's own.
	LabelVirtual = "skiff/virtual"
	// LabelSimulated is "true" on virtual nodes whose pods run in memory only.
	LabelSimulated = "skiff/simulated"
	// AnnotationPower is "off" on virtual nodes that have failed.
	AnnotationPower = "skiff/power"
	// AnnotationPowerObserved is "off" on those that have failed and of which no container runs any
	// more. The fleet sets it, and takes it away when it starts the node.
	AnnotationPowerObserved = "skiff/power-observed"
	// AnnotationCapacity is a virtual node's capacity in place of the machine's, for example
	// "pods=110,cpu=4,memory=8Gi".
	AnnotationCapacity = "skiff/capacity"
)

// Virtual reports whether a node is one that runs beside the machine's own.
func Virtual(n *corev1.Node) bool { return n.Labels[LabelVirtual] == "true" }

// Simulated reports whether a node's pods run in memory only.
func Simulated(n *corev1.Node) bool { return n.Labels[LabelSimulated] == "true" }

// Off reports whether a node is wanted to have failed.
func Off(n *corev1.Node) bool { return n.Annotations[AnnotationPower] == "off" }

// InternalIP is a node's first address of that type, the zero value if it has told none yet.
func InternalIP(n *corev1.Node) netip.Addr {
	for _, a := range n.Status.Addresses {
		if a.Type != corev1.NodeInternalIP {
			continue
		}
		if ip, err := netip.ParseAddr(a.Address); err == nil {
			return ip
		}
	}
	return netip.Addr{}
}
