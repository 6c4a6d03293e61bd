package door

import (
	"log/slog"
	"net/netip"
	"testing"

	"skiff/network/protocol"
)

func testDoor() *door {
	return &door{ctx: nil, log: slog.New(slog.DiscardHandler), addresses: map[target]*address{}}
}

func to(service string, at ...string) protocol.Backend {
	b := protocol.Backend{Service: protocol.Key{Namespace: "shop", Name: service}}
	for _, a := range at {
		b.To = append(b.To, netip.MustParseAddrPort(a))
	}
	return b
}

func oneSite(host string, b protocol.Backend) protocol.Site {
	return protocol.Site{Host: host, Title: "service " + b.Service.String(), Paths: []protocol.Path{{Path: "/", Backend: b}}}
}

func TestSites(t *testing.T) {
	some := testDoor().compile(&protocol.Door{Sites: []protocol.Site{
		{Host: "shop.example.org", Title: "exact"},
		{Host: "*.example.org", Title: "wildcard"},
		{Host: "*.localhost", Title: "local wildcard"},
	}})
	rest := testDoor().compile(&protocol.Door{Sites: []protocol.Site{
		{Host: "shop.example.org", Title: "exact"}, {Title: "rest"},
	}})
	for _, test := range []struct {
		table      *table
		name, want string
	}{
		{some, "shop.example.org", "exact"},
		{some, "other.example.org", "wildcard"},
		{some, "a.b.example.org", ""},
		{some, "example.org", ""},
		{some, "web.shop.localhost", ""},
		{some, "shop.localhost", "local wildcard"},
		{some, "localhost", ""},
		{rest, "shop.example.org", "exact"},
		{rest, "anything", "rest"},
		{rest, "localhost", "rest"},
	} {
		got := ""
		if s := test.table.site(test.name); s != nil {
			got = s.title
		}
		if got != test.want {
			t.Errorf("site of %q is %q, want %q", test.name, got, test.want)
		}
	}
}

func TestPaths(t *testing.T) {
	type paths []protocol.Path
	p := func(path, service string) protocol.Path { return protocol.Path{Path: path, Backend: to(service)} }
	x := func(path, service string) protocol.Path {
		return protocol.Path{Path: path, Exact: true, Backend: to(service)}
	}
	for _, test := range []struct {
		paths      paths
		path, want string
	}{
		{paths{p("/", "all")}, "/", "all"},
		{paths{p("/", "all")}, "/a/b", "all"},
		{paths{p("/a", "a")}, "/a", "a"},
		{paths{p("/a", "a")}, "/a/", "a"},
		{paths{p("/a", "a")}, "/a/b", "a"},
		{paths{p("/a", "a")}, "/ab", ""},
		{paths{p("/a", "a")}, "/", ""},
		{paths{p("/a/", "a")}, "/a", "a"},
		{paths{p("/a/", "a")}, "/a/b", "a"},
		{paths{p("/", "all"), p("/a", "a"), p("/a/b", "b")}, "/a/b/c", "b"},
		{paths{p("/", "all"), p("/a", "a"), p("/a/b", "b")}, "/a/bc", "a"},
		{paths{p("/", "all"), p("/a", "a"), p("/a/b", "b")}, "/A", "all"},
		{paths{p("/a", "prefix"), x("/a", "exact")}, "/a", "exact"},
		{paths{p("/a/", "prefix"), x("/a", "exact")}, "/a", "exact"},
		{paths{p("/a", "prefix"), x("/a", "exact")}, "/a/", "prefix"},
		{paths{x("/a", "exact")}, "/a/", ""},
		{paths{x("/a/", "exact")}, "/a", ""},
		{paths{x("/", "exact")}, "/", "exact"},
		{paths{x("/", "exact")}, "/a", ""},
		{nil, "/", ""},
	} {
		table := testDoor().compile(&protocol.Door{Sites: []protocol.Site{{Host: "h", Paths: test.paths}}})
		got := ""
		if b := table.site("h").backend(test.path); b != nil {
			got = b.service
		}
		if want := test.want; want == "" && got != "" || want != "" && got != "shop/"+want {
			t.Errorf("%q among %v leads to %q, want %q", test.path, test.paths, got, want)
		}
	}
}
