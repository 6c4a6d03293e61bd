package names

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"skiff/network/protocol"
)

func ip(text string) netip.Addr { return netip.MustParseAddr(text) }

func config() *protocol.Config {
	return &protocol.Config{
		Subnet: netip.MustParsePrefix("10.77.0.0/20"), Router: ip("10.77.6.1"), Pods: netip.MustParsePrefix("10.77.0.0/22"),
		Domain: "cluster.local",
	}
}

func endpoints(list ...string) []netip.AddrPort {
	var out []netip.AddrPort
	for _, e := range list {
		out = append(out, netip.MustParseAddrPort(e))
	}
	return out
}

// sample has a service of each sort.
func sample() *packets {
	x := NewIndex()
	x.Configure(config())
	for _, s := range []protocol.Service{
		{
			Key: protocol.Key{Namespace: "default", Name: "web"}, Addresses: []netip.Addr{ip("10.77.12.5")},
			Ports: []protocol.Port{{Name: "http", Protocol: "tcp", Port: 80}, {Name: "dns", Protocol: "udp", Port: 53}},
		},
		{
			Key: protocol.Key{Namespace: "db", Name: "pg"},
			Hosts: []protocol.Host{
				{Name: "pg-0", Address: ip("10.77.0.10")}, {Name: "pg-1", Address: ip("10.77.0.11")}, {Address: ip("10.77.0.12")},
			},
			Ports: []protocol.Port{
				{Name: "sql", Protocol: "tcp", Port: 5432, Endpoints: endpoints("10.77.0.10:15432", "10.77.0.11:5432", "10.77.0.12:5432")},
			},
		},
		{Key: protocol.Key{Namespace: "db", Name: "plain"}, Hosts: []protocol.Host{{Name: "h", Address: ip("10.77.0.10")}}, Ports: []protocol.Port{{Protocol: "tcp", Port: 1}}},
		{Key: protocol.Key{Namespace: "db", Name: "nobody"}, Ports: []protocol.Port{{Name: "sql", Protocol: "tcp", Port: 5432}}},
		{
			Key: protocol.Key{Namespace: "db", Name: "both"}, Addresses: []netip.Addr{ip("10.77.12.6")},
			Hosts: []protocol.Host{{Name: "one", Address: ip("10.77.0.30")}},
		},
		{Key: protocol.Key{Namespace: "ext", Name: "out"}, ExternalName: "example.org"},
		{Key: protocol.Key{Namespace: "ext", Name: "in"}, ExternalName: "web.default.svc.cluster.local."},
		{Key: protocol.Key{Namespace: "ext", Name: "loop"}, ExternalName: "pool.ext.svc.cluster.local"},
		{Key: protocol.Key{Namespace: "ext", Name: "pool"}, ExternalName: "loop.ext.svc.cluster.local"},
	} {
		x.Set(&s)
	}
	return &packets{index: x}
}

