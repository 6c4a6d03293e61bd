package ingress

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/utils/ptr"

	"skiff/manifests/servicefacts"
	"skiff/network/protocol"
)

// Controller is the controller of the IngressClasses that are skiff's.
const Controller = "skiff/front-door"

// localDomain is the domain under which browsers find every name on this machine (RFC 6761, 6.3).
const localDomain = "localhost"

// snapshot is everything that the front door's state is made from.
type snapshot struct {
	ingresses []*networkingv1.Ingress
	classes   []*networkingv1.IngressClass
	services  []*corev1.Service
	// endpoints are those of a port of a headless service.
	endpoints func(s *corev1.Service, p *corev1.ServicePort) []netip.AddrPort
	// secret is a stored secret, nil if there is none.
	secret func(namespace, name string) *corev1.Secret
	// issue makes a certificate of skiff's own authority.
	issue func(names []string) (protocol.Certificate, error)
}

// plan is what the front door is to serve.
type plan struct {
	door protocol.Door
	// ours are the Ingresses that are served, and foreign those that name a class that is nobody's.
	ours    []*networkingv1.Ingress
	foreign []*networkingv1.Ingress
	// problems are what is wrong with the ours, by UID.
	problems map[string][]problem
}

type problem struct{ reason, message string }

// String is a line for each path.
func (p plan) String() string {
	var lines []string
	for _, site := range p.door.Sites {
		for _, path := range site.Paths {
			kind, to := "prefix", "nothing"
			if path.Exact {
				kind = "exact"
			}
			if len(path.Backend.To) > 0 {
				to = fmt.Sprint(path.Backend.To)
			}
			if path.Backend.Protocol != "" {
				to += " " + path.Backend.Protocol
			}
			if path.Backend.Problem != "" {
				to = "503 " + path.Backend.Problem
			}
			lines = append(lines, fmt.Sprintf("%s %s %s -> %s: %s", cmp.Or(site.Host, "*"), kind, path.Path, path.Backend.Service, to))
		}
	}
	for _, i := range p.ours {
		for _, problem := range p.problems[string(i.UID)] {
			lines = append(lines, fmt.Sprintf("%s/%s: %s: %s", i.Namespace, i.Name, problem.reason, problem.message))
		}
	}
	for _, i := range p.foreign {
		lines = append(lines, fmt.Sprintf("%s/%s: nobody's", i.Namespace, i.Name))
	}
	return strings.Join(lines, "\n")
}

// planner makes a plan.
type planner struct {
	snapshot
	plan
	byKey map[protocol.Key]*corev1.Service
	sites map[string]*protocol.Site
}

// makePlan decides what every name leads to: what Ingresses say, the oldest first, and else the
// service of that name.
func makePlan(s snapshot) (plan, error) {
	p := planner{snapshot: s, byKey: map[protocol.Key]*corev1.Service{}, sites: map[string]*protocol.Site{}}
	p.problems = map[string][]problem{}
	for _, service := range s.services {
		p.byKey[protocol.Key{Namespace: service.Namespace, Name: service.Name}] = service
	}
	for _, i := range oldestFirst(s.ingresses) {
		if ours, known := p.mine(i); ours {
			p.ours = append(p.ours, i)
			p.addIngress(i)
		} else if !known {
			p.foreign = append(p.foreign, i)
		}
	}
	p.addServices()
	if err := p.addCertificates(); err != nil {
		return plan{}, err
	}
	for _, site := range p.sites {
		p.door.Sites = append(p.door.Sites, *site)
	}
	slices.SortFunc(p.door.Sites, func(a, b protocol.Site) int { return strings.Compare(a.Host, b.Host) })
	return p.plan, nil
}

func oldestFirst(list []*networkingv1.Ingress) []*networkingv1.Ingress {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b *networkingv1.Ingress) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	return list
}

// mine reports whether an Ingress is skiff's to serve, and whether its class is known at all.
func (p *planner) mine(i *networkingv1.Ingress) (ours, known bool) {
	name := ptr.Deref(i.Spec.IngressClassName, i.Annotations["kubernetes.io/ingress.class"])
	for _, class := range p.classes {
		if class.Name == name {
			return class.Spec.Controller == Controller, true
		}
	}
	return false, false
}

