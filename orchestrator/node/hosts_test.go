package node

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
)

func TestHostsFile(t *testing.T) {
	const head = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n" +
		"fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n"
	for _, c := range []struct{ name, spec, want string }{
		{"plain", `containers: [{name: c}]`, head + "172.30.0.9\tkubia\n"},
		{"aliases", `{containers: [{name: c}], hostAliases: [{ip: 10.0.0.1, hostnames: [db, db.local]}, {ip: 10.0.0.2, hostnames: [web]}]}`,
			head + "172.30.0.9\tkubia\n\n# Entries added by HostAliases.\n10.0.0.1\tdb\tdb.local\n10.0.0.2\tweb\n"},
		{"of another name", `{containers: [{name: c}], hostname: web}`, head + "172.30.0.9\tweb\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := hostsFile(testPod(t, c.spec), netip.MustParseAddr("172.30.0.9")); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestHostsMount(t *testing.T) {
	v := &volumes{dir: t.TempDir(), sources: testObjects()}
	for _, c := range []struct {
		name, spec string
		mounted    bool
	}{
		{"plain", `containers: [{name: c}]`, true},
		{"the node's network", `{containers: [{name: c}], hostNetwork: true}`, false},
		{"a file of its own", `{containers: [{name: c, volumeMounts: [{name: h, mountPath: /etc/hosts}]}], volumes: [{name: h, emptyDir: {}}]}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			pod := testPod(t, c.spec)
			for _, ip := range []string{"172.30.0.9", "172.30.0.10"} {
				addr := netip.MustParseAddr(ip)
				m, err := v.hostsMount(pod, &pod.Spec.Containers[0], addr)
				if err != nil || (m != nil) != c.mounted {
					t.Fatalf("%+v, %v", m, err)
				}
				if m == nil {
					continue
				}
				if has, err := os.ReadFile(m.Source); err != nil || string(has) != hostsFile(pod, addr) {
					t.Errorf("%s: %q, %v", ip, has, err)
				}
			}
		})
	}
}

// A pod on the node's network has the node's hosts, and its aliases beside them.
func TestHostsMountOnTheNodesNetwork(t *testing.T) {
	node := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(node, []byte("127.0.0.1\tlocalhost\n10.1.2.3\tprinter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	v := &volumes{dir: t.TempDir(), nodeHosts: node, sources: testObjects()}
	pod := testPod(t, `{hostNetwork: true, containers: [{name: c}], hostAliases: [{ip: 10.0.0.1, hostnames: [db, db.local]}]}`)
	m, err := v.hostsMount(pod, &pod.Spec.Containers[0], netip.Addr{})
	if err != nil || m == nil {
		t.Fatalf("%+v, %v", m, err)
	}
	const want = "# Kubernetes-managed hosts file (host network).\n127.0.0.1\tlocalhost\n10.1.2.3\tprinter\n\n# Entries added by HostAliases.\n10.0.0.1\tdb\tdb.local\n"
	if has, err := os.ReadFile(m.Source); err != nil || string(has) != want {
		t.Errorf("%q, %v\nwant %q", has, err, want)
	}
	v.nodeHosts = filepath.Join(t.TempDir(), "missing")
	if m, err := v.hostsMount(pod, &pod.Spec.Containers[0], netip.Addr{}); err == nil {
		t.Errorf("without the node's file: %+v", m)
	}
}
