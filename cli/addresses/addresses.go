// Package addresses tells where the services and Ingresses of a namespace are reached from this
// machine.
package addresses

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"skiff/cli/client"
	"skiff/manifests/servicefacts"
)

// Address is one at which something is reached.
type Address struct {
	Namespace string
	// Of is what is reached: "service/web", "ingress/shop".
	Of string
	// URL is http://… or https://…, or host:port/protocol for what is not for browsers.
	URL string
	// Guess says that the front door leads there, and that nothing about the port says that it is for
	// HTTP: it may be a database's.
	Guess bool
}

// Finder finds addresses.
type Finder struct {
	Client *client.Client
}

// In are the addresses in a namespace, all namespaces if it is empty: of Ingresses first, then of
// services. With labels it is only those of objects that have them. A cluster without a front door
// has only those of load balancers and Ingresses, and what may not be looked at has none.
func (f Finder) In(ctx context.Context, namespace, labels string) ([]Address, error) {
	door, err := f.frontDoor(ctx)
	if err != nil {
		return nil, err
	}
	ingresses, err := list[networkingv1.Ingress](ctx, f, networkingv1.SchemeGroupVersion.WithKind("Ingress"), namespace, labels)
	if err != nil {
		return nil, err
	}
	services, err := list[corev1.Service](ctx, f, corev1.SchemeGroupVersion.WithKind("Service"), namespace, labels)
	if err != nil {
		return nil, err
	}
	var out []Address
	for i := range ingresses {
		out = append(out, OfIngress(&ingresses[i])...)
	}
	for i := range services {
		out = append(out, OfService(&services[i], door)...)
	}
	return out, nil
}

// Of are the addresses of the Ingresses and services among refs. Those of other kinds are passed over.
func (f Finder) Of(ctx context.Context, refs []client.Ref) ([]Address, error) {
	wanted, namespaces := map[Address]bool{}, map[string]bool{}
	for _, r := range refs {
		if gk := r.Mapping.GroupVersionKind.GroupKind(); gk == ingressKind || gk == serviceKind {
			wanted[Address{Namespace: r.Namespace, Of: strings.ToLower(gk.Kind) + "/" + r.Name}] = true
			namespaces[r.Namespace] = true
		}
	}
	var out []Address
	for _, namespace := range slices.Sorted(maps.Keys(namespaces)) {
		all, err := f.In(ctx, namespace, "")
		if err != nil {
			return nil, err
		}
		for _, a := range all {
			if wanted[Address{Namespace: a.Namespace, Of: a.Of}] {
				out = append(out, a)
			}
		}
	}
	return out, nil
}

// Certain are the addresses that are no guesses.
func Certain(all []Address) []Address {
	return slices.DeleteFunc(slices.Clone(all), func(a Address) bool { return a.Guess })
}

var (
	ingressKind = schema.GroupKind{Group: networkingv1.GroupName, Kind: "Ingress"}
	serviceKind = schema.GroupKind{Kind: "Service"}
)

// frontDoor is host:port of the cluster's front door, empty if it has none.
func (f Finder) frontDoor(ctx context.Context) (string, error) {
	r, err := f.ref(corev1.SchemeGroupVersion.WithKind("ConfigMap"), servicefacts.InfoNamespace)
	if err != nil {
		return "", err
	}
	r.Name = servicefacts.InfoName
	got, err := f.Client.Get(ctx, r)
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	door, _, err := unstructured.NestedString(got.Object, "data", servicefacts.InfoFrontDoor)
	return door, err
}

func (f Finder) ref(kind schema.GroupVersionKind, namespace string) (client.Ref, error) {
	catalog, err := f.Client.Catalog()
	if err != nil {
		return client.Ref{}, err
	}
	m, err := catalog.Kind(kind)
	return client.Ref{Mapping: m, Namespace: namespace}, err
}

