package fleet

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// What a Node object says of the node that is wanted. `skiff node` writes the same
// keys; anybody else may.
const (
	// LabelVirtual is "true" on nodes that are run here beside the machine's own.
	LabelVirtual = "skiff/virtual"
	// LabelSimulated is "true" on virtual nodes whose pods run in memory only.
	LabelSimulated = "skiff/simulated"
	// AnnotationPower is "off" on virtual nodes that have failed.
	AnnotationPower = "skiff/power"
	// AnnotationCapacity is what a virtual node has to give in place of what the
	// machine has, as in "pods=110,cpu=4,memory=8Gi".
	AnnotationCapacity = "skiff/capacity"
)

// Virtual tells whether a node is one that the fleet runs.
func Virtual(n *corev1.Node) bool { return n.Labels[LabelVirtual] == "true" }

// Simulated tells whether a virtual node's pods run in memory only.
func Simulated(n *corev1.Node) bool { return n.Labels[LabelSimulated] == "true" }

func off(n *corev1.Node) bool { return n.Annotations[AnnotationPower] == "off" }

// capacity reads the node's annotation.
func capacity(n *corev1.Node) (corev1.ResourceList, error) {
	text := n.Annotations[AnnotationCapacity]
	if text == "" {
		return nil, nil
	}
	list := corev1.ResourceList{}
	for _, pair := range strings.Split(text, ",") {
		name, value, _ := strings.Cut(pair, "=")
		q, err := resource.ParseQuantity(value)
		if err != nil || name == "" || q.Sign() < 0 {
			return nil, fmt.Errorf("annotation %s of node %s: %q is not a resource and its quantity, as pods=110", AnnotationCapacity, n.Name, pair)
		}
		list[corev1.ResourceName(name)] = q
	}
	return list, nil
}
