package spec

import (
	"fmt"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"skiff/orchestrator/node/internal/podtest"
)

func TestPodDNS(t *testing.T) {
	const node = "# of the node\nnameserver 10.0.0.1\nnameserver 127.0.0.53\ndomain lost\nsearch corp.example .\noptions ndots:2 edns0\n"
	for _, c := range []struct{ name, spec, want string }{
		{"no config", `containers: [{name: c}]`, `[] [] [] false`},
		{"added", `{dnsPolicy: ClusterFirst, dnsConfig: {nameservers: [1.1.1.1, 10.0.0.1], searches: [a.example], options: [{name: ndots, value: "5"}]}, containers: [{name: c}]}`,
			`[10.0.0.1 127.0.0.53 1.1.1.1] [corp.example a.example] [edns0 ndots:5] false`},
		{"what is not mentioned is left to the engine", `{dnsPolicy: Default, dnsConfig: {searches: [a.example]}, containers: [{name: c}]}`,
			`[] [corp.example a.example] [] false`},
		{"too many", `{dnsPolicy: Default, dnsConfig: {nameservers: [1.1.1.1, 1.0.0.1]}, containers: [{name: c}]}`,
			`[10.0.0.1 127.0.0.53 1.1.1.1] [] [] true`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, cut := PodDNS(podtest.Pod(t, c.spec), ParseResolvConf(node))
			if got := fmt.Sprint(r.Servers, r.Searches, r.options, cut); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestOwnDNS: with dnsPolicy None the file says what dnsConfig says and no more; with ClusterFirst it
// names the cluster's server.
func TestOwnDNS(t *testing.T) {
	const node = "nameserver 10.0.0.1\nsearch corp.example\noptions edns0\n"
	const searches = "search default.svc.cluster.local svc.cluster.local cluster.local corp.example"
	const first = searches + "\nnameserver 10.9.48.10\noptions ndots:5\n"
	for _, c := range []struct{ name, spec, want string }{
		{"in full", `{dnsPolicy: None, dnsConfig: {nameservers: [1.1.1.1, "2001:db8::1"], searches: [a.example, b.example], options: [{name: ndots, value: "2"}, {name: edns0}]}, containers: [{name: c}]}`,
			"search a.example b.example\nnameserver 1.1.1.1\nnameserver 2001:db8::1\noptions ndots:2 edns0\n"},
		{"servers alone", `{dnsPolicy: None, dnsConfig: {nameservers: [1.1.1.1]}, containers: [{name: c}]}`, "nameserver 1.1.1.1\n"},
		{"on the node's network", `{hostNetwork: true, dnsPolicy: None, dnsConfig: {nameservers: [1.1.1.1]}, containers: [{name: c}]}`, "nameserver 1.1.1.1\n"},
		{"the node's policy", `{dnsPolicy: Default, dnsConfig: {nameservers: [1.1.1.1]}, containers: [{name: c}]}`, ""},
		{"cluster first", `{dnsPolicy: ClusterFirst, containers: [{name: c}]}`, first},
		{"by default", `{containers: [{name: c}]}`, first},
		{"cluster first, on the node's network", `{hostNetwork: true, dnsPolicy: ClusterFirst, containers: [{name: c}]}`, ""},
		{"cluster first all the same", `{hostNetwork: true, dnsPolicy: ClusterFirstWithHostNet, containers: [{name: c}]}`, first},
		{"added", `{dnsConfig: {nameservers: [1.1.1.1], searches: [a.example, corp.example], options: [{name: ndots, value: "2"}, {name: edns0}]}, containers: [{name: c}]}`,
			searches + " a.example\nnameserver 10.9.48.10\nnameserver 1.1.1.1\noptions ndots:2 edns0\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			pod := podtest.Pod(t, c.spec)
			r, cut, own := OwnDNS(pod, Cluster{netip.MustParseAddr("10.9.48.10"), "cluster.local"}, ParseResolvConf(node))
			if got := r.String(); got != c.want || own != (c.want != "") || cut {
				t.Errorf("got  %q, %v, %v\nwant %q", got, cut, own, c.want)
			}
			if pod.Spec.DNSPolicy == corev1.DNSNone {
				return
			}
			if _, _, own := OwnDNS(pod, Cluster{}, ParseResolvConf(node)); own {
				t.Error("without a name server of the cluster the engine is to write the file")
			}
		})
	}
}
