package describe

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"

	"skiff/cli/client"
)

func service(p *page, o *corev1.Service) error {
	p.meta(o)
	spec := &o.Spec
	p.field("Selector", labels.FormatLabels(spec.Selector))
	p.field("Type", spec.Type)
	whenSet(p.sheet, "IP Family Policy", spec.IPFamilyPolicy)
	var families []string
	for _, f := range spec.IPFamilies {
		families = append(families, string(f))
	}
	p.field("IP Families", orNone(strings.Join(families, ",")))
	p.field("IP", spec.ClusterIP)
	p.field("IPs", orNone(strings.Join(spec.ClusterIPs, ",")))
	nonEmpty(p.sheet, "External IPs", strings.Join(spec.ExternalIPs, ","))
	nonEmpty(p.sheet, "Desired LoadBalancer IP", spec.LoadBalancerIP)
	nonEmpty(p.sheet, "External Name", spec.ExternalName)
	nonEmpty(p.sheet, "LoadBalancer Ingress", ingresses(o.Status.LoadBalancer.Ingress))
	slices, err := listOf[discoveryv1.EndpointSlice](p, "discovery.k8s.io", "EndpointSlice", client.ListOptions{Labels: discoveryv1.LabelServiceName + "=" + o.Name})
	if err != nil {
		slices = nil
	}
	for i := range spec.Ports {
		p.servicePort(&spec.Ports[i], slices)
	}
	p.field("Session Affinity", spec.SessionAffinity)
	nonEmpty(p.sheet, "External Traffic Policy", spec.ExternalTrafficPolicy)
	whenSet(p.sheet, "Internal Traffic Policy", spec.InternalTrafficPolicy)
	if spec.HealthCheckNodePort != 0 {
		p.field("HealthCheck NodePort", spec.HealthCheckNodePort)
	}
	nonEmpty(p.sheet, "LoadBalancer Source Ranges", strings.Join(spec.LoadBalancerSourceRanges, ","))
	whenSet(p.sheet, "Traffic Distribution", spec.TrafficDistribution)
	p.events(o, "Service")
	return nil
}

func (s *sheet) servicePort(sp *corev1.ServicePort, slices []discoveryv1.EndpointSlice) {
	name := sp.Name
	if name == "" {
		name = unset
	}
	s.line("Port:\t%s\t%d/%s", name, sp.Port, sp.Protocol)
	s.field("TargetPort", fmt.Sprintf("%s/%s", sp.TargetPort.String(), sp.Protocol))
	whenSet(s, "AppProtocol", sp.AppProtocol)
	if sp.NodePort != 0 {
		s.line("NodePort:\t%s\t%d/%s", name, sp.NodePort, sp.Protocol)
	}
	s.field("Endpoints", sliceAddresses(slices, sp.Name))
}

func ingresses(all []corev1.LoadBalancerIngress) string {
	var out []string
	for _, i := range all {
		text := i.Hostname
		if i.IP != "" {
			text = i.IP
			if i.IPMode != nil {
				text += fmt.Sprintf(" (%s)", *i.IPMode)
			}
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

// shownAddresses is how many of a service's addresses are named.
const shownAddresses = 3

// sliceAddresses lists where a service's port leads: ready addresses, a few of them.
func sliceAddresses(slices []discoveryv1.EndpointSlice, port string) string {
	if len(slices) == 0 {
		return none
	}
	var all []string
	for _, s := range slices {
		if len(s.Ports) == 0 {
			all = append(all, readyAddresses(s.Endpoints, "")...)
		}
		for _, p := range s.Ports {
			if p.Name != nil && *p.Name == port && p.Port != nil {
				all = append(all, readyAddresses(s.Endpoints, strconv.Itoa(int(*p.Port)))...)
			}
		}
	}
	if len(all) > shownAddresses {
		return fmt.Sprintf("%s + %d more...", strings.Join(all[:shownAddresses], ","), len(all)-shownAddresses)
	}
	return strings.Join(all, ",")
}

func readyAddresses(all []discoveryv1.Endpoint, port string) []string {
	var out []string
	for _, e := range all {
		if len(e.Addresses) == 0 || (e.Conditions.Ready != nil && !*e.Conditions.Ready) {
			continue
		}
		addr := e.Addresses[0]
		if port != "" {
			addr = net.JoinHostPort(addr, port)
		}
		out = append(out, addr)
	}
	return out
}

func endpoints(p *page, o *corev1.Endpoints) error {
	p.meta(o)
	p.title("Subsets")
	for i := range o.Subsets {
		p.in(func() { p.subset(&o.Subsets[i]) })
		p.text("\n")
	}
	p.events(o, "Endpoints")
	return nil
}

func (s *sheet) subset(sub *corev1.EndpointSubset) {
	for _, part := range []struct {
		name string
		all  []corev1.EndpointAddress
	}{{"Addresses", sub.Addresses}, {"NotReadyAddresses", sub.NotReadyAddresses}} {
		var ips []string
		for _, a := range part.all {
			ips = append(ips, a.IP)
		}
		s.field(part.name, orNone(strings.Join(ips, ",")))
	}
	if len(sub.Ports) == 0 {
		return
	}
	s.title("Ports")
	s.in(func() {
		s.line("Name\tPort\tProtocol")
		s.line("----\t----\t--------")
		for _, port := range sub.Ports {
			name := port.Name
			if name == "" {
				name = unset
			}
			s.line("%s\t%d\t%s", name, port.Port, port.Protocol)
		}
	})
}

func endpointSlice(p *page, o *discoveryv1.EndpointSlice) error {
	p.meta(o)
	p.field("AddressType", o.AddressType)
	if len(o.Ports) == 0 {
		p.line("Ports: %s", unset)
	} else {
		p.title("Ports")
		p.in(func() { p.slicePorts(o.Ports) })
	}
	if len(o.Endpoints) == 0 {
		p.line("Endpoints: %s", none)
	} else {
		p.title("Endpoints")
	}
	for i := range o.Endpoints {
		p.endpoint(&o.Endpoints[i])
	}
	p.events(o, "EndpointSlice")
	return nil
}

func (s *sheet) slicePorts(all []discoveryv1.EndpointPort) {
	s.line("Name\tPort\tProtocol")
	s.line("----\t----\t--------")
	for _, port := range all {
		name, number, protocol := unset, unset, unset
		if port.Name != nil && *port.Name != "" {
			name = *port.Name
		}
		if port.Port != nil {
			number = strconv.Itoa(int(*port.Port))
		}
		if port.Protocol != nil {
			protocol = string(*port.Protocol)
		}
		s.line("%s\t%s\t%s", name, number, protocol)
	}
}

func (s *sheet) endpoint(e *discoveryv1.Endpoint) {
	s.in(func() { s.field("- Addresses", orNone(strings.Join(e.Addresses, ", "))) })
	s.at(2, func() {
		s.title("Conditions")
		s.in(func() { optional(s, "Ready", e.Conditions.Ready, "%t") })
		optional(s, "Hostname", e.Hostname, "%s")
		if e.TargetRef != nil {
			s.field("TargetRef", e.TargetRef.Kind+"/"+e.TargetRef.Name)
		}
		optional(s, "NodeName", e.NodeName, "%s")
		optional(s, "Zone", e.Zone, "%s")
	})
}
