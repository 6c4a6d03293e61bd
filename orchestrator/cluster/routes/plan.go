package routes

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"

	"skiff/manifests/servicefacts"
	"skiff/network/protocol"
)

// snapshot is a service with all that decides where it leads.
type snapshot struct {
	service *corev1.Service
	slices  []*discoveryv1.EndpointSlice
	nodes   []node
	// machine is the node that is the engine's machine. All other nodes are on it, so what comes in
	// there is local to each of them.
	machine string
}

// node is a node whose pods have traffic.
type node struct{ name, zone string }

// plan is what the router is to know of a service, and what of it can't be served.
type plan struct {
	service protocol.Service
	refused []refusal
}

// refusal is a part of a service that is not served.
type refusal struct{ reason, message string }

// String is the plan, a line for each thing that the router is told.
func (p plan) String() string {
	s := p.service
	var lines []string
	line := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	switch {
	case s.ExternalName != "":
		line("alias of %s", s.ExternalName)
	case len(s.Addresses) == 0:
		line("headless")
	default:
		line("at %s", join(append(slices.Clone(s.Addresses), s.External...)))
	}
	for _, name := range s.Aliases {
		line("also %s", name)
	}
	if s.Affinity > 0 {
		line("affinity %s", s.Affinity)
	}
	for _, h := range s.Hosts {
		line("host %s", strings.TrimSpace(h.Name+" "+h.Address.String()))
	}
	for _, port := range s.Ports {
		line("%s", portText(port))
	}
	if s.HealthCheck > 0 {
		line("health check at %d", s.HealthCheck)
	}
	for _, r := range p.refused {
		line("refuse: %s: %s", r.reason, r.message)
	}
	return strings.Join(lines, "\n")
}

func portText(p protocol.Port) string {
	text := fmt.Sprintf("%s %d", p.Protocol, p.Port)
	if p.Name != "" {
		text = p.Name + " " + text
	}
	if p.NodePort > 0 {
		text += fmt.Sprintf(" node port %d", p.NodePort)
	}
	text += " -> " + join(p.Endpoints)
	for _, by := range []struct {
		word string
		list map[string][]netip.AddrPort
	}{{"from", p.From}, {"at", p.At}} {
		var names []string
		for name := range by.list {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			text += fmt.Sprintf("; %s %s -> %s", by.word, name, join(by.list[name]))
		}
	}
	return text
}

func join[T fmt.Stringer](list []T) string {
	if len(list) == 0 {
		return "nothing"
	}
	words := make([]string, len(list))
	for i, x := range list {
		words[i] = x.String()
	}
	return strings.Join(words, " ")
}

// makePlan decides where a service leads, by the rules of kube-proxy (k8s.io/kubernetes/pkg/proxy:
// topology.go, serviceport.go) and, for names, of the Kubernetes DNS specification.
func makePlan(s snapshot) plan {
	p := plan{service: protocol.Service{Key: protocol.Key{Namespace: s.service.Namespace, Name: s.service.Name}}}
	p.service.Aliases, p.refused = aliases(s.service)
	spec := &s.service.Spec
	if spec.Type == corev1.ServiceTypeExternalName {
		p.service.ExternalName = strings.TrimSuffix(spec.ExternalName, ".")
		return p
	}
	p.service.Addresses = clusterIPs(spec)
	if len(p.service.Addresses) == 0 {
		p.service.Hosts = hosts(s.slices)
	} else {
		p.service.External = externalIPs(s.service)
		p.service.Affinity = affinity(spec)
		p.service.HealthCheck = uint16(spec.HealthCheckNodePort)
	}
	for i := range spec.Ports {
		port := &spec.Ports[i]
		if port.Protocol == corev1.ProtocolSCTP {
			p.refused = append(p.refused, refusal{"SCTPNotSupported", fmt.Sprintf(
				"port %d is of protocol SCTP, which skiff does not forward: only TCP and UDP", port.Port)})
			continue
		}
		p.service.Ports = append(p.service.Ports, s.port(port))
	}
	return p
}

// clusterIPs are the service's IPv4 addresses. A headless service has none.
func clusterIPs(spec *corev1.ServiceSpec) []netip.Addr {
	texts := spec.ClusterIPs
	if len(texts) == 0 {
		texts = []string{spec.ClusterIP}
	}
	return addresses(texts)
}

// externalIPs are the other addresses at which the service answers within the pods' network. A load
// balancer's address on this machine's loopback is none of those.
func externalIPs(s *corev1.Service) []netip.Addr {
	texts := slices.Clone(s.Spec.ExternalIPs)
	for _, at := range s.Status.LoadBalancer.Ingress {
		if ptr.Deref(at.IPMode, corev1.LoadBalancerIPModeVIP) == corev1.LoadBalancerIPModeVIP {
			texts = append(texts, at.IP)
		}
	}
	return addresses(texts)
}

// addresses are the IPv4 addresses among texts that can be another machine's.
func addresses(texts []string) []netip.Addr {
	var list []netip.Addr
	for _, text := range texts {
		if a, err := netip.ParseAddr(text); err == nil && a.Is4() && !a.IsLoopback() {
			list = append(list, a)
		}
	}
	return list
}

func affinity(spec *corev1.ServiceSpec) time.Duration {
	if spec.SessionAffinity != corev1.ServiceAffinityClientIP {
		return 0
	}
	seconds := corev1.DefaultClientIPServiceAffinitySeconds
	if c := spec.SessionAffinityConfig; c != nil && c.ClientIP != nil {
		seconds = ptr.Deref(c.ClientIP.TimeoutSeconds, seconds)
	}
	return time.Duration(seconds) * time.Second
}

// hosts are what the name of a headless service stands for: its ready endpoints.
func hosts(list []*discoveryv1.EndpointSlice) []protocol.Host {
	var out []protocol.Host
	for _, slice := range list {
		for i := range slice.Endpoints {
			e := &slice.Endpoints[i]
			if !ready(e) {
				continue
			}
			for _, a := range addresses(e.Addresses) {
				out = append(out, protocol.Host{Name: ptr.Deref(e.Hostname, ""), Address: a})
			}
		}
	}
	slices.SortFunc(out, func(a, b protocol.Host) int {
		if c := a.Address.Compare(b.Address); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return slices.Compact(out)
}

// aliasName is one label of DNS, as compose files name services: with underscores too.
var aliasName = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$`)

// aliases are the further names that a service's annotation gives it.
func aliases(s *corev1.Service) (names []string, refused []refusal) {
	for _, name := range strings.FieldsFunc(strings.ToLower(s.Annotations[servicefacts.NamesAnnotation]), func(r rune) bool { return r == ',' || r == ' ' }) {
		if !aliasName.MatchString(name) {
			refused = append(refused, refusal{"NameNotServed", fmt.Sprintf("annotation %s: %q is not one label of letters, digits, dashes and underscores", servicefacts.NamesAnnotation, name)})
			continue
		}
		names = append(names, name)
	}
	return names, refused
}
