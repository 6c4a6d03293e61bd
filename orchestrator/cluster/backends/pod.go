package backends

import (
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"skiff/manifests/podfacts"
)

// Address returns the pod's first address of a family, in its usual form.
func Address(p *corev1.Pod, family corev1.IPFamily) (ip string, ok bool) {
	for _, of := range p.Status.PodIPs {
		address, err := netip.ParseAddr(of.IP)
		if err == nil && address.Unmap().Is4() == (family == corev1.IPv4Protocol) {
			return address.Unmap().String(), true
		}
	}
	return "", false
}

// Port returns the number of the pod's port that a Service's port leads to. A named target port is
// that of a container, or of a sidecar, which has the same protocol; ok is false for a pod that has
// none of the name.
func Port(p *corev1.Pod, s *corev1.ServicePort) (port int32, ok bool) {
	if s.TargetPort.Type == intstr.Int {
		return s.TargetPort.IntVal, true
	}
	for i := range p.Spec.Containers {
		if port, ok := named(&p.Spec.Containers[i], s); ok {
			return port, true
		}
	}
	for i := range p.Spec.InitContainers {
		c := &p.Spec.InitContainers[i]
		if !podfacts.IsSidecar(c) {
			continue
		}
		if port, ok := named(c, s); ok {
			return port, true
		}
	}
	return 0, false
}

func named(c *corev1.Container, s *corev1.ServicePort) (int32, bool) {
	for _, port := range c.Ports {
		if port.Name == s.TargetPort.StrVal && port.Protocol == s.Protocol {
			return port.ContainerPort, true
		}
	}
	return 0, false
}

// Hostname is the name that the pod has beneath the Service, in DNS; empty if it has none.
func Hostname(p *corev1.Pod, s *corev1.Service) string {
	if p.Spec.Subdomain == s.Name && p.Namespace == s.Namespace {
		return p.Spec.Hostname
	}
	return ""
}

// Reference is how an endpoint names the pod that it is.
func Reference(p *corev1.Pod) *corev1.ObjectReference {
	return &corev1.ObjectReference{Kind: "Pod", Namespace: p.Namespace, Name: p.Name, UID: p.UID}
}

// Triggered is the time of a pod's change that is seen in endpoints: when it became ready or ceased
// to be. It is zero for a pod that does not say.
func Triggered(p *corev1.Pod) time.Time {
	if c := podfacts.Condition(p, corev1.PodReady); c != nil {
		return c.LastTransitionTime.Time
	}
	return time.Time{}
}

// Earlier is the earlier of two times. A zero time does not count.
func Earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Headless reports whether a Service has no address of its own.
func Headless(s *corev1.Service) bool {
	return s.Spec.ClusterIP == "" || s.Spec.ClusterIP == corev1.ClusterIPNone
}

// LeadsToPods reports whether a Service's endpoints are the pods that it selects. Those of one
// without a selector are written by others, and an ExternalName has none.
func LeadsToPods(s *corev1.Service) bool {
	return len(s.Spec.Selector) > 0 && s.Spec.Type != corev1.ServiceTypeExternalName
}
