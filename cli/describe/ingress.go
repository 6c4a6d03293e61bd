package describe

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/utils/ptr"

	"skiff/cli/client"
)

func ingress(p *page, o *networkingv1.Ingress) error {
	p.field("Name", o.Name)
	p.labels("Labels", o.Labels)
	p.field("Namespace", o.Namespace)
	p.field("Address", ingressAddresses(o.Status.LoadBalancer.Ingress))
	p.field("Ingress Class", ptr.Deref(o.Spec.IngressClassName, none))
	otherwise := "<default>"
	if o.Spec.DefaultBackend != nil {
		otherwise = p.ingressBackend(o.Spec.DefaultBackend)
	}
	p.field("Default backend", otherwise)
	if len(o.Spec.TLS) > 0 {
		p.title("TLS")
		p.in(func() { p.ingressTLS(o.Spec.TLS) })
	}
	p.title("Rules")
	p.in(func() { p.ingressRules(o.Spec.Rules, otherwise) })
	p.annotations("Annotations", o.Annotations)
	p.events(o, "Ingress")
	return nil
}

// ingressAddresses are the addresses in order, without their ports: kubectl shows them so.
func ingressAddresses(all []networkingv1.IngressLoadBalancerIngress) string {
	var out []string
	for _, a := range all {
		if a.IP != "" {
			out = append(out, a.IP)
		} else if a.Hostname != "" {
			out = append(out, a.Hostname)
		}
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), ",")
}

func (s *sheet) ingressTLS(all []networkingv1.IngressTLS) {
	for _, t := range all {
		hosts := strings.Join(t.Hosts, ",")
		if t.SecretName == "" {
			s.line("SNI routes %s", hosts)
		} else {
			s.line("%s terminates %s", t.SecretName, hosts)
		}
	}
}

func (p *page) ingressRules(all []networkingv1.IngressRule, otherwise string) {
	p.line("Host\tPath\tBackends")
	p.line("----\t----\t--------")
	shown := 0
	for _, r := range all {
		if r.HTTP == nil {
			continue
		}
		shown++
		host := r.Host
		if host == "" {
			host = "*"
		}
		p.line("%s\t", host)
		p.in(func() {
			for i := range r.HTTP.Paths {
				path := &r.HTTP.Paths[i]
				p.line("\t%s \t%s", path.Path, p.ingressBackend(&path.Backend))
			}
		})
	}
	if shown == 0 {
		p.line("*\t*\t%s", otherwise)
	}
}

// ingressBackend is where requests go: a service's port, and the endpoints behind it.
func (p *page) ingressBackend(b *networkingv1.IngressBackend) string {
	switch {
	case b.Service != nil:
		at := b.Service.Port.Name
		if b.Service.Port.Number != 0 {
			at = strconv.Itoa(int(b.Service.Port.Number))
		}
		endpoints, err := p.backendEndpoints(b.Service)
		if err != nil {
			endpoints = fmt.Sprintf("<error: %v>", err)
		}
		return fmt.Sprintf("%s:%s (%s)", b.Service.Name, at, endpoints)
	case b.Resource != nil:
		return fmt.Sprintf("APIGroup: %s, Kind: %s, Name: %s", ptr.Deref(b.Resource.APIGroup, none), b.Resource.Kind, b.Resource.Name)
	}
	return ""
}

func (p *page) backendEndpoints(b *networkingv1.IngressServiceBackend) (string, error) {
	found, err := listOf[discoveryv1.EndpointSlice](p, "discovery.k8s.io", "EndpointSlice", client.ListOptions{Labels: discoveryv1.LabelServiceName + "=" + b.Name})
	if err != nil {
		return "", err
	}
	r, err := p.mapping("", "Service")
	if err != nil {
		return "", err
	}
	r.Name = b.Name
	s := &corev1.Service{}
	if err := p.Client.GetInto(p.ctx, r, s); err != nil {
		return "", err
	}
	name := ""
	for _, port := range s.Spec.Ports {
		if b.Port.Number != 0 && b.Port.Number == port.Port || b.Port.Name != "" && b.Port.Name == port.Name {
			name = port.Name
		}
	}
	return sliceAddresses(found, name), nil
}

func ingressClass(p *page, o *networkingv1.IngressClass) error {
	p.field("Name", o.Name)
	p.labelled(o)
	p.field("Controller", o.Spec.Controller)
	if ref := o.Spec.Parameters; ref != nil {
		p.title("Parameters")
		p.in(func() {
			whenSet(p.sheet, "APIGroup", ref.APIGroup)
			p.field("Kind", ref.Kind)
			p.field("Name", ref.Name)
		})
	}
	p.events(o, "IngressClass")
	return nil
}
