package state

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"skiff/network/protocol"
)

func ip(text string) netip.Addr { return netip.MustParseAddr(text) }

func config() *protocol.Config {
	prefix := netip.MustParsePrefix
	return &protocol.Config{
		Subnet: prefix("10.77.0.0/20"), Gateway: ip("10.77.0.1"), Router: ip("10.77.6.1"), Pods: prefix("10.77.0.0/22"),
		Nodes: prefix("10.77.6.0/23"), Shadows: prefix("10.77.8.0/22"), Services: prefix("10.77.12.0/22"), Domain: "cluster.local",
	}
}

func key(name string) protocol.Key { return protocol.Key{Namespace: "default", Name: name} }

func service(name, address string) protocol.Service {
	return protocol.Service{Key: key(name), Addresses: []netip.Addr{ip(address)}, Ports: []protocol.Port{{Protocol: "tcp", Port: 80}}}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// changed is a change as text.
func changed(c Change, err error) string {
	if err != nil {
		return err.Error()
	}
	text := fmt.Sprint(c.Services)
	for _, key := range slices.SortedFunc(func(yield func(protocol.Key) bool) {
		for key := range c.Problems {
			if !yield(key) {
				return
			}
		}
	}, CompareKeys) {
		text += fmt.Sprintf(" %s: %v", key, c.Problems[key])
	}
	if c.Config {
		text += " config"
	}
	if c.Nodes {
		text += " nodes"
	}
	return text
}

// TestApply follows a state through updates.
func TestApply(t *testing.T) {
	var s State
	other := config()
	other.Domain = "other"
	smaller := config()
	smaller.Services = netip.MustParsePrefix("10.77.14.0/23")
	n1 := protocol.Node{Name: "n1", Address: ip("10.77.6.2")}
	for _, step := range []struct {
		update protocol.Update
		want   string
	}{
		{protocol.Update{Set: []protocol.Service{service("a", "10.77.12.1")}}, ErrNoConfig.Error()},
		{protocol.Update{Config: config(), Whole: true, Nodes: []protocol.Node{n1}, Set: []protocol.Service{service("b", "10.77.12.2"), service("a", "10.77.12.1")}}, "[default/a default/b] config nodes"},
		{protocol.Update{Config: config(), Whole: true, Nodes: []protocol.Node{n1}, Set: []protocol.Service{service("a", "10.77.12.1"), service("b", "10.77.12.2")}}, "[]"},
		{protocol.Update{Set: []protocol.Service{service("c", "10.77.12.3"), service("a", "10.77.12.1")}, Delete: []protocol.Key{key("b"), key("none")}}, "[default/b default/c]"},
		{protocol.Update{Set: []protocol.Service{service("c", "10.77.12.4")}, Delete: []protocol.Key{key("c")}}, "[default/c]"}, // set counts
		{protocol.Update{Set: []protocol.Service{service("a", "10.77.0.1"), service("d", "10.77.12.5")}}, "[default/a default/d] default/a: address 10.77.0.1 is not in 10.77.12.0/22"},
		{protocol.Update{Config: other, Whole: true}, "[default/c default/d] config nodes"},
		{protocol.Update{Config: config(), Set: []protocol.Service{service("a", "10.77.12.1"), service("z", "10.77.15.1")}}, "[default/a default/z] config"},
		{protocol.Update{Config: smaller}, "[default/a] default/a: address 10.77.12.1 is not in 10.77.14.0/23 config"},
		{protocol.Update{Nodes: []protocol.Node{n1, n1}}, `node "n1": there is another one of that name, or it has none`},
		{protocol.Update{Nodes: []protocol.Node{{Name: "far", Address: ip("10.77.0.2")}}}, "node far: address 10.77.0.2 is not in 10.77.6.0/23"},
		{protocol.Update{Set: []protocol.Service{{}}}, `service "/" has no name or no namespace`},
	} {
		u := step.update
		if got := changed(s.Apply(&u)); got != step.want {
			t.Errorf("got %s\nwant %s", got, step.want)
		}
	}
	if len(s.Services) != 1 || s.Services[key("z")] == nil {
		t.Errorf("at the end there are %v", s.Services)
	}
}

// TestConfig refuses configurations that make no sense.
func TestConfig(t *testing.T) {
	for what, spoil := range map[string]func(*protocol.Config){
		"nothing":              func(c *protocol.Config) { *c = protocol.Config{} },
		"no domain":            func(c *protocol.Config) { c.Domain = "" },
		"router elsewhere":     func(c *protocol.Config) { c.Router = ip("192.0.2.1") },
		"no gateway":           func(c *protocol.Config) { c.Gateway = netip.Addr{} },
		"services elsewhere":   func(c *protocol.Config) { c.Services = netip.MustParsePrefix("10.96.0.0/16") },
		"nodes larger":         func(c *protocol.Config) { c.Nodes = netip.MustParsePrefix("10.0.0.0/8") },
		"no pods":              func(c *protocol.Config) { c.Pods = netip.Prefix{} },
		"few shadows":          func(c *protocol.Config) { c.Shadows = netip.MustParsePrefix("10.77.8.0/24") },
		"pods as their shadow": func(c *protocol.Config) { c.Shadows = c.Pods },
		"IPv6":                 func(c *protocol.Config) { c.Subnet = netip.MustParsePrefix("fd00::/64") },
	} {
		c := config()
		spoil(c)
		var s State
		if _, err := s.Apply(&protocol.Update{Config: c, Whole: true}); err == nil || s.Config != nil {
			t.Errorf("%s is taken", what)
		}
	}
}

// TestCheck refuses services that make no sense.
func TestCheck(t *testing.T) {
	good := []netip.AddrPort{netip.MustParseAddrPort("10.77.0.10:80")}
	bad := []netip.AddrPort{netip.MustParseAddrPort("[fd00::1]:80")}
	for want, s := range map[string]protocol.Service{
		"": {
			Addresses: []netip.Addr{ip("10.77.12.1")}, External: []netip.Addr{ip("192.0.2.1")},
			Ports: []protocol.Port{{Protocol: "udp", Port: 53, Endpoints: good, At: map[string][]netip.AddrPort{"n": nil}}},
		},
		"address 10.77.11.1 is not in 10.77.12.0/22":                                {Addresses: []netip.Addr{ip("10.77.11.1")}},
		"external address fd00::1 is no IPv4 address":                               {External: []netip.Addr{ip("fd00::1")}},
		`port 80: protocol "sctp" is neither tcp nor udp`:                           {Ports: []protocol.Port{{Protocol: "sctp", Port: 80}}},
		`port "http": no number`:                                                    {Ports: []protocol.Port{{Protocol: "tcp", Name: "http"}}},
		"port 80: endpoint [fd00::1]:80 has no IPv4 address or no port":             {Ports: []protocol.Port{{Protocol: "tcp", Port: 80, Endpoints: bad}}},
		"port 80, node n: endpoint [fd00::1]:80 has no IPv4 address or no port":     {Ports: []protocol.Port{{Protocol: "tcp", Port: 80, From: map[string][]netip.AddrPort{"n": bad}}}},
		"port 81, node n: endpoint invalid AddrPort has no IPv4 address or no port": {Ports: []protocol.Port{{Protocol: "tcp", Port: 81, At: map[string][]netip.AddrPort{"n": {{}}}}}},
		`host "h" has no address`:                                                   {Hosts: []protocol.Host{{Name: "h"}}},
		"affinity of -1ns":                                                          {Affinity: -1},
	} {
		got := ""
		s.Key = key("name")
		if err := Check(config(), &s); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestNames refuses what is no name.
func TestNames(t *testing.T) {
	for name, good := range map[string]bool{
		"web": true, "web-1": true, "1": true, "": false, "Web": false, "a.b": false, "a/b": false, "a\x00": false,
		strings.Repeat("x", 63): true, strings.Repeat("x", 64): false,
	} {
		for _, k := range []protocol.Key{{Namespace: name, Name: "web"}, {Namespace: "default", Name: name}} {
			if err := Check(config(), &protocol.Service{Key: k}); (err == nil) != good {
				t.Errorf("%q: %v", k, err)
			}
		}
	}
}

// TestMerge checks that what is in order later has no problem.
func TestMerge(t *testing.T) {
	bad := errors.New("bad")
	a := Change{Nodes: true, Services: []protocol.Key{key("a"), key("b")}, Problems: map[protocol.Key]error{key("a"): bad, key("b"): bad}}
	b := Change{Config: true, Services: []protocol.Key{key("a"), key("c")}, Problems: map[protocol.Key]error{key("c"): bad}}
	got := changed(a.Merge(b), nil)
	if want := "[default/a default/b default/c] default/b: bad default/c: bad config nodes"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if !(Change{}).Merge(Change{}).Empty() || a.Empty() {
		t.Error("what is empty is not, or the other way round")
	}
}

// TestFile checks that the state comes back as it was.
func TestFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state", "state.json")
	u, err := Read(file)
	check(t, err)
	if u != nil {
		t.Errorf("nothing reads as %+v", u)
	}
	var before, after State
	_, err = before.Apply(&protocol.Update{
		Config: config(), Whole: true, Nodes: []protocol.Node{{Name: "n1", Address: ip("10.77.6.2"), Pods: []netip.Addr{ip("10.77.0.10")}}},
		Set: []protocol.Service{service("a", "10.77.12.1"), service("b", "10.77.12.2")},
	})
	check(t, err)
	content, err := before.Encode()
	check(t, err)
	check(t, Write(file, content))
	check(t, Write(file, content))
	u, err = Read(file)
	check(t, err)
	_, err = after.Apply(u)
	check(t, err)
	if !reflect.DeepEqual(before, after) {
		t.Errorf("before\n%+v\nafter\n%+v", before, after)
	}
	check(t, os.WriteFile(file, content[:len(content)/2], 0o600))
	if _, err := Read(file); err == nil {
		t.Error("half a file is read")
	}
	check(t, os.WriteFile(file, []byte(`{"Version":0,"Config":{}}`), 0o600))
	if u, err := Read(file); u != nil || err != nil {
		t.Errorf("another version's file reads as %+v, %v", u, err)
	}
}
