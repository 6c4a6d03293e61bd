package userland

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"skiff/network/protocol"
	"skiff/network/router/internal/state"
)

func ip(text string) netip.Addr { return netip.MustParseAddr(text) }

func endpoints(list ...string) []netip.AddrPort {
	var out []netip.AddrPort
	for _, e := range list {
		out = append(out, netip.MustParseAddrPort(e))
	}
	return out
}

func sample() *state.State {
	key := func(name string) protocol.Key { return protocol.Key{Namespace: "default", Name: name} }
	services := []*protocol.Service{
		{Key: key("web"), Addresses: []netip.Addr{ip("10.77.12.5")}, External: []netip.Addr{ip("10.77.12.9"), ip("192.0.2.1")}, Affinity: time.Minute, Ports: []protocol.Port{{
			Protocol: "tcp", Port: 80, NodePort: 30080, Endpoints: endpoints("10.77.0.1:1", "10.77.0.2:1", "10.77.0.3:1"),
			From: map[string][]netip.AddrPort{"n1": endpoints("10.77.0.1:1"), "n3": nil}, At: map[string][]netip.AddrPort{"n2": endpoints("10.77.0.2:1")},
		}}},
		{Key: key("zoo"), Addresses: []netip.Addr{ip("10.77.12.6")}, External: []netip.Addr{ip("10.77.12.9")}, Ports: []protocol.Port{
			{Protocol: "tcp", Port: 80, Endpoints: endpoints("10.77.0.9:1")}, {Protocol: "udp", Port: 80},
		}},
	}
	s := &state.State{
		Config: &protocol.Config{Subnet: netip.MustParsePrefix("10.77.0.0/20")}, Services: map[protocol.Key]*protocol.Service{},
		Nodes: []protocol.Node{
			{Name: "n1", Address: ip("10.77.6.2"), Machine: true},
			{Name: "n2", Address: ip("10.77.6.3"), Pods: []netip.Addr{ip("10.77.0.20")}},
			{Name: "n3", Address: ip("10.77.6.4"), Pods: []netip.Addr{ip("10.77.0.30")}},
		},
	}
	for _, service := range services {
		s.Services[service.Key] = service
	}
	return s
}

func TestRoutes(t *testing.T) {
	all, problems := routes(sample())
	var got []string
	for _, at := range slices.SortedFunc(maps.Keys(all), target.compare) {
		got = append(got, fmt.Sprint(at, " ", all[at].key, " ", all[at].node))
	}
	want := `tcp 10.77.6.2:30080 default/web n1
tcp 10.77.6.3:30080 default/web n2
tcp 10.77.6.4:30080 default/web n3
tcp 10.77.12.5:80 default/web 
tcp 10.77.12.6:80 default/zoo 
tcp 10.77.12.9:80 default/web `
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	if got, want := fmt.Sprint(problems), "map[default/zoo:tcp 10.77.12.9:80 belongs to service default/web]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestEndpoints checks which list is a client's.
func TestEndpoints(t *testing.T) {
	all, _ := routes(sample())
	for _, c := range []struct{ at, client, want string }{
		{"10.77.12.5:80", "10.77.0.20", "[10.77.0.1:1 10.77.0.2:1 10.77.0.3:1]"}, // a pod of a node for which there is no other
		{"10.77.12.5:80", "10.77.0.30", "[]"},
		{"10.77.12.5:80", "10.77.0.99", "[10.77.0.1:1]"}, // no node's pod: the machine's
		{"10.77.6.3:30080", "10.77.0.30", "[10.77.0.2:1]"},
		{"10.77.6.4:30080", "10.77.0.30", "[10.77.0.1:1 10.77.0.2:1 10.77.0.3:1]"},
	} {
		at := netip.MustParseAddrPort(c.at)
		if got := fmt.Sprint(all[target{at.Addr(), "tcp", at.Port()}].endpoints(ip(c.client))); got != c.want {
			t.Errorf("from %s to %s: got %s, want %s", c.client, c.at, got, c.want)
		}
	}
}

// TestAffinity checks that a client stays for a time, and no longer than its endpoint.
func TestAffinity(t *testing.T) {
	s := sample()
	all, _ := routes(s)
	r := all[target{ip("10.77.12.5"), "tcp", 80}]
	var m memory
	now := time.Unix(1000, 0)
	client := ip("10.77.0.20")
	choose := func() netip.AddrPort {
		t.Helper()
		e, err := m.choose(r, client, now)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	first := choose()
	for range 100 {
		now = now.Add(time.Minute) // each time begins anew
		if e := choose(); e != first {
			t.Fatalf("after %s it was %s", first, e)
		}
	}
	seen := map[netip.AddrPort]bool{}
	for range 100 {
		now = now.Add(time.Minute + 1)
		seen[choose()] = true
	}
	if len(seen) != 3 {
		t.Errorf("after its time a client is at %v only", seen)
	}
	gone := choose()
	r.port.Endpoints = slices.DeleteFunc(r.port.Endpoints, func(e netip.AddrPort) bool { return e == gone })
	if e := choose(); e == gone {
		t.Errorf("%s is gone and was chosen", gone)
	}
	if _, err := m.choose(r, ip("10.77.0.30"), now); !errors.Is(err, errNoEndpoint) {
		t.Errorf("a client without endpoints: %v", err)
	}
}
