package quota

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"skiff/manifests"
	"skiff/store"
)

var serviceMeter = meter{
	counts: func(name corev1.ResourceName) bool { return slices.Contains(serviceResources, name) },
	usage:  serviceUsage,
	// A service's type can change.
	changes: func(_, _ store.Object, subresource string) bool { return subresource == manifests.SubresourceNone },
}

var serviceCount = countName(schema.GroupResource{Resource: "services"})

var serviceResources = []corev1.ResourceName{
	serviceCount, corev1.ResourceServices, corev1.ResourceServicesNodePorts, corev1.ResourceServicesLoadBalancers,
}

func serviceUsage(obj store.Object, _ time.Time) corev1.ResourceList {
	s := obj.(*corev1.Service)
	balancers := 0
	if s.Spec.Type == corev1.ServiceTypeLoadBalancer {
		balancers = 1
	}
	return corev1.ResourceList{
		serviceCount:                         pieces(1),
		corev1.ResourceServices:              pieces(1),
		corev1.ResourceServicesLoadBalancers: pieces(balancers),
		corev1.ResourceServicesNodePorts:     pieces(nodePorts(s)),
	}
}

// nodePorts are those a service has or will be given.
func nodePorts(s *corev1.Service) int {
	switch {
	case s.Spec.Type == corev1.ServiceTypeNodePort:
		return len(s.Spec.Ports)
	case s.Spec.Type != corev1.ServiceTypeLoadBalancer:
		return 0
	case ptr.Deref(s.Spec.AllocateLoadBalancerNodePorts, true):
		return len(s.Spec.Ports)
	}
	asked := 0
	for _, port := range s.Spec.Ports {
		if port.NodePort != 0 {
			asked++
		}
	}
	return asked
}