// addIngress adds what an Ingress says
// (https://kubernetes.io/docs/concepts/services-networking/ingress/).
func (p *planner) addIngress(i *networkingv1.Ingress) {
	title := "ingress " + i.Namespace + "/" + i.Name
	for _, rule := range i.Spec.Rules {
		host := strings.ToLower(rule.Host)
		if rule.HTTP != nil {
			for _, path := range rule.HTTP.Paths {
				exact := path.PathType != nil && *path.PathType == networkingv1.PathTypeExact
				p.addPath(host, title, cmp.Or(path.Path, "/"), exact, p.backend(i, &path.Backend))
			}
		}
		if i.Spec.DefaultBackend != nil {
			p.addPath(host, title, "/", false, p.backend(i, i.Spec.DefaultBackend))
		}
	}
	if i.Spec.DefaultBackend != nil {
		p.addPath("", title, "/", false, p.backend(i, i.Spec.DefaultBackend))
	}
}

// addPath adds a path unless an older Ingress has it.
func (p *planner) addPath(host, title, path string, exact bool, to protocol.Backend) {
	site := p.sites[host]
	if site == nil {
		site = &protocol.Site{Host: host, Title: title}
		p.sites[host] = site
	}
	if !exact && path != "/" {
		path = strings.TrimRight(path, "/") // a prefix goes by elements
	}
	if slices.ContainsFunc(site.Paths, func(has protocol.Path) bool { return has.Path == path && has.Exact == exact }) {
		return
	}
	site.Paths = append(site.Paths, protocol.Path{Path: path, Exact: exact, Backend: to})
}

// backend is where an Ingress sends requests. What is wrong with it is a problem of the Ingress.
func (p *planner) backend(i *networkingv1.Ingress, b *networkingv1.IngressBackend) protocol.Backend {
	fail := func(to protocol.Key, format string, args ...any) protocol.Backend {
		text := fmt.Sprintf(format, args...)
		found := problem{"BackendNotFound", text}
		if !slices.Contains(p.problems[string(i.UID)], found) {
			p.problems[string(i.UID)] = append(p.problems[string(i.UID)], found)
		}
		return protocol.Backend{Service: to, Problem: text}
	}
	if b.Service == nil {
		return fail(protocol.Key{Namespace: i.Namespace}, "backends other than services are not supported")
	}
	key := protocol.Key{Namespace: i.Namespace, Name: b.Service.Name}
	service := p.byKey[key]
	if service == nil {
		return fail(key, "service %s does not exist", key)
	}
	at := slices.IndexFunc(service.Spec.Ports, func(port corev1.ServicePort) bool {
		if b.Service.Port.Name != "" {
			return port.Name == b.Service.Port.Name
		}
		return port.Port == b.Service.Port.Number
	})
	if at < 0 {
		wanted := b.Service.Port.Name
		if wanted == "" {
			wanted = fmt.Sprint(b.Service.Port.Number)
		}
		return fail(key, "service %s has no port %s", key, wanted)
	}
	to, err := p.reach(service, &service.Spec.Ports[at])
	if err != nil {
		return fail(key, "%v", err)
	}
	return to
}

// reach is how a service's port is reached.
func (p *planner) reach(s *corev1.Service, port *corev1.ServicePort) (protocol.Backend, error) {
	b := protocol.Backend{Service: protocol.Key{Namespace: s.Namespace, Name: s.Name}, Protocol: servicefacts.Speaks(port)}
	switch ip, err := netip.ParseAddr(s.Spec.ClusterIP); {
	case s.Spec.Type == corev1.ServiceTypeExternalName:
		return b, fmt.Errorf("service %s is an alias of %s, which is not followed", b.Service, s.Spec.ExternalName)
	case err == nil:
		b.To = []netip.AddrPort{netip.AddrPortFrom(ip, uint16(port.Port))}
	default:
		b.To = p.endpoints(s, port)
		if len(b.To) == 0 {
			b.Problem = fmt.Sprintf("service %s has no ready endpoints", b.Service)
		}
	}
	return b, nil
}

