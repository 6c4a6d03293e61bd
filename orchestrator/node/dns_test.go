package node

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"skiff/orchestrator/node/pod"
)

// A pod on the node's network can use a name server on the node's loopback; others can't.
func TestAgentAddsToTheNodesDNS(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(file, []byte("nameserver 10.0.0.1\nnameserver 127.0.0.53\nnameserver 10.0.0.2\nsearch corp.example\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const config = "dnsConfig: {nameservers: [1.1.1.1, 1.0.0.1], searches: [a.example]}"
	inWorld(t, func(w *world) {
		for _, c := range []struct{ name, spec, container, servers string }{
			{"own", "{" + config + ", containers: [{name: c, image: kubia}]}", "c", "[10.0.0.1 10.0.0.2 1.1.1.1] []"},
			{"shared", "{" + config + ", containers: [{name: c, image: kubia}, {name: d, image: kubia}]}", pod.SandboxName, "[10.0.0.1 10.0.0.2 1.1.1.1] []"},
			{"host", "{hostNetwork: true, " + config + ", containers: [{name: c, image: kubia}]}", "c", "[10.0.0.1 127.0.0.53 10.0.0.2] []"},
			{"alone", "{dnsPolicy: None, " + config + ", containers: [{name: c, image: kubia}]}", "c", "[] [ndots:none]"}, // its file is mounted
		} {
			w.pod(c.name, c.spec)
			spec, err := w.engine.Spec(w.id(c.name, c.container))
			if err != nil {
				w.Fatal(err)
			}
			if got := fmt.Sprint(spec.Network.DNS, spec.Network.DNSOpts); got != c.servers {
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