// TestAliases: a service answers by its further names as long as it has them; a service of that very name
// goes before, and one that takes the name later has it.
func TestAliases(t *testing.T) {
	x := NewIndex()
	x.Configure(config())
	p := &packets{index: x}
	set := func(name, address string, aliases ...string) {
		x.Set(&protocol.Service{Key: protocol.Key{Namespace: "shop", Name: name}, Addresses: []netip.Addr{ip(address)}, Aliases: aliases})
	}
	asks := func(name, want string) {
		t.Helper()
		if want != "" {
			want = "NOERROR " + name + ".shop.svc.cluster.local. A " + want
		} else {
			want = "NXDOMAIN ; cluster.local. SOA ns.dns.cluster.local. minimum 1"
		}
		if got := ask(t, p, name+".shop.svc.cluster.local. A", 0); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	set("db", "10.77.12.5", "my_db", "store")
	asks("my_db", "10.77.12.5")
	asks("MY_DB", "10.77.12.5")
	asks("store", "10.77.12.5")
	set("store", "10.77.12.6")
	asks("store", "10.77.12.6")
	set("other", "10.77.12.7", "my_db")
	set("db", "10.77.12.5")
	asks("my_db", "10.77.12.7")
	asks("store", "10.77.12.6")
	x.Delete(protocol.Key{Namespace: "shop", Name: "other"})
	asks("my_db", "")
}

// TestAnswers compares answers, as text, with what the specification says.
func TestAnswers(t *testing.T) {
	p := sample()
	soa := "; cluster.local. SOA ns.dns.cluster.local. minimum 1"
	for _, c := range []struct{ question, want string }{
		{"web.default.svc.cluster.local. A", "NOERROR web.default.svc.cluster.local. A 10.77.12.5"},
		{"WEB.Default.svc.Cluster.local. A", "NOERROR WEB.Default.svc.Cluster.local. A 10.77.12.5"},
		{"web.default.svc.cluster.local. AAAA", "NOERROR " + soa},
		{"web.default.svc.cluster.local. TXT", "NOERROR " + soa},
		{"web.default.svc.cluster.local. ALL", "NOERROR web.default.svc.cluster.local. A 10.77.12.5"},
		{"none.default.svc.cluster.local. A", "NXDOMAIN " + soa},
		{"web.none.svc.cluster.local. A", "NXDOMAIN " + soa},
		{"a.web.default.svc.cluster.local. A", "NXDOMAIN " + soa},
		{"a.b.c.web.default.svc.cluster.local. A", "NXDOMAIN " + soa},
		{"default.svc.cluster.local. A", "NOERROR " + soa},
		{"none.svc.cluster.local. A", "NXDOMAIN " + soa},
		{"svc.cluster.local. A", "NOERROR " + soa},
		{"pod.cluster.local. A", "NOERROR " + soa},
		{"cluster.local. A", "NOERROR " + soa},
		{"cluster.local. SOA", "NOERROR cluster.local. SOA ns.dns.cluster.local. minimum 1"},
		{"cluster.local. NS", "NOERROR cluster.local. NS ns.dns.cluster.local. + ns.dns.cluster.local. A 10.77.6.1"},
		{"ns.dns.cluster.local. A", "NOERROR ns.dns.cluster.local. A 10.77.6.1"},
		{"dns.cluster.local. A", "NOERROR " + soa},
		{"other.cluster.local. A", "NXDOMAIN " + soa},
		{"dns-version.cluster.local. TXT", "NOERROR dns-version.cluster.local. TXT 1.1.0"},
		{"dns-version.cluster.local. A", "NOERROR " + soa},

		{"_http._tcp.web.default.svc.cluster.local. SRV", "NOERROR _http._tcp.web.default.svc.cluster.local. SRV 100 80 web.default.svc.cluster.local. + web.default.svc.cluster.local. A 10.77.12.5"},
		{"_http._udp.web.default.svc.cluster.local. SRV", "NXDOMAIN " + soa},
		{"_none._tcp.web.default.svc.cluster.local. SRV", "NXDOMAIN " + soa},
		{"_http._tcp.web.default.svc.cluster.local. A", "NOERROR " + soa},
		{"_tcp.web.default.svc.cluster.local. A", "NOERROR " + soa},
		{"web.default.svc.cluster.local. SRV", "NOERROR web.default.svc.cluster.local. SRV 50 53 web.default.svc.cluster.local., web.default.svc.cluster.local. SRV 50 80 web.default.svc.cluster.local. + web.default.svc.cluster.local. A 10.77.12.5"},

		{"pg.db.svc.cluster.local. A", "NOERROR pg.db.svc.cluster.local. A 10.77.0.10, pg.db.svc.cluster.local. A 10.77.0.11, pg.db.svc.cluster.local. A 10.77.0.12"},
		{"pg-1.pg.db.svc.cluster.local. A", "NOERROR pg-1.pg.db.svc.cluster.local. A 10.77.0.11"},
		{"pg-1.pg.db.svc.cluster.local. AAAA", "NOERROR " + soa},
		{"10-77-0-12.pg.db.svc.cluster.local. A", "NOERROR 10-77-0-12.pg.db.svc.cluster.local. A 10.77.0.12"},
		{"10-77-0-10.pg.db.svc.cluster.local. A", "NXDOMAIN " + soa},
		{"pg-9.pg.db.svc.cluster.local. A", "NXDOMAIN " + soa},
		{"_sql._tcp.pg.db.svc.cluster.local. SRV", "NOERROR _sql._tcp.pg.db.svc.cluster.local. SRV 33 15432 pg-0.pg.db.svc.cluster.local., " +
			"_sql._tcp.pg.db.svc.cluster.local. SRV 33 5432 10-77-0-12.pg.db.svc.cluster.local., _sql._tcp.pg.db.svc.cluster.local. SRV 33 5432 pg-1.pg.db.svc.cluster.local. + " +
			"10-77-0-12.pg.db.svc.cluster.local. A 10.77.0.12, pg-0.pg.db.svc.cluster.local. A 10.77.0.10, pg-1.pg.db.svc.cluster.local. A 10.77.0.11"},
		{"plain.db.svc.cluster.local. SRV", "NOERROR plain.db.svc.cluster.local. SRV 100 1 h.plain.db.svc.cluster.local. + h.plain.db.svc.cluster.local. A 10.77.0.10"},
		{"nobody.db.svc.cluster.local. A", "NXDOMAIN " + soa},
		{"_sql._tcp.nobody.db.svc.cluster.local. SRV", "NXDOMAIN " + soa},

		{"both.db.svc.cluster.local. A", "NOERROR both.db.svc.cluster.local. A 10.77.12.6"},
		{"one.both.db.svc.cluster.local. A", "NOERROR one.both.db.svc.cluster.local. A 10.77.0.30"},
		{"6.12.77.10.in-addr.arpa. PTR", "NOERROR 6.12.77.10.in-addr.arpa. PTR both.db.svc.cluster.local."},
		{"30.0.77.10.in-addr.arpa. PTR", "NOERROR 30.0.77.10.in-addr.arpa. PTR one.both.db.svc.cluster.local."},

		{"out.ext.svc.cluster.local. CNAME", "NOERROR out.ext.svc.cluster.local. CNAME example.org."},
		{"out.ext.svc.cluster.local. A", "others know the rest: example.org."},
		{"in.ext.svc.cluster.local. A", "NOERROR in.ext.svc.cluster.local. CNAME web.default.svc.cluster.local., web.default.svc.cluster.local. A 10.77.12.5"},
		{"in.ext.svc.cluster.local. AAAA", "NOERROR in.ext.svc.cluster.local. CNAME web.default.svc.cluster.local."},
		{"a.out.ext.svc.cluster.local. A", "NXDOMAIN " + soa},
		{"loop.ext.svc.cluster.local. A", "SERVFAIL"},

		{"10-77-0-99.any.pod.cluster.local. A", "NOERROR 10-77-0-99.any.pod.cluster.local. A 10.77.0.99"},
		{"10-77-0-99.any.pod.cluster.local. AAAA", "NOERROR " + soa},
		{"any.pod.cluster.local. A", "NOERROR " + soa},
		{"10-77-9-99.any.pod.cluster.local. A", "NXDOMAIN " + soa},
		{"10-77-0-099.any.pod.cluster.local. A", "NXDOMAIN " + soa},
		{"10.77.0.99.any.pod.cluster.local. A", "NXDOMAIN " + soa},
		{"name.any.pod.cluster.local. A", "NXDOMAIN " + soa},

		{"5.12.77.10.in-addr.arpa. PTR", "NOERROR 5.12.77.10.in-addr.arpa. PTR web.default.svc.cluster.local."},
		{"5.12.77.10.in-addr.arpa. A", "NOERROR ; 5.12.77.10.in-addr.arpa. SOA ns.dns.5.12.77.10.in-addr.arpa. minimum 1"},
		{"10.0.77.10.in-addr.arpa. PTR", "NOERROR 10.0.77.10.in-addr.arpa. PTR h.plain.db.svc.cluster.local., 10.0.77.10.in-addr.arpa. PTR pg-0.pg.db.svc.cluster.local."},
		{"12.0.77.10.in-addr.arpa. PTR", "NOERROR 12.0.77.10.in-addr.arpa. PTR 10-77-0-12.pg.db.svc.cluster.local."},
		{"13.0.77.10.in-addr.arpa. PTR", "NXDOMAIN ; 13.0.77.10.in-addr.arpa. SOA ns.dns.13.0.77.10.in-addr.arpa. minimum 1"},
		{"1.0.0.127.in-addr.arpa. PTR", "others know"},
		{"77.10.in-addr.arpa. PTR", "others know"},
		{"example.org. A", "others know"},
		{"notcluster.local. A", "others know"},
		{". NS", "others know"},
		{"cluster.local. AXFR", "REFUSED"},
		{"example.org. AXFR", "REFUSED"},
	} {
		got := ask(t, p, c.question, 0)
		if got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.question, got, c.want)
		}
	}
}

