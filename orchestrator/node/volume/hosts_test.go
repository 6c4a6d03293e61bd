package volume

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"skiff/orchestrator/node/internal/podtest"
	"skiff/orchestrator/node/spec"
)

func TestHostsMount(t *testing.T) {
	v := &Manager{Dir: t.TempDir(), Sources: podtest.NewObjects()}
	for _, c := range []struct {
		name, spec string
		mounted    bool
	}{
		{"plain", `containers: [{name: c}]`, true},
		{"the node's network", `{containers: [{name: c}], hostNetwork: true}`, false},
		{"a file of its own", `{containers: [{name: c, volumeMounts: [{name: h, mountPath: /etc/hosts}]}], volumes: [{name: h, emptyDir: {}}]}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			pod := podtest.Pod(t, c.spec)
			for _, ip := range []string{"172.30.0.9", "172.30.0.10"} {
				addr := netip.MustParseAddr(ip)
				m, err := v.hostsMount(pod, &pod.Spec.Containers[0], addr)
				if err != nil || (m != nil) != c.mounted {
					t.Fatalf("%+v, %v", m, err)
				}
				if m == nil {
					continue
				}
				if has, err := os.ReadFile(m.Source); err != nil || string(has) != spec.HostsFile(pod, addr, "") {
					t.Errorf("%s: %q, %v", ip, has, err)
				}
			}
		})
	}
}

// A pod on the node's network has the node's hosts file with its own aliases added.
func TestHostsMountOnTheNodesNetwork(t *testing.T) {
	node := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(node, []byte("127.0.0.1\tlocalhost\n10.1.2.3\tprinter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	v := &Manager{Dir: t.TempDir(), NodeHosts: node, Sources: podtest.NewObjects()}
	pod := podtest.Pod(t, `{hostNetwork: true, containers: [{name: c}], hostAliases: [{ip: 10.0.0.1, hostnames: [db, db.local]}]}`)
	m, err := v.hostsMount(pod, &pod.Spec.Containers[0], netip.Addr{})
	if err != nil || m == nil {
		t.Fatalf("%+v, %v", m, err)
	}
	const want = "# Kubernetes-managed hosts file (host network).\n127.0.0.1\tlocalhost\n10.1.2.3\tprinter\n\n# Entries added by HostAliases.\n10.0.0.1\tdb\tdb.local\n"
	if has, err := os.ReadFile(m.Source); err != nil || string(has) != want {
		t.Errorf("%q, %v\nwant %q", has, err, want)
	}
	v.NodeHosts = filepath.Join(t.TempDir(), "missing")
	if m, err := v.hostsMount(pod, &pod.Spec.Containers[0], netip.Addr{}); err == nil {
		t.Errorf("without the node's file: %+v", m)
	}
}

func TestResolvMount(t *testing.T) {
	const alone = `dnsPolicy: None, dnsConfig: {nameservers: [10.1.2.3], searches: [a.example]}`
	v := &Manager{Dir: t.TempDir(), Sources: podtest.NewObjects(), ResolvConf: func(p *corev1.Pod) (string, error) {
		r, _, _ := spec.OwnDNS(p, spec.Cluster{}, spec.Resolver{})
		return r.String(), nil
	}}
	for _, c := range []struct {
		name, spec string
		want       string
	}{
		{"alone", `{` + alone + `, containers: [{name: c}]}`, "search a.example\nnameserver 10.1.2.3\n"},
		{"added to the node's", `{dnsPolicy: Default, dnsConfig: {nameservers: [10.1.2.3]}, containers: [{name: c}]}`, ""},
		{"a file of its own", `{` + alone + `, containers: [{name: c, volumeMounts: [{name: r, mountPath: /etc/resolv.conf}]}], volumes: [{name: r, emptyDir: {}}]}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			pod := podtest.Pod(t, c.spec)
			m, err := v.resolvMount(pod, &pod.Spec.Containers[0])
			if err != nil || (m != nil) != (c.want != "") {
				t.Fatalf("%+v, %v", m, err)
			}
			if m == nil {
				return
			}
			if has, err := os.ReadFile(m.Source); err != nil || string(has) != c.want || m.Target != "/etc/resolv.conf" {
				t.Errorf("%+v: %q, %v", m, has, err)
			}
		})
	}
}
