package docker

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func prefixes(list ...string) []netip.Prefix {
	var parsed []netip.Prefix
	for _, one := range list {
		parsed = append(parsed, netip.MustParsePrefix(one))
	}
	return parsed
}

func TestFreeSubnets(t *testing.T) {
	for _, test := range []struct {
		name  string
		taken []netip.Prefix
		count int
		in    string
	}{
		{"nothing taken", nil, 16 + 16 + 64 + 4, "10.244.0.0/14"},
		{"a cluster's network", prefixes("10.244.0.0/16"), 12 + 16 + 64 + 4, "10.244.0.0/14"},
		{"a VPN that routes all of 10/8", prefixes("10.0.0.0/8"), 64 + 4, "172.16.0.0/12"},
		{"docker's pool", prefixes("10.0.0.0/8", "172.16.0.0/12"), 4, "192.168.0.0/16"},
		{"one small network", prefixes("192.168.1.0/24", "10.0.0.0/8", "172.16.0.0/12"), 3, "192.168.0.0/16"},
		{"everything", prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"), 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			free := freeSubnets(test.taken, "i")
			if len(free) != test.count {
				t.Fatalf("%d subnets, want %d", len(free), test.count)
			}
			for _, one := range free {
				if overlapsAny(one, test.taken) || one != one.Masked() {
					t.Errorf("%s is not free", one)
				}
			}
			if test.count > 0 && !netip.MustParsePrefix(test.in).Overlaps(free[0]) {
				t.Errorf("first is %s, want one of %s", free[0], test.in)
			}
			slices.SortFunc(free, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
			if len(slices.Compact(free)) != test.count {
				t.Error("a subnet comes twice")
			}
		})
	}
	if freeSubnets(nil, "one")[0] == freeSubnets(nil, "another")[0] {
		t.Error("two instances begin with the same subnet")
	}
}