var types = map[string]dnsmessage.Type{
	"A": dnsmessage.TypeA, "AAAA": dnsmessage.TypeAAAA, "SRV": dnsmessage.TypeSRV, "CNAME": dnsmessage.TypeCNAME, "PTR": dnsmessage.TypePTR,
	"TXT": dnsmessage.TypeTXT, "SOA": dnsmessage.TypeSOA, "NS": dnsmessage.TypeNS, "ALL": dnsmessage.TypeALL, "AXFR": dnsmessage.TypeAXFR,
}

// question packs "name TYPE"; size is that of EDNS, 0 for none.
func question(t testing.TB, text string, size int) []byte {
	name, kind, _ := strings.Cut(text, " ")
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: 4711, RecursionDesired: true})
	check(t, b.StartQuestions())
	check(t, b.Question(dnsmessage.Question{Name: dnsmessage.MustNewName(name), Type: types[kind], Class: dnsmessage.ClassINET}))
	if size != 0 {
		var head dnsmessage.ResourceHeader
		check(t, b.StartAdditionals())
		check(t, head.SetEDNS0(size, 0, false))
		check(t, b.OPTResource(head, dnsmessage.OPTResource{}))
	}
	packet, err := b.Finish()
	check(t, err)
	return packet
}

func ask(t *testing.T, p *packets, text string, size int) string {
	packet, todo, _, r := p.answer(question(t, text, size), true)
	switch todo {
	case forward:
		return "others know"
	case chase:
		return "others know the rest: " + r.alias
	}
	return show(t, packet)
}

