package fleet

import (
	"fmt"
	"strings"

	"skiff/manifests/nodefacts"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// capacity reads the node's annotation.
func capacity(n *corev1.Node) (corev1.ResourceList, error) {
	text := n.Annotations[nodefacts.AnnotationCapacity]
	if text == "" {
		return nil, nil
	}
	list := corev1.ResourceList{}
	for _, pair := range strings.Split(text, ",") {
		name, value, _ := strings.Cut(pair, "=")
		q, err := resource.ParseQuantity(value)
		if err != nil || name == "" || q.Sign() < 0 {
			return nil, fmt.Errorf("annotation %s of node %s: %q is not a resource and its quantity, as pods=110", nodefacts.AnnotationCapacity, n.Name, pair)
		}
		list[corev1.ResourceName(name)] = q
	}
	return list, nil
}
