package publishing

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	network "skiff/network/protocol"
	"skiff/network/publish"
)

// Class is the loadBalancerClass of services whose load balancer is skiff, which those without a
// class have too.
const Class = "skiff"

// snapshot is what decides which ports of this machine a service has.
type snapshot struct {
	service *corev1.Service
	// at is the address to listen on, inside that on which pods find node ports, and node where the
	// router serves those. The latter are invalid while the network is not known.
	at, inside, node netip.Addr
}

// plan is the ports to open.
type plan []publish.Port

// String is a port a line, and where it leads.
func (p plan) String() string {
	lines := make([]string, len(p))
	for i, port := range p {
		lines[i] = fmt.Sprintf("%s -> %s", port, port.To)
	}
	return strings.Join(lines, "\n")
}

// makePlan decides which ports a service has on this machine: its node ports, and, if skiff is its
// load balancer, its own.
func makePlan(s snapshot) plan {
	spec := &s.service.Spec
	cluster, err := netip.ParseAddr(spec.ClusterIP)
	if s.service.DeletionTimestamp != nil || err != nil {
		return nil
	}
	var out plan
	for i := range spec.Ports {
		port := &spec.Ports[i]
		protocol := strings.ToLower(string(port.Protocol))
		if port.Protocol == corev1.ProtocolSCTP {
			continue
		}
		// By way of the node port what comes from outside is told apart, as externalTrafficPolicy wants.
		to := netip.AddrPortFrom(cluster, uint16(port.Port))
		if port.NodePort != 0 && s.node.IsValid() {
			to = netip.AddrPortFrom(s.node, uint16(port.NodePort))
		}
		if hasNodePorts(spec) && port.NodePort != 0 {
			out = append(out, publish.Port{Protocol: protocol, At: netip.AddrPortFrom(s.at, uint16(port.NodePort)), To: to})
			if s.inside.IsValid() {
				out = append(out, publish.Port{Protocol: protocol, At: netip.AddrPortFrom(s.inside, uint16(port.NodePort)), To: to})
			}
		}
		if Balances(s.service) {
			out = append(out, publish.Port{Protocol: protocol, At: netip.AddrPortFrom(s.at, uint16(port.Port)), To: to})
		}
	}
	if check := spec.HealthCheckNodePort; check != 0 && s.node.IsValid() {
		for _, at := range []netip.Addr{s.at, s.inside} {
			if at.IsValid() {
				out = append(out, publish.Port{Protocol: network.TCP, At: netip.AddrPortFrom(at, uint16(check)), To: netip.AddrPortFrom(s.node, uint16(check))})
			}
		}
	}
	// Ports of one number lead to one place, the first.
	seen := map[string]bool{}
	return slices.DeleteFunc(out, func(p publish.Port) bool {
		again := seen[p.String()]
		seen[p.String()] = true
		return again
	})
}

func hasNodePorts(spec *corev1.ServiceSpec) bool {
	return spec.Type == corev1.ServiceTypeNodePort || spec.Type == corev1.ServiceTypeLoadBalancer
}

// Balances reports whether skiff is a service's load balancer.
func Balances(s *corev1.Service) bool {
	return s.Spec.Type == corev1.ServiceTypeLoadBalancer && ptr.Deref(s.Spec.LoadBalancerClass, Class) == Class
}

// balancerStatus is the status of a service's load balancer, when its ports are as results say. A
// balancer none of whose ports is open has no address.
func balancerStatus(s *corev1.Service, at netip.Addr, results []publish.Result) corev1.LoadBalancerStatus {
	var ports []corev1.PortStatus
	open := false
	for i := range s.Spec.Ports {
		port := &s.Spec.Ports[i]
		status := corev1.PortStatus{Port: port.Port, Protocol: port.Protocol}
		switch err, found := resultOf(results, port, at); {
		case port.Protocol == corev1.ProtocolSCTP:
			status.Error = ptr.To("SCTPNotSupported")
		case !found:
			continue
		case err != nil:
			status.Error = ptr.To(ReasonNotPublished)
		default:
			open = true
		}
		ports = append(ports, status)
	}
	if !open {
		return corev1.LoadBalancerStatus{}
	}
	return corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{
		IP: at.String(), IPMode: ptr.To(corev1.LoadBalancerIPModeProxy), Ports: ports,
	}}}
}

// resultOf is what became of a load balancer's port.
func resultOf(results []publish.Result, port *corev1.ServicePort, at netip.Addr) (err error, found bool) {
	for _, r := range results {
		if r.At == netip.AddrPortFrom(at, uint16(port.Port)) && r.Protocol == strings.ToLower(string(port.Protocol)) {
			return r.Err, true
		}
	}
	return nil, false
}
