package compose

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"skiff/manifests/servicefacts"
)

// port is a port of a container.
type port struct {
	number   int32
	protocol corev1.Protocol
}

func (p port) name() string {
	return fmt.Sprintf("%s-%d", strings.ToLower(string(p.protocol)), p.number)
}

// ports are those that the container is said to listen on.
func (s *service) ports() []port {
	var out []port
	for _, p := range s.Ports {
		out = append(out, port{int32(p.Target), protocol(p.Protocol)})
	}
	for _, e := range s.Expose {
		number, proto, _ := strings.Cut(e, "/")
		first, last, ranged := strings.Cut(number, "-")
		if !ranged {
			last = first
		}
		a, err1 := strconv.ParseUint(first, 10, 16)
		b, err2 := strconv.ParseUint(last, 10, 16)
		if err1 != nil || err2 != nil {
			s.refuse(s.at("expose"), "%q is no port", e)
			continue
		}
		for n := a; n <= b; n++ {
			out = append(out, port{int32(n), protocol(proto)})
		}
	}
	slices.SortFunc(out, func(a, b port) int {
		if a.number != b.number {
			return int(a.number - b.number)
		}
		return strings.Compare(string(a.protocol), string(b.protocol))
	})
	return slices.Compact(out)
}

func protocol(name string) corev1.Protocol {
	if name == "" {
		return corev1.ProtocolTCP
	}
	return corev1.Protocol(strings.ToUpper(name))
}

// addNames adds the Services by which others find this one. They are headless: as with docker compose
// a name leads to the containers themselves, whatever ports they listen on and whether or not a health
// check has passed.
func (s *service) addNames() {
	aliases := s.aliases()
	if !strings.EqualFold(s.Name, s.object) {
		aliases[s.Name] = s.path
	}
	annotated := s.annotatedNames(aliases)
	s.addName(s.path, s.object, annotated)
	for _, alias := range sorted(aliases) {
		name := strings.ToLower(alias)
		switch {
		case ObjectName(name) != name || name == s.object:
		case s.reached[name]:
			s.remark(aliases[alias], "%s is left out: another service has that name, and a Service leads to one", alias)
		default:
			s.reached[name] = true
			s.addName(aliases[alias], name, nil)
		}
	}
}

// oneLabel is a name that skiff's DNS can give a Service beside its own.
var oneLabel = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)

// annotatedNames are the aliases that no Service can have as its own name: skiff's DNS alone gives them.
func (s *service) annotatedNames(aliases map[string][]string) (names []string) {
	for _, name := range sorted(aliases) {
		switch {
		case strings.EqualFold(ObjectName(name), name):
		case s.reached[strings.ToLower(name)]:
			s.remark(aliases[name], "%s is left out: another service has that name, and a Service leads to one", name)
		case oneLabel.MatchString(name):
			s.reached[strings.ToLower(name)] = true
			s.elsewhere(aliases[name], "no Service can be named %s: on skiff it is reached by that name all the same, on another cluster as %s", name, s.object)
			names = append(names, name)
		default:
			s.remark(aliases[name], "no Service can be named %s: it is reached as %s", name, s.object)
		}
	}
	return names
}

// aliases are further names of the service, with their places in the files.
func (s *service) aliases() map[string][]string {
	out := map[string][]string{}
	if s.ContainerName != "" {
		out[s.ContainerName] = s.at("container_name")
	}
	for _, network := range sorted(s.Networks) {
		n := s.Networks[network]
		if n == nil {
			continue
		}
		s.others(s.at("networks", network), n, networkFields)
		for _, alias := range n.Aliases {
			out[alias] = s.at("networks", network, "aliases")
		}
	}
	for _, name := range sorted(s.project.Services) {
		for _, link := range s.project.Services[name].Links {
			if target, alias, found := strings.Cut(link, ":"); found && target == s.Name {
				out[alias] = []string{"services", name, "links"}
			}
		}
	}
	return out
}

func (s *service) addName(path []string, name string, others []string) {
	spec := corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Selector: s.labels, PublishNotReadyAddresses: true}
	for _, p := range s.ports() {
		spec.Ports = append(spec.Ports, servicePort(p, p.number))
	}
	meta := s.meta(name, s.labels)
	if len(others) > 0 {
		meta.Annotations = map[string]string{servicefacts.NamesAnnotation: strings.Join(others, ",")}
	}
	s.add(path, &corev1.Service{TypeMeta: typeMeta("v1", "Service"), ObjectMeta: meta, Spec: spec})
}

func servicePort(p port, outside int32) corev1.ServicePort {
	out := corev1.ServicePort{Name: port{outside, p.protocol}.name(), Port: outside, TargetPort: intstr.FromInt32(p.number)}
	if p.protocol != corev1.ProtocolTCP {
		out.Protocol = p.protocol
	}
	return out
}

// addPublished adds the Services that bring ports to the machine: a load balancer for ports that are
// chosen in the file, node ports for those that may be any.
func (s *service) addPublished() {
	chosen := corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Selector: s.labels}
	free := corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Selector: s.labels}
	for _, p := range s.Ports {
		s.hostIP(p)
		inside := port{int32(p.Target), protocol(p.Protocol)}
		if p.Published == "" || p.Published == "0" {
			free.Ports = append(free.Ports, servicePort(inside, inside.number))
			continue
		}
		first, _, ranged := strings.Cut(p.Published, "-")
		outside, err := strconv.ParseUint(first, 10, 16)
		if err != nil || outside == 0 {
			s.refuse(s.at("ports"), "%q is no port", p.Published)
			continue
		}
		if ranged {
			s.remark(s.at("ports"), "of the ports %s the first is taken", p.Published)
		}
		chosen.Ports = append(chosen.Ports, servicePort(inside, int32(outside)))
	}
	s.addPorts("-published", chosen)
	s.addPorts("-node-ports", free)
}

func (s *service) addPorts(suffix string, spec corev1.ServiceSpec) {
	var ports []corev1.ServicePort
	for _, p := range spec.Ports {
		i := slices.IndexFunc(ports, func(q corev1.ServicePort) bool { return q.Name == p.Name })
		switch {
		case i < 0:
			ports = append(ports, p)
		case ports[i].TargetPort != p.TargetPort:
			s.refuse(s.at("ports"), "port %d leads to two ports of the container", p.Port)
		}
	}
	spec.Ports = ports
	if s.reached[s.object+suffix] {
		s.refuse(s.at("ports"), "their Service would be named %s, and another service is", s.object+suffix)
	}
	if len(spec.Ports) > 0 {
		s.add(s.at("ports"), &corev1.Service{TypeMeta: typeMeta("v1", "Service"), ObjectMeta: s.meta(s.object+suffix, s.labels), Spec: spec})
	}
}

// hostIP remarks on an address to listen on that is not what the daemon listens on by itself.
func (s *service) hostIP(p types.ServicePortConfig) {
	a, err := netip.ParseAddr(p.HostIP)
	if p.HostIP == "" || err == nil && (a.IsLoopback() || a.IsUnspecified()) {
		return
	}
	s.remark(s.at("ports"), "%s is not listened on: skiff publishes ports on the daemon's --publish-address, 127.0.0.1 unless told otherwise", p.HostIP)
}
