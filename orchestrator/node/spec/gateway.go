package spec

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"skiff/manifests/podfacts"
)

// WithGateway is the pod with the host aliases that podfacts.GatewayAnnotation asks for, which lead to the
// node. A pod without them is returned as it is.
func WithGateway(pod *corev1.Pod, node string) *corev1.Pod {
	var names []string
	for name := range strings.SplitSeq(pod.Annotations[podfacts.GatewayAnnotation], ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	if len(names) == 0 || node == "" {
		return pod
	}
	with := pod.DeepCopy()
	with.Spec.HostAliases = append(with.Spec.HostAliases, corev1.HostAlias{IP: node, Hostnames: names})
	return with
}