func TestParseRoutes(t *testing.T) {
	const table = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010200C0	0003	0	0	0	00000000	0	0	0
docker0	000011AC	00000000	0001	0	0	0	0000FFFF	0	0	0
tun0	0000000A	00000000	0001	0	0	0	000000FF	0	0	0
eth0	000200C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
`
	want := prefixes("172.17.0.0/16", "10.0.0.0/8", "192.0.2.0/24")
	if got := parseRoutes([]byte(table)); !slices.Equal(got, want) {
		t.Errorf("routes %v, want %v", got, want)
	}
}

// fakeNetworks answers as an engine with the given networks, and refuses some of what it is to
// create.
type fakeNetworks struct {
	list    []map[string]any
	refuse  func(subnet string) string
	created []string
}

func (n *fakeNetworks) serve(f *fakeEngine) {
	f.on("GET /networks", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, n.list) })
	f.on("POST /networks/create", func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			Name, Driver   string
			CheckDuplicate bool
			Labels         map[string]string
			IPAM           struct {
				Config []struct{ Subnet, Gateway, IPRange string }
			}
		}
		check(f.t, json.NewDecoder(r.Body).Decode(&asked))
		config := asked.IPAM.Config[0]
		if why := n.refuse(config.Subnet); why != "" {
			writeJSON(w, http.StatusForbidden, map[string]string{"message": why})
			return
		}
		n.created = append(n.created, fmt.Sprintf("%s %s %s %s %s %v %v", asked.Name, asked.Driver, config.Subnet, config.Gateway, config.IPRange, asked.Labels, asked.CheckDuplicate))
		writeJSON(w, http.StatusCreated, map[string]string{"Id": "n"})
	})
}

func networkOf(name, instance, subnet, gateway string) map[string]any {
	return map[string]any{
		"Name": name, "Id": "id-" + name, "Labels": map[string]string{InstanceLabel: instance},
		"IPAM": map[string]any{"Config": []map[string]string{{"Subnet": subnet, "Gateway": gateway}}},
	}
}

func accept(string) string { return "" }

func TestEnsureNetwork(t *testing.T) {
	other := networkOf("skiff-other", "other", "10.244.0.0/14", "10.244.0.1")
	first := freeSubnets(prefixes("10.244.0.0/14", "10.0.0.0/9"), "i")
	for _, test := range []struct {
		name       string
		networks   fakeNetworks
		containers []map[string]any
		options    Options
		want       string
		created    int
		err        error
	}{
		{
			name:     "it is there",
			networks: fakeNetworks{list: []map[string]any{other, networkOf("skiff-i", "i", "10.9.0.0/20", "10.9.0.1")}},
			want:     "10.9.0.0/20 10.9.0.1",
		},
		{
			name:     "it is made beside what there is",
			networks: fakeNetworks{list: []map[string]any{other}, refuse: accept},
			want:     first[0].String(), created: 1,
		},
		{
			name: "another daemon was quicker",
			networks: fakeNetworks{refuse: func(subnet string) string {
				if subnet == first[0].String() || subnet == first[1].String() {
					return "Pool overlaps with other one on this address space"
				}
				return ""
			}, list: []map[string]any{other}},
			want: first[2].String(), created: 1,
		},
		{
			name:       "it was removed under its containers",
			networks:   fakeNetworks{list: []map[string]any{other}, refuse: accept},
			containers: []map[string]any{containerAt(""), containerAt("10.9.3.7")},
			want:       "10.9.0.0/18 10.9.0.1", created: 1,
		},
		{
			name:     "a subnet given",
			networks: fakeNetworks{refuse: accept},
			options:  Options{Subnet: netip.MustParsePrefix("10.7.0.0/16")},
			want:     "10.7.0.0/16 10.7.0.1", created: 1,
		},
		{
			name:     "the name is taken",
			networks: fakeNetworks{list: []map[string]any{networkOf("skiff-i", "another", "10.9.0.0/20", "10.9.0.1")}},
			err:      ErrConflict,
		},
		{
			name:     "nothing is free",
			networks: fakeNetworks{refuse: func(string) string { return "networks have overlapping IPv4" }},
			err:      ErrNoSubnet,
		},
		{
			name:     "refused for another reason",
			networks: fakeNetworks{refuse: func(string) string { return "no iptables" }},
			err:      errAny,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake := newFake(t).start()
			test.networks.serve(fake)
			fake.onJSON("GET /containers/json", test.containers)
			fake.onError("GET /containers/skiff-i-router/json", 404, "No such container")
			e := fake.connect(test.options)
			e.routes = func() ([]netip.Prefix, error) { return prefixes("10.0.0.0/9"), nil }
			layout, err := e.EnsureNetwork(t.Context())
			if test.err != nil {
				if test.err != errAny || err == nil {
					wantKind(t, err, test.err)
				}
				return
			}
			check(t, err)
			if got := layout.Subnet.String() + " " + layout.Gateway.String(); !strings.HasPrefix(got, test.want) {
				t.Errorf("network %s, want %s", got, test.want)
			}
			if len(test.networks.created) != test.created {
				t.Fatalf("created %q", test.networks.created)
			}
			if want := fmt.Sprintf("skiff-i bridge %s %s %s map[skiff/instance:i] true", layout.Subnet, layout.Gateway, layout.Engine); test.created > 0 && test.networks.created[0] != want {
				t.Errorf("created %q, want %q", test.networks.created[0], want)
			}
		})
	}
}

// containerAt is a dead container that had the address.
func containerAt(address string) map[string]any {
	return map[string]any{"Id": "c" + address, "State": "exited", "NetworkSettings": map[string]any{
		"Networks": map[string]any{"skiff-i": map[string]any{"IPAMConfig": map[string]string{"IPv4Address": address}}},
	}}
}

// TestNetworkOfBefore: in a network that was not divided yet, the router stands aside for a pod.
func TestNetworkOfBefore(t *testing.T) {
	for _, test := range []struct {
		name       string
		containers []map[string]any
		has        string // where there is a router already
		router     string
	}{
		{"nobody is there", nil, "", "10.9.6.1"},
		{"a pod is there", []map[string]any{containerAt("10.9.6.1"), containerAt("10.9.0.2")}, "", "10.9.6.2"},
		{"the pod has gone", []map[string]any{containerAt("10.9.0.2")}, "10.9.6.2", "10.9.6.2"},
		{"a pod is where the router is", []map[string]any{containerAt("10.9.6.2")}, "10.9.6.2", "10.9.6.1"},
		{"the router is of another network", nil, "10.8.6.2", "10.9.6.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake := newFake(t).start()
			networks := fakeNetworks{list: []map[string]any{networkOf("skiff-i", "i", "10.9.0.0/20", "10.9.0.1")}}
			networks.serve(fake)
			fake.onJSON("GET /containers/json", test.containers)
			if fake.onError("GET /containers/skiff-i-router/json", 404, "No such container"); test.has != "" {
				router := containerAt(test.has)
				router["State"] = map[string]any{"Status": "running"}
				fake.onJSON("GET /containers/skiff-i-router/json", router)
			}
			l, err := fake.connect(Options{}).EnsureNetwork(t.Context())
			check(t, err)
			if l.Router.String() != test.router || l.Services.String() != "10.9.12.0/22" {
				t.Errorf("layout %+v, want the router at %s", l, test.router)
			}
		})
	}
}

func TestRemoveNetworkThatTheEngineHasLostCountOf(t *testing.T) {
	for _, test := range []struct {
		name string
		in   map[string]any
		lost bool
	}{
		{"nobody is in it", map[string]any{}, true},
		{"somebody is in it", map[string]any{"c1": map[string]any{"Name": "x"}}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t).start()
			f.onJSON("GET /networks", []any{networkOf("skiff-i", "i", "10.1.0.0/16", "10.1.0.1")})
			f.onError("DELETE /networks/id-skiff-i", 403, "error while removing network: network skiff-i id 1 has active endpoints")
			f.onJSON("GET /networks/id-skiff-i", map[string]any{"Name": "skiff-i", "Containers": test.in})
			clock := fakeClock()
			done := make(chan error, 1)
			e := f.connect(Options{Instance: "i", Clock: clock})
			go func() { done <- e.RemoveNetwork(t.Context()) }()
			for range networkTries - 1 {
				step(t, clock, networkPause)
			}
			err := <-done
			if errors.Is(err, ErrEndpointsLost) != test.lost {
				t.Errorf("got %v", err)
			}
		})
	}
}
