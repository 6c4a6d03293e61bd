package spec

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Limits of a resolv.conf (k8s.io/kubernetes/pkg/apis/core/validation/validation.go). glibc reads
// no more servers.
const (
	maxNameservers = 3
	maxSearches    = 32
)

// Resolver is the content of a resolv.conf.
type Resolver struct {
	Servers, Searches, options []string
	// Mounted says that the pod's resolv.conf is a file of skiff's, mounted in place of the engine's.
	Mounted bool
}

// noResolver is an option that no resolv.conf gets to see. Engines up to version 24 put a name server
// of their own before that of every container on a network like the pods', which takes a third of the
// time of a start; unless, as with this option, they can't write the resolv.conf that names it. Later
// ones pay no heed.
const noResolver = "ndots:none"

// onEngine is what the engine is told of a pod's resolver.
func (r Resolver) onEngine(pod *corev1.Pod) (servers, searches, options []string) {
	if r.Mounted && !pod.Spec.HostNetwork {
		return nil, nil, []string{noResolver}
	}
	dns, _ := PodDNS(pod, r)
	return dns.Servers, dns.Searches, dns.options
}

// PodDNS is the resolver of a pod that resolves names as the node does. For a list that is nil the
// engine writes what the node's resolv.conf has; without a dnsConfig all lists are nil. With one,
// what the pod asks for is added to the node's entries (GetPodDNS of
// k8s.io/kubernetes/pkg/kubelet/network/dns/dns.go). cut says that entries beyond the limits were
// left out.
func PodDNS(pod *corev1.Pod, node Resolver) (r Resolver, cut bool) {
	c := pod.Spec.DNSConfig
	if c == nil {
		return Resolver{}, false
	}
	if len(c.Nameservers) > 0 {
		r.Servers = unique(node.Servers, c.Nameservers)
	}
	if len(c.Searches) > 0 {
		r.Searches = unique(node.Searches, c.Searches)
	}
	if len(c.Options) > 0 {
		r.options = mergeOptions(node.options, dnsOptions(c.Options))
	}
	return r.cut()
}

// Cluster is the cluster's name server and domain.
type Cluster struct {
	DNS    netip.Addr
	Domain string
}

// OwnDNS is the resolver of a pod whose resolv.conf the engine does not write: its dnsPolicy is None,
// or it uses the cluster's name server. ok is false for others. node is the node's resolver.
func OwnDNS(pod *corev1.Pod, cluster Cluster, node Resolver) (r Resolver, cut, ok bool) {
	switch {
	case pod.Spec.DNSPolicy == corev1.DNSNone:
	case !clusterFirst(pod) || !cluster.DNS.IsValid():
		return r, false, false
	default:
		svc := "svc." + cluster.Domain
		r.Servers = []string{cluster.DNS.String()}
		r.Searches = unique([]string{pod.Namespace + "." + svc, svc, cluster.Domain}, node.Searches)
		r.options = []string{"ndots:5"}
	}
	if c := pod.Spec.DNSConfig; c != nil {
		r.Servers = unique(r.Servers, c.Nameservers)
		r.Searches = unique(r.Searches, c.Searches)
		r.options = mergeOptions(r.options, dnsOptions(c.Options))
	}
	r, cut = r.cut()
	return r, cut, true
}

// clusterFirst reports whether a pod is to use the cluster's name server. A pod on the node's
// network does so only if it says so twice.
func clusterFirst(pod *corev1.Pod) bool {
	switch pod.Spec.DNSPolicy {
	case corev1.DNSClusterFirstWithHostNet:
		return true
	case corev1.DNSClusterFirst, "":
		return !pod.Spec.HostNetwork
	}
	return false
}

// cut leaves out what is beyond the limits, and reports whether anything was.
func (r Resolver) cut() (Resolver, bool) {
	cut := len(r.Servers) > maxNameservers || len(r.Searches) > maxSearches
	r.Servers = r.Servers[:min(len(r.Servers), maxNameservers)]
	r.Searches = r.Searches[:min(len(r.Searches), maxSearches)]
	return r, cut
}

// String is the resolv.conf.
func (r Resolver) String() string {
	var b strings.Builder
	if len(r.Searches) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(r.Searches, " "))
	}
	for _, server := range r.Servers {
		fmt.Fprintf(&b, "nameserver %s\n", server)
	}
	if len(r.options) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(r.options, " "))
	}
	return b.String()
}

// unique is all lists together without repetitions.
func unique(lists ...[]string) []string {
	var out []string
	for _, s := range slices.Concat(lists...) {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// mergeOptions lets the pod's options replace the node's of the same name.
func mergeOptions(node, pod []string) []string {
	name := func(option string) string { before, _, _ := strings.Cut(option, ":"); return before }
	var out []string
	for _, option := range node {
		if !slices.ContainsFunc(pod, func(p string) bool { return name(p) == name(option) }) {
			out = append(out, option)
		}
	}
	return append(out, pod...)
}

func dnsOptions(options []corev1.PodDNSConfigOption) []string {
	var out []string
	for _, o := range options {
		if o.Value != nil && *o.Value != "" {
			out = append(out, o.Name+":"+*o.Value)
		} else {
			out = append(out, o.Name)
		}
	}
	return out
}

// ParseResolvConf reads a resolv.conf. Of several search lines the last counts.
func ParseResolvConf(text string) Resolver {
	var r Resolver
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "nameserver":
			r.Servers = append(r.Servers, words[1])
		case "search", "domain":
			r.Searches = slices.DeleteFunc(words[1:], func(s string) bool { return s == "." })
		case "options":
			r.options = append(r.options, words[1:]...)
		}
	}
	return r
}

// BeyondLoopback leaves out servers that only the node itself can reach.
func (r Resolver) BeyondLoopback() Resolver {
	r.Servers = slices.DeleteFunc(slices.Clone(r.Servers), func(s string) bool {
		addr, err := netip.ParseAddr(s)
		return err == nil && addr.IsLoopback()
	})
	return r
}
