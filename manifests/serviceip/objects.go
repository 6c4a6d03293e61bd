package serviceip

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// DefaultCIDR is the ServiceCIDR that every cluster has: that of the Service of the API
	// (k8s.io/kubernetes/pkg/controlplane/controller/defaultservicecidr).
	DefaultCIDR = "kubernetes"
	// Finalizer keeps a ServiceCIDR for as long as services have addresses of it
	// (k8s.io/kubernetes/pkg/controller/servicecidrs).
	Finalizer = "networking.k8s.io/service-cidr-finalizer"
	// Manager is who manages the IPAddresses of services, in their label
	// networkingv1.LabelManagedBy.
	Manager = "ipallocator.k8s.io"

	readyMessage = "Kubernetes Service CIDR is ready"
)

// Ranges are the ranges that a ServiceCIDR names.
func Ranges(c *networkingv1.ServiceCIDR) []netip.Prefix {
	var ranges []netip.Prefix
	for _, text := range c.Spec.CIDRs {
		if p, err := netip.ParsePrefix(text); err == nil {
			ranges = append(ranges, p)
		}
	}
	return ranges
}

// IPv4 is the IPv4 range that a ServiceCIDR names, and whether it names one.
func IPv4(c *networkingv1.ServiceCIDR) (netip.Prefix, bool) {
	for _, p := range Ranges(c) {
		if p.Addr().Is4() {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// Ready reports whether services may get addresses of a ServiceCIDR.
func Ready(c *networkingv1.ServiceCIDR) bool {
	return c.DeletionTimestamp == nil && meta.IsStatusConditionTrue(c.Status.Conditions, networkingv1.ServiceCIDRConditionReady)
}

// IsReady is the condition of a ServiceCIDR whose addresses services may get. Upstream gives no
// reason in it.
func IsReady(since metav1.Time) metav1.Condition {
	return metav1.Condition{
		Type: networkingv1.ServiceCIDRConditionReady, Status: metav1.ConditionTrue, Message: readyMessage, LastTransitionTime: since,
	}
}

// Of are a service's addresses inside the cluster. A service without any, or whose name stands for
// another host, has none.
func Of(s *corev1.Service) []netip.Addr {
	var all []netip.Addr
	for _, text := range s.Spec.ClusterIPs {
		if a, err := netip.ParseAddr(text); err == nil {
			all = append(all, a)
		}
	}
	return all
}

// Managed reports whether an IPAddress follows a service. Any other one keeps its address for
// somebody else.
func Managed(a *networkingv1.IPAddress) bool { return a.Labels[networkingv1.LabelManagedBy] == Manager }
