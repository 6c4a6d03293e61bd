package spec

import (
	"net/netip"
	"testing"

	"skiff/orchestrator/node/internal/podtest"
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
			if got := HostsFile(podtest.Pod(t, c.spec), netip.MustParseAddr("172.30.0.9"), "cluster.local"); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}