// show is an answer as text: its code, answers, additional records, authorities.
func show(t testing.TB, packet []byte) string {
	var m dnsmessage.Message
	if err := m.Unpack(packet); err != nil {
		t.Fatalf("the answer can't be read: %v: %x", err, packet)
	}
	if m.ID != 4711 || !m.Response {
		t.Errorf("answer %d to question 4711", m.ID)
	}
	codes := map[dnsmessage.RCode]string{
		dnsmessage.RCodeSuccess: "NOERROR", dnsmessage.RCodeNameError: "NXDOMAIN", dnsmessage.RCodeRefused: "REFUSED",
		dnsmessage.RCodeServerFailure: "SERVFAIL", dnsmessage.RCodeFormatError: "FORMERR", dnsmessage.RCodeNotImplemented: "NOTIMP",
	}
	out := codes[m.RCode]
	if m.Truncated {
		out += " truncated"
	}
	section := func(before string, list []dnsmessage.Resource) {
		var texts []string
		for _, r := range list {
			if r.Header.Type != dnsmessage.TypeOPT {
				texts = append(texts, showRecord(t, r))
			}
		}
		if slices.Sort(texts); len(texts) > 0 {
			out += before + strings.Join(texts, ", ")
		}
	}
	section(" ", m.Answers)
	section(" + ", m.Additionals)
	section(" ; ", m.Authorities)
	return out
}

