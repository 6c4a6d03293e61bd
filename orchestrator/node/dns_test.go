package node

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestPodDNS(t *testing.T) {
	const node = "# of the node\nnameserver 10.0.0.1\nnameserver 127.0.0.53\ndomain lost\nsearch corp.example .\noptions ndots:2 edns0\n"
	for _, c := range []struct{ name, spec, want string }{
		{"no config", `containers: [{name: c}]`, `{[] [] []} false`},
		{"added", `{dnsPolicy: ClusterFirst, dnsConfig: {nameservers: [1.1.1.1, 10.0.0.1], searches: [a.example], options: [{name: ndots, value: "5"}]}, containers: [{name: c}]}`,
			`{[10.0.0.1 127.0.0.53 1.1.1.1] [corp.example a.example] [edns0 ndots:5]} false`},
		{"what is not mentioned is left to the engine", `{dnsPolicy: Default, dnsConfig: {searches: [a.example]}, containers: [{name: c}]}`,
			`{[] [corp.example a.example] []} false`},
		{"too many", `{dnsPolicy: Default, dnsConfig: {nameservers: [1.1.1.1, 1.0.0.1]}, containers: [{name: c}]}`,
			`{[10.0.0.1 127.0.0.53 1.1.1.1] [] []} true`},
		{"alone", `{dnsPolicy: None, dnsConfig: {nameservers: [1.1.1.1]}, containers: [{name: c}]}`, `{[1.1.1.1] [.] []} false`},
		{"alone, in full", `{dnsPolicy: None, dnsConfig: {nameservers: [1.1.1.1], searches: [a.example], options: [{name: edns0}]}, containers: [{name: c}]}`,
			`{[1.1.1.1] [a.example] [edns0]} false`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, cut := podDNS(testPod(t, c.spec), parseResolvConf(node))
			if got := fmt.Sprint(r, cut); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// A pod on the node's network can ask a server on the node's loopback, others can not.
func TestAgentAddsToTheNodesDNS(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(file, []byte("nameserver 10.0.0.1\nnameserver 127.0.0.53\nnameserver 10.0.0.2\nsearch corp.example\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const config = "dnsConfig: {nameservers: [1.1.1.1, 1.0.0.1], searches: [a.example]}"
	inWorld(t, func(w *world) {
		for _, c := range []struct{ name, spec, container, servers string }{
			{"own", "{" + config + ", containers: [{name: c, image: kubia}]}", "c", "[10.0.0.1 10.0.0.2 1.1.1.1]"},
			{"shared", "{" + config + ", containers: [{name: c, image: kubia}, {name: d, image: kubia}]}", sandboxName, "[10.0.0.1 10.0.0.2 1.1.1.1]"},
			{"host", "{hostNetwork: true, " + config + ", containers: [{name: c, image: kubia}]}", "c", "[10.0.0.1 127.0.0.53 10.0.0.2]"},
			{"alone", "{dnsPolicy: None, " + config + ", containers: [{name: c, image: kubia}]}", "c", "[1.1.1.1 1.0.0.1]"},
		} {
			w.pod(c.name, c.spec)
			spec, err := w.engine.Spec(w.id(c.name, c.container))
			if err != nil {
				w.Fatal(err)
			}
			if got := fmt.Sprint(spec.Network.DNS); got != c.servers {
				w.Errorf("%s: servers %s, want %s", c.name, got, c.servers)
			}
		}
		w.wantEvents("host", `Warning DNSConfigForming Nameserver or search limits were exceeded, some have been omitted, `+
			`the applied nameserver line is: 10.0.0.1 127.0.0.53 10.0.0.2, the applied search line is: corp.example a.example
			Normal Pulled Container image "kubia" already present on machine and can be accessed by the pod
			Normal Created Container created
			Normal Started Container started`)
	}, func(o *Options) { o.ResolvConf = file })
}