// addServices adds SERVICE.NAMESPACE.localhost for every service with a port for HTTP, and
// SERVICE.localhost where the namespace is plain: it is the default one, or only one has the name.
func (p *planner) addServices() {
	count := map[string]int{}
	for key, s := range p.byKey {
		if _, ok := servicefacts.WebPort(s); ok && !hidden(key) {
			count[key.Name]++
		}
	}
	for key, s := range p.byKey {
		port, ok := servicefacts.WebPort(s)
		if !ok || hidden(key) {
			continue
		}
		to, err := p.reach(s, port)
		if err != nil {
			continue
		}
		hosts := []string{key.Name + "." + key.Namespace + "." + localDomain}
		if _, byDefault := p.byKey[protocol.Key{Namespace: corev1.NamespaceDefault, Name: key.Name}]; key.Namespace == corev1.NamespaceDefault || count[key.Name] == 1 && !byDefault {
			hosts = append(hosts, key.Name+"."+localDomain)
		}
		for _, host := range hosts {
			if p.sites[host] == nil {
				p.addPath(host, "service "+key.String(), "/", false, to)
			}
		}
	}
}

// hidden reports whether a service is the cluster's own.
func hidden(key protocol.Key) bool {
	return key.Namespace == "kube-system" || key == protocol.Key{Namespace: corev1.NamespaceDefault, Name: "kubernetes"}
}

// certificateNames is how many names a certificate has at most: clients read one of 64 KiB, of which a
// name can take 255 bytes.
const certificateNames = 200

// localNames are the names under localhost that a certificate is to have. Browsers and OpenSSL take
// *.NAMESPACE.localhost for all names in it, but not *.localhost: a wildcard needs two labels
// behind it.
func (p *planner) localNames() []string {
	names := map[string]bool{localDomain: true}
	for host := range p.sites {
		if label, ok := strings.CutSuffix(host, "."+localDomain); ok && !strings.Contains(label, ".") {
			names[host] = true
		}
	}
	for key := range p.byKey {
		if !hidden(key) {
			names["*."+key.Namespace+"."+localDomain] = true
		}
	}
	return slices.Collect(maps.Keys(names))
}

// addCertificates adds the certificates of the Ingresses' secrets, and for what has none, certificates
// of skiff's own authority.
func (p *planner) addCertificates() error {
	names := p.localNames()
	for _, i := range p.ours {
		for _, t := range i.Spec.TLS {
			certificate, err := p.secretOf(i, t.SecretName)
			if err == nil && t.SecretName != "" {
				p.door.Certificates = append(p.door.Certificates, certificate)
				continue
			}
			if err != nil {
				p.problems[string(i.UID)] = append(p.problems[string(i.UID)], problem{"CertificateInvalid",
					fmt.Sprintf("secret %s/%s: %v: skiff's own authority issues the certificate", i.Namespace, t.SecretName, err)})
			}
			for _, host := range hostsOf(i, t) {
				if !slices.Contains(names, host) {
					names = append(names, host)
				}
			}
		}
	}
	slices.Sort(names)
	for some := range slices.Chunk(names, certificateNames) {
		own, err := p.issue(some)
		if err != nil {
			return fmt.Errorf("issuing a certificate: %w", err)
		}
		p.door.Certificates = append(p.door.Certificates, own)
	}
	return nil
}

// hostsOf are the names that an entry of an Ingress wants a certificate for.
func hostsOf(i *networkingv1.Ingress, t networkingv1.IngressTLS) []string {
	var hosts []string
	for _, host := range t.Hosts {
		hosts = append(hosts, strings.ToLower(host))
	}
	if len(hosts) > 0 {
		return hosts
	}
	for _, rule := range i.Spec.Rules {
		if rule.Host != "" {
			hosts = append(hosts, strings.ToLower(rule.Host))
		}
	}
	return hosts
}

func (p *planner) secretOf(i *networkingv1.Ingress, name string) (protocol.Certificate, error) {
	if name == "" {
		return protocol.Certificate{}, nil
	}
	secret := p.secret(i.Namespace, name)
	if secret == nil {
		return protocol.Certificate{}, errors.New("does not exist")
	}
	c := protocol.Certificate{Cert: secret.Data[corev1.TLSCertKey], Key: secret.Data[corev1.TLSPrivateKeyKey]}
	if _, err := tls.X509KeyPair(c.Cert, c.Key); err != nil {
		return protocol.Certificate{}, err
	}
	return c, nil
}
