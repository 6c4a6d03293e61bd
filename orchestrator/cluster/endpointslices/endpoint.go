package endpointslices

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"skiff/manifests/podfacts"
	"skiff/orchestrator/cluster/backends"
)

// group is the endpoints that have the same ports, which share slices.
type group struct {
	key       string
	ports     []discoveryv1.EndpointPort
	endpoints []endpoint
}

// endpoint is a pod as it should be in a slice.
type endpoint struct {
	discoveryv1.Endpoint
	// triggered is when the pod last became ready or ceased to be.
	triggered time.Time
}

// identity is what makes two endpoints the same one, whatever its state.
type identity struct{ addresses, hostname, namespace, name string }

func identityOf(e *discoveryv1.Endpoint) identity {
	id := identity{addresses: strings.Join(e.Addresses, " "), hostname: ptr.Deref(e.Hostname, "")}
	if e.TargetRef != nil {
		id.namespace, id.name = e.TargetRef.Namespace, e.TargetRef.Name
	}
	return id
}

// equal reports whether two endpoints of the same identity are in the same state.
func equal(a, b *discoveryv1.Endpoint) bool {
	return ptr.Equal(a.NodeName, b.NodeName) && ptr.Equal(a.Zone, b.Zone) &&
		ptr.Equal(a.Conditions.Ready, b.Conditions.Ready) && ptr.Equal(a.Conditions.Serving, b.Conditions.Serving) &&
		ptr.Equal(a.Conditions.Terminating, b.Conditions.Terminating) &&
		sameTarget(a.TargetRef, b.TargetRef) && sameHints(a.Hints, b.Hints)
}

func sameTarget(a, b *corev1.ObjectReference) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Kind == b.Kind && a.UID == b.UID
}

func sameHints(a, b *discoveryv1.EndpointHints) bool {
	return a == nil && b == nil || apiequality.Semantic.DeepEqual(a, b)
}

// groups are the endpoints of a family that the Service leads to, by their ports, in the order of the
// pods' names. All of a Service's endpoints have the same ports, unless it names them.
func (p *planner) groups(family corev1.IPFamily) []*group {
	byName := false
	for i := range p.service.Spec.Ports {
		byName = byName || p.service.Spec.Ports[i].TargetPort.Type == intstr.String
	}
	var all []*group
	known := map[string]*group{}
	var last *group
	for _, pod := range p.pods {
		e, ok := p.endpointOf(pod, family)
		if !ok {
			continue
		}
		if last == nil || byName {
			ports := portsOf(pod, p.service)
			k := backends.PortsKey(ports)
			if last = known[k]; last == nil {
				last = &group{key: k, ports: ports}
				known[k] = last
				all = append(all, last)
			}
		}
		last.endpoints = append(last.endpoints, e)
	}
	return all
}

// portsOf are the ports of a pod that the Service leads to. A port that the pod does not have by name
// is left out.
func portsOf(pod *corev1.Pod, s *corev1.Service) []discoveryv1.EndpointPort {
	ports := []discoveryv1.EndpointPort{}
	for i := range s.Spec.Ports {
		of := &s.Spec.Ports[i]
		number, ok := backends.Port(pod, of)
		if !ok {
			continue
		}
		port := discoveryv1.EndpointPort{Name: ptr.To(of.Name), Port: ptr.To(number), Protocol: ptr.To(of.Protocol)}
		if of.AppProtocol != nil {
			port.AppProtocol = ptr.To(*of.AppProtocol)
		}
		ports = append(ports, port)
	}
	return ports
}

// endpointOf is a pod as an endpoint. ok is false for a pod that is none: it has ended, it has no
// address, or there is no node that it could run on.
func (p *planner) endpointOf(pod *corev1.Pod, family corev1.IPFamily) (e endpoint, ok bool) {
	if podfacts.Terminal(pod) {
		return e, false
	}
	address, ok := backends.Address(pod, family)
	if !ok {
		return e, false
	}
	zone, ok := p.zones[pod.Spec.NodeName]
	if !ok && !p.service.Spec.PublishNotReadyAddresses {
		return e, false
	}
	serving, terminating := podfacts.Ready(pod), pod.DeletionTimestamp != nil
	ready := p.service.Spec.PublishNotReadyAddresses || serving && !terminating
	e.triggered = backends.Triggered(pod)
	e.Endpoint = discoveryv1.Endpoint{
		Addresses:  []string{address},
		Conditions: discoveryv1.EndpointConditions{Ready: &ready, Serving: &serving, Terminating: &terminating},
		TargetRef:  backends.Reference(pod),
		NodeName:   some(pod.Spec.NodeName), Zone: some(zone), Hostname: some(backends.Hostname(pod, p.service)),
	}
	if ready {
		e.Hints = p.hints(&e.Endpoint)
	}
	return e, true
}

// some is a pointer to a text, nil for an empty one.
func some(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// hints say from where a ready endpoint is to be reached, if the Service prefers what is near
// (service.spec.trafficDistribution).
func (p *planner) hints(e *discoveryv1.Endpoint) *discoveryv1.EndpointHints {
	var h discoveryv1.EndpointHints
	switch ptr.Deref(p.service.Spec.TrafficDistribution, "") {
	case corev1.ServiceTrafficDistributionPreferSameNode:
		if e.NodeName != nil {
			h.ForNodes = []discoveryv1.ForNode{{Name: *e.NodeName}}
		}
	case corev1.ServiceTrafficDistributionPreferSameZone, corev1.ServiceTrafficDistributionPreferClose:
	default:
		return nil
	}
	if e.Zone != nil {
		h.ForZones = []discoveryv1.ForZone{{Name: *e.Zone}}
	}
	if h.ForZones == nil && h.ForNodes == nil {
		return nil
	}
	return &h
}
