package routes

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"

	"skiff/network/protocol"
)

// endpoint is a place that a port of a service can lead to.
type endpoint struct {
	at    netip.AddrPort
	node  string
	hints *discoveryv1.EndpointHints
	// ready and draining are kube-proxy's: a draining endpoint ends, but still serves.
	ready, draining bool
}

func ready(e *discoveryv1.Endpoint) bool { return ptr.Deref(e.Conditions.Ready, true) }

func draining(e *discoveryv1.Endpoint) bool {
	return ptr.Deref(e.Conditions.Serving, ready(e)) && ptr.Deref(e.Conditions.Terminating, false)
}

// port decides where one of the service's ports leads.
func (s *snapshot) port(p *corev1.ServicePort) protocol.Port {
	out := protocol.Port{Name: p.Name, Protocol: strings.ToLower(string(p.Protocol)), Port: uint16(p.Port)}
	if out.Protocol == "" {
		out.Protocol = protocol.TCP
	}
	all := s.endpoints(p)
	out.Endpoints = chosen(all)
	spec := &s.service.Spec
	if len(clusterIPs(spec)) == 0 {
		return out
	}
	out.From = s.from(all, out.Endpoints)
	if spec.Type != corev1.ServiceTypeNodePort && spec.Type != corev1.ServiceTypeLoadBalancer {
		return out
	}
	out.NodePort = uint16(p.NodePort)
	if spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
		out.At = map[string][]netip.AddrPort{}
		for _, n := range s.nodes {
			if n.name != s.machine {
				out.At[n.name] = chosen(on(all, n.name))
			}
		}
	}
	return out
}

// from are the endpoints for clients on nodes where they are not those of everybody.
func (s *snapshot) from(all []endpoint, everybody []netip.AddrPort) map[string][]netip.AddrPort {
	local := ptr.Deref(s.service.Spec.InternalTrafficPolicy, corev1.ServiceInternalTrafficPolicyCluster) == corev1.ServiceInternalTrafficPolicyLocal
	var out map[string][]netip.AddrPort
	for _, n := range s.nodes {
		list := everybody
		if local {
			list = chosen(on(all, n.name))
		} else if near := nearest(all, n); len(near) > 0 {
			list = near
		}
		if slices.Equal(list, everybody) {
			continue
		}
		if out == nil {
			out = map[string][]netip.AddrPort{}
		}
		out[n.name] = list
	}
	return out
}

// nearest are the ready endpoints that hints reserve for a node, or else for its zone; none if not
// every ready endpoint has such hints (k8s.io/kubernetes/pkg/proxy/topology.go).
func nearest(all []endpoint, n node) []netip.AddrPort {
	for _, hinted := range []func(*discoveryv1.EndpointHints) (found, any bool){
		func(h *discoveryv1.EndpointHints) (bool, bool) {
			return slices.ContainsFunc(h.ForNodes, func(f discoveryv1.ForNode) bool { return f.Name == n.name }), len(h.ForNodes) > 0
		},
		func(h *discoveryv1.EndpointHints) (bool, bool) {
			return n.zone != "" && slices.ContainsFunc(h.ForZones, func(f discoveryv1.ForZone) bool { return f.Name == n.zone }), len(h.ForZones) > 0
		},
	} {
		var list []netip.AddrPort
		complete := true
		for _, e := range all {
			if !e.ready {
				continue
			}
			found, any := false, false
			if e.hints != nil {
				found, any = hinted(e.hints)
			}
			complete = complete && any
			if found {
				list = append(list, e.at)
			}
		}
		if complete && len(list) > 0 {
			return sorted(list)
		}
	}
	return nil
}

// endpoints are all of a port's, also those that are not chosen.
func (s *snapshot) endpoints(p *corev1.ServicePort) []endpoint {
	var all []endpoint
	for _, slice := range s.slices {
		at := slices.IndexFunc(slice.Ports, func(x discoveryv1.EndpointPort) bool {
			return ptr.Deref(x.Name, "") == p.Name && ptr.Deref(x.Protocol, corev1.ProtocolTCP) == protocolOf(p) && x.Port != nil
		})
		if at < 0 {
			continue
		}
		port := uint16(*slice.Ports[at].Port)
		for i := range slice.Endpoints {
			e := &slice.Endpoints[i]
			// Traffic goes to an endpoint's first address only (discovery/v1, Endpoint.addresses).
			for _, a := range addresses(e.Addresses[:min(len(e.Addresses), 1)]) {
				all = append(all, endpoint{netip.AddrPortFrom(a, port), ptr.Deref(e.NodeName, ""), e.Hints, ready(e), draining(e)})
			}
		}
	}
	return all
}

func protocolOf(p *corev1.ServicePort) corev1.Protocol {
	if p.Protocol == "" {
		return corev1.ProtocolTCP
	}
	return p.Protocol
}

// on are those endpoints that are on a node.
func on(all []endpoint, name string) []endpoint {
	var list []endpoint
	for _, e := range all {
		if e.node == name {
			list = append(list, e)
		}
	}
	return list
}

// chosen are the ready endpoints, or, without any, those that end but still serve.
func chosen(all []endpoint) []netip.AddrPort {
	var well, ending []netip.AddrPort
	for _, e := range all {
		switch {
		case e.ready:
			well = append(well, e.at)
		case e.draining:
			ending = append(ending, e.at)
		}
	}
	if len(well) == 0 {
		well = ending
	}
	return sorted(well)
}

func sorted(list []netip.AddrPort) []netip.AddrPort {
	slices.SortFunc(list, netip.AddrPort.Compare)
	return slices.Compact(list)
}