func showRecord(t testing.TB, r dnsmessage.Resource) string {
	ttlWanted := uint32(ttl)
	text := r.Header.Name.String() + " " + strings.TrimPrefix(r.Header.Type.String(), "Type") + " "
	switch body := r.Body.(type) {
	case *dnsmessage.AResource:
		text += netip.AddrFrom4(body.A).String()
	case *dnsmessage.SRVResource:
		text += fmt.Sprintf("%d %d %s", body.Weight, body.Port, body.Target)
	case *dnsmessage.CNAMEResource:
		text += body.CNAME.String()
	case *dnsmessage.PTRResource:
		text += body.PTR.String()
	case *dnsmessage.NSResource:
		text += body.NS.String()
	case *dnsmessage.TXTResource:
		text += strings.Join(body.TXT, " ")
	case *dnsmessage.SOAResource:
		text += fmt.Sprintf("%s minimum %d", body.NS, body.MinTTL)
		ttlWanted = r.Header.TTL // by section
	default:
		text += fmt.Sprint(body)
	}
	if r.Header.TTL != ttlWanted {
		t.Errorf("%s lives for %d", text, r.Header.TTL)
	}
	return text
}

// TestNewNames checks that a name is there with its service, and gone with it.
func TestNewNames(t *testing.T) {
	p := sample()
	key := protocol.Key{Namespace: "new", Name: "name"}
	name, reverse := "name.new.svc.cluster.local. A", "9.12.77.10.in-addr.arpa. PTR"
	absent := func() {
		t.Helper()
		for _, q := range []string{name, reverse, "new.svc.cluster.local. A"} {
			if got := ask(t, p, q, 0); !strings.HasPrefix(got, "NXDOMAIN") {
				t.Errorf("%s: %s", q, got)
			}
		}
	}
	absent()
	p.index.Set(&protocol.Service{Key: key, Addresses: []netip.Addr{ip("10.77.12.8")}})
	p.index.Set(&protocol.Service{Key: key, Addresses: []netip.Addr{ip("10.77.12.9")}})
	if got, want := ask(t, p, name, 0), "NOERROR name.new.svc.cluster.local. A 10.77.12.9"; got != want {
		t.Errorf("got %s", got)
	}
	if got, want := ask(t, p, reverse, 0), "NOERROR 9.12.77.10.in-addr.arpa. PTR name.new.svc.cluster.local."; got != want {
		t.Errorf("got %s", got)
	}
	p.index.Delete(key)
	p.index.Delete(key)
	absent()
}

// TestLargeAnswers checks sizes: what does not fit says so, has as much as fits, and is whole by TCP.
func TestLargeAnswers(t *testing.T) {
	p := sample()
	s := protocol.Service{Key: protocol.Key{Namespace: "db", Name: "many"}}
	for i := range 2000 {
		s.Hosts = append(s.Hosts, protocol.Host{Address: netip.AddrFrom4([4]byte{10, 77, byte(i >> 8), byte(i)})})
	}
	p.index.Set(&s)
	for _, c := range []struct {
		size, limit, answers int
		udp                  bool
	}{{0, 512, 29, true}, {1232, 1232, 73, true}, {100, 512, 28, true}, {65535, 4096, 252, true}, {0, 65535, 2000, false}} {
		packet, _, _, _ := p.answer(question(t, "many.db.svc.cluster.local. A", c.size), c.udp)
		var m dnsmessage.Message
		check(t, m.Unpack(packet))
		if len(packet) > c.limit || m.Truncated != c.udp || len(m.Answers) != c.answers {
			t.Errorf("for %d: %d bytes, truncated %v, %d answers", c.size, len(packet), m.Truncated, len(m.Answers))
		}
	}
	first := map[string]bool{}
	for range 5 {
		packet, _, _, _ := p.answer(question(t, "pg.db.svc.cluster.local. A", 0), true)
		var m dnsmessage.Message
		check(t, m.Unpack(packet))
		first[fmt.Sprint(m.Answers[0].Body)] = true
	}
	if len(first) != 3 {
		t.Errorf("of three addresses %d are the first in turn", len(first))
	}
}