func list[T any](ctx context.Context, f Finder, kind schema.GroupVersionKind, namespace, labels string) ([]T, error) {
	r, err := f.ref(kind, namespace)
	if meta.IsNoMatchError(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found, err := client.ListOf[T](ctx, f.Client, r, client.ListOptions{Labels: labels})
	if apierrors.IsForbidden(err) {
		return nil, nil
	}
	return found, err
}

// OfIngress are the addresses of an Ingress, one for each host and path, in its order.
func OfIngress(i *networkingv1.Ingress) []Address {
	var out []Address
	add := func(url string) {
		if a := (Address{Namespace: i.Namespace, Of: "ingress/" + i.Name, URL: url}); !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	for _, at := range i.Status.LoadBalancer.Ingress {
		if len(i.Spec.Rules) == 0 {
			add(ingressURL(i, cmp.Or(at.Hostname, at.IP), at))
		}
		for _, rule := range i.Spec.Rules {
			host := cmp.Or(rule.Host, at.Hostname, at.IP)
			if strings.HasPrefix(host, "*.") || rule.HTTP == nil {
				continue
			}
			for _, path := range rule.HTTP.Paths {
				add(ingressURL(i, host, at) + strings.TrimSuffix(path.Path, "/"))
			}
		}
	}
	return out
}

// ingressURL is http or https with a host, and the port if that is not the usual one.
func ingressURL(i *networkingv1.Ingress, host string, at networkingv1.IngressLoadBalancerIngress) string {
	scheme, usual := "http", int32(80)
	if slices.ContainsFunc(i.Spec.TLS, func(t networkingv1.IngressTLS) bool { return len(t.Hosts) == 0 || slices.Contains(t.Hosts, host) }) {
		scheme, usual = "https", 443
	}
	if len(at.Ports) == 0 || at.Ports[0].Port == usual {
		return scheme + "://" + host
	}
	return fmt.Sprintf("%s://%s:%d", scheme, host, at.Ports[0].Port)
}

// OfService are the addresses of a service: its load balancer's, or its node ports on this machine,
// and its name at the front door.
func OfService(s *corev1.Service, door string) []Address {
	var out []Address
	add := func(url string) {
		out = append(out, Address{Namespace: s.Namespace, Of: "service/" + s.Name, URL: url})
	}
	web, isWeb := servicefacts.WebPort(s)
	if _, port, err := net.SplitHostPort(door); err == nil && isWeb && !servicefacts.OfCluster(s) && s.Spec.Type != corev1.ServiceTypeExternalName {
		add("http://" + net.JoinHostPort(servicefacts.LocalNames(s)[0], port))
		out[0].Guess = !forBrowsers(web) && servicefacts.Speaks(web) == ""
	}
	for _, at := range s.Status.LoadBalancer.Ingress {
		for i := range s.Spec.Ports {
			p := &s.Spec.Ports[i]
			add(portURL(p, web, cmp.Or(at.Hostname, at.IP), p.Port))
		}
	}
	if s.Spec.Type == corev1.ServiceTypeNodePort && door != "" {
		host, _, _ := net.SplitHostPort(door)
		for i := range s.Spec.Ports {
			p := &s.Spec.Ports[i]
			add(portURL(p, web, host, p.NodePort))
		}
	}
	return out
}

// portURL is a URL for the port that is for browsers, and host:port/protocol for others.
func portURL(p, web *corev1.ServicePort, host string, number int32) string {
	at := net.JoinHostPort(host, strconv.Itoa(int(number)))
	switch {
	case p != web || !forBrowsers(p):
		return at + "/" + strings.ToLower(string(cmp.Or(p.Protocol, corev1.ProtocolTCP)))
	case servicefacts.Speaks(p) == servicefacts.HTTPS:
		return "https://" + at
	}
	return "http://" + at
}

// forBrowsers reports whether a port says that it is for HTTP, or has a number that is usual for it.
func forBrowsers(p *corev1.ServicePort) bool {
	return servicefacts.SaysHTTP(p) || ptr.Deref(p.AppProtocol, "") == "" && servicefacts.UsualForHTTP(p)
}
