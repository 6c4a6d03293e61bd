package node

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Limits of a resolv.conf (k8s.io/kubernetes/pkg/apis/core/validation/validation.go): glibc reads no more servers.
const (
	maxNameservers = 3
	maxSearches    = 32
)

// systemdResolvConf has the real servers where /etc/resolv.conf has but systemd-resolved's own; the engine reads it too.
const systemdResolvConf = "/run/systemd/resolve/resolv.conf"

// resolver is what a resolv.conf says.
type resolver struct{ servers, searches, options []string }

// podDNS is the pod's resolver. A list that is nil is the engine's business, which writes what the node's resolv.conf
// has; so is the whole of a pod without a dnsConfig. With one it follows
// k8s.io/kubernetes/pkg/kubelet/network/dns/dns.go, GetPodDNS: what the pod asks for is added to the node's, for
// there is no cluster DNS, unless dnsPolicy is None. The engine has no way to drop the node's options, which None leaves
// in force. cut says that some of it had to be left out.
func podDNS(pod *corev1.Pod, node resolver) (r resolver, cut bool) {
	c := pod.Spec.DNSConfig
	if c == nil {
		return resolver{}, false
	}
	if pod.Spec.DNSPolicy == corev1.DNSNone {
		node = resolver{}
	}
	if len(c.Nameservers) > 0 {
		r.servers = unique(node.servers, c.Nameservers)
	}
	if len(c.Searches) > 0 {
		r.searches = unique(node.searches, c.Searches)
	} else if pod.Spec.DNSPolicy == corev1.DNSNone {
		r.searches = []string{"."} // the engine's word for none at all
	}
	if len(c.Options) > 0 {
		r.options = mergeOptions(node.options, dnsOptions(c.Options))
	}
	cut = len(r.servers) > maxNameservers || len(r.searches) > maxSearches
	r.servers = r.servers[:min(len(r.servers), maxNameservers)]
	r.searches = r.searches[:min(len(r.searches), maxSearches)]
	return r, cut
}

// unique is both lists without repetitions.
func unique(lists ...[]string) []string {
	var out []string
	for _, s := range slices.Concat(lists...) {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// mergeOptions has the pod's options replace the node's of the same name.
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

// parseResolvConf reads a resolv.conf; of several lines of search the last counts.
func parseResolvConf(text string) resolver {
	var r resolver
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "nameserver":
			r.servers = append(r.servers, words[1])
		case "search", "domain":
			r.searches = slices.DeleteFunc(words[1:], func(s string) bool { return s == "." })
		case "options":
			r.options = append(r.options, words[1:]...)
		}
	}
	return r
}

// beyondLoopback leaves out servers that only the node itself can ask.
func (r resolver) beyondLoopback() resolver {
	r.servers = slices.DeleteFunc(slices.Clone(r.servers), func(s string) bool {
		addr, err := netip.ParseAddr(s)
		return err == nil && addr.IsLoopback()
	})
	return r
}

// nodeDNS is the node's resolver as the pod can use it, and nothing for pods that have no use for it. It tells when not
// all of the two fits.
func (a *Agent) nodeDNS(pod *corev1.Pod) (resolver, error) {
	if pod.Spec.DNSConfig == nil || pod.Spec.DNSPolicy == corev1.DNSNone {
		return resolver{}, nil
	}
	node, err := readResolvConf(a.ResolvConf)
	if err != nil {
		return resolver{}, err
	}
	if !pod.Spec.HostNetwork {
		if node = node.beyondLoopback(); len(node.servers) == 0 {
			behind, err := readResolvConf(systemdResolvConf)
			if err != nil {
				return resolver{}, err
			}
			node.servers = behind.beyondLoopback().servers
		}
	}
	if r, cut := podDNS(pod, node); cut {
		a.tell(pod, "", corev1.EventTypeWarning, "DNSConfigForming",
			"Nameserver or search limits were exceeded, some have been omitted, the applied nameserver line is: %s, the applied search line is: %s",
			strings.Join(r.servers, " "), strings.Join(r.searches, " "))
	}
	return node, nil
}

// readResolvConf takes a file that isn't there for an empty one.
func readResolvConf(path string) (resolver, error) {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return resolver{}, fmt.Errorf("reading the node's name servers: %w", err)
	}
	return parseResolvConf(string(text)), nil
}