// TestNonsense checks what is no sensible question.
func TestNonsense(t *testing.T) {
	p := sample()
	good := question(t, "web.default.svc.cluster.local. A", 0)
	with := func(change func([]byte)) []byte {
		packet := slices.Clone(good)
		change(packet)
		return packet
	}
	for _, c := range []struct {
		what   string
		packet []byte
		want   string
	}{
		{"nothing", nil, ""},
		{"half a head", good[:7], ""},
		{"an answer", with(func(b []byte) { b[2] |= 0x80 }), ""},
		{"half a question", good[:20], "FORMERR"},
		{"no question", with(func(b []byte) { b[5] = 0 }), "FORMERR"},
		{"1,000 questions", with(func(b []byte) { b[4], b[5] = 3, 0xe8 }), "FORMERR"},
		{"an update", with(func(b []byte) { b[2] |= 5 << 3 }), "NOTIMP"},
		{"answers that are not there", with(func(b []byte) { b[7] = 9 }), "FORMERR"},
		{"class chaos", with(func(b []byte) { b[len(b)-1] = 3 }), "REFUSED"},
	} {
		out, todo, _, _ := p.answer(c.packet, true)
		got := ""
		if out != nil {
			got = show(t, out)
		}
		if got != c.want || (todo == ignore) != (c.want == "") {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
	edns := question(t, "web.default.svc.cluster.local. A", 1232)
	edns[len(edns)-5] = 1 // version
	out, _, _, _ := p.answer(edns, true)
	var parser dnsmessage.Parser
	_, err := parser.Start(out)
	check(t, err)
	check(t, parser.SkipAllQuestions())
	check(t, parser.SkipAllAnswers())
	check(t, parser.SkipAllAuthorities())
	head, err := parser.AdditionalHeader()
	check(t, err)
	if code := head.ExtendedRCode(0); code != badVersion {
		t.Errorf("an unknown version of EDNS is answered with %v", code)
	}
}

func TestResolvers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	check(t, os.WriteFile(file, []byte("# the engine's\nsearch local\nnameserver 127.0.0.11\nnameserver fe80::1%eth0\nnameserver nonsense\noptions ndots:0\n"), 0o600))
	list, err := Resolvers(file)
	check(t, err)
	if got, want := fmt.Sprint(list), "[127.0.0.11:53 [fe80::1%eth0]:53]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// FuzzAnswer checks that no packet does harm, and that each answer can be read and is to its question.
func FuzzAnswer(f *testing.F) {
	p := sample()
	for _, q := range []string{
		"web.default.svc.cluster.local. A", "pg.db.svc.cluster.local. SRV", "loop.ext.svc.cluster.local. A", "cluster.local. NS",
		"10.0.77.10.in-addr.arpa. PTR", "example.org. A", "dns-version.cluster.local. TXT", ". ALL",
	} {
		f.Add(question(f, q, 0), true)
		f.Add(question(f, q, 1400), false)
	}
	f.Fuzz(func(t *testing.T, packet []byte, udp bool) {
		out, todo, q, _ := p.answer(packet, udp)
		if (out != nil) != (todo == reply) {
			t.Fatalf("verdict %d with %d bytes", todo, len(out))
		}
		if out == nil {
			return
		}
		var m dnsmessage.Message
		if err := m.Unpack(out); err != nil {
			t.Fatalf("%v: %x", err, out)
		}
		if len(out) > q.limit || m.ID != q.id || !m.Response {
			t.Fatalf("%d bytes of %d, id %d to %d", len(out), q.limit, m.ID, q.id)
		}
	})
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// BenchmarkAnswer answers from an index of 1,000 services.
func BenchmarkAnswer(b *testing.B) {
	p := sample()
	for i := range 1000 {
		p.index.Set(&protocol.Service{Key: protocol.Key{Namespace: "many", Name: fmt.Sprint("s", i)}, Addresses: []netip.Addr{ip("10.77.13.1")}})
	}
	packet := question(b, "s500.many.svc.cluster.local. A", 1232)
	for b.Loop() {
		p.answer(packet, true)
	}
}
