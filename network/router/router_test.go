//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"skiff/network/protocol"
	"skiff/network/router/internal/netlab"
	"skiff/network/tunnel"
)

// running is a router in a lab.
type running struct {
	*netlab.Lab
	file, resolvers string
	stop            func()
}

// start starts a router and returns when it takes sessions.
func start(lab *netlab.Lab, userland bool) *running {
	dir := lab.T.TempDir()
	r := &running{Lab: lab, file: filepath.Join(dir, "state", "state.json"), resolvers: filepath.Join(dir, "resolv.conf")}
	check(lab.T, os.WriteFile(r.resolvers, []byte("nameserver 127.0.0.1\n"), 0o600))
	r.again(userland)
	return r
}

func (r *running) again(userland bool) {
	if r.stop != nil {
		r.stop()
	}
	ctx, cancel := context.WithCancel(context.Background())
	l, err := net.Listen("unix", socket)
	check(r.T, err)
	done := make(chan error, 1)
	go func() { done <- newRouter(r.file, r.resolvers, userland).run(ctx, l) }()
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		check(r.T, <-done)
	}
	r.T.Cleanup(r.stop)
	eventually(r.T, "the router serves", func() bool { return askHealth() == nil })
}

// daemon is a daemon's end of a session.
type daemon struct {
	t        *testing.T
	session  *tunnel.Session
	out      *json.Encoder
	in       *json.Decoder
	sequence uint64
	calls    chan string
}

func (r *running) connect() *daemon {
	r.T.Helper()
	c, err := net.Dial("unix", socket)
	check(r.T, err)
	session, err := tunnel.Client(c)
	check(r.T, err)
	s, err := session.Open(protocol.Greeting{Kind: protocol.KindControl})
	check(r.T, err)
	d := &daemon{t: r.T, session: session, out: json.NewEncoder(s), in: json.NewDecoder(s), calls: make(chan string, 10)}
	go func() {
		_ = session.Accept(func(g protocol.Greeting, s *tunnel.Stream) {
			defer s.Close()
			line, err := s.Lines().ReadString('\n')
			if err != nil {
				return
			}
			host, _, _ := strings.Cut(g.Address, ":")
			fmt.Fprintf(s, "%s %s %s", g.Kind, host, line)
		})
	}()
	r.T.Cleanup(func() { _ = session.Close() })
	return d
}

// tell sends an update and returns the answer to it.
func (d *daemon) tell(u protocol.Update) protocol.Answer {
	d.t.Helper()
	d.sequence++
	u.Sequence = d.sequence
	check(d.t, d.out.Encode(u))
	var a protocol.Answer
	check(d.t, d.in.Decode(&a))
	if a.Sequence != d.sequence {
		d.t.Errorf("the answer to %d is %+v", d.sequence, a)
	}
	return a
}

// inForce fails unless all of it is.
func (d *daemon) inForce(u protocol.Update) protocol.Answer {
	d.t.Helper()
	a := d.tell(u)
	if a.Error != "" || len(a.Problems) > 0 {
		d.t.Fatalf("not in force: %+v", a)
	}
	return a
}

// dial connects by way of the router.
func (d *daemon) dial(network, address string) (*tunnel.Stream, error) {
	s, err := d.session.Open(protocol.Greeting{Kind: protocol.KindDial, Network: network, Address: address})
	check(d.t, err)
	var result protocol.Result
	check(d.t, protocol.ReadLine(s.Lines(), &result))
	if result.Err() != nil {
		return nil, errors.Join(result.Err(), s.Close())
	}
	d.t.Cleanup(func() { _ = s.Close() })
	return s, nil
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func ip(text string) netip.Addr { return netip.MustParseAddr(text) }

func endpoints(list ...string) []netip.AddrPort {
	var out []netip.AddrPort
	for _, e := range list {
		out = append(out, netip.MustParseAddrPort(e))
	}
	return out
}

// whole is a small cluster: DNS, the API, and a service.
func whole() protocol.Update {
	key := func(namespace, name string) protocol.Key { return protocol.Key{Namespace: namespace, Name: name} }
	return protocol.Update{
		Config: netlab.Config(), Whole: true,
		Nodes: []protocol.Node{
			{Name: "n1", Address: ip("10.77.6.2"), Machine: true},
			{Name: "n2", Address: ip("10.77.6.3"), Pods: []netip.Addr{ip("10.77.0.10")}},
		},
		Set: []protocol.Service{
			{Key: key("kube-system", "kube-dns"), Addresses: []netip.Addr{ip("10.77.12.10")}, Ports: []protocol.Port{
				{Name: "dns", Protocol: "udp", Port: 53, Endpoints: endpoints("10.77.6.1:53")},
				{Name: "dns-tcp", Protocol: "tcp", Port: 53, Endpoints: endpoints("10.77.6.1:53")},
			}},
			{Key: key("default", "kubernetes"), Addresses: []netip.Addr{ip("10.77.12.1")}, Ports: []protocol.Port{
				{Name: "https", Protocol: "tcp", Port: 443, Endpoints: endpoints("10.77.6.1:6443")},
			}},
			{Key: key("default", "web"), Addresses: []netip.Addr{ip("10.77.12.5")}, HealthCheck: 30999, Ports: []protocol.Port{
				{
					Protocol: "tcp", Port: 80, NodePort: 30080, Endpoints: endpoints("10.77.0.11:8080"),
					At: map[string][]netip.AddrPort{"n1": {}, "n2": endpoints("10.77.0.11:8080")},
				},
				{
					Protocol: "udp", Port: 80, NodePort: 30080, Endpoints: endpoints("10.77.0.11:8080"),
					At: map[string][]netip.AddrPort{"n1": {}, "n2": endpoints("10.77.0.11:8080")},
				},
			}},
		},
	}
}

// TestRouter is the whole of it, on both data paths.
func TestRouter(t *testing.T)         { netlab.Run(t, func(lab *netlab.Lab) { testRouter(lab, false) }) }
func TestRouterUserland(t *testing.T) { netlab.Run(t, func(lab *netlab.Lab) { testRouter(lab, true) }) }

func testRouter(lab *netlab.Lab, userland bool) {
	t := lab.T
	client, a, b := lab.Pod("client", "10.77.0.10"), lab.Pod("a", "10.77.0.11"), lab.Pod("b", "10.77.0.12")
	a.Serve(8080)
	b.Serve(8080)
	r := start(lab, userland)
	d := r.connect()
	stats := d.inForce(whole()).Stats
	want(t, stats.DataPath, map[bool]string{false: "nftables", true: "userland"}[userland])

	want(t, client.Ask("tcp", "10.77.12.5:80"), "a 10.77.8.10 hello")
	want(t, client.Ask("udp", "10.77.12.5:80"), "a 10.77.8.10 hello")
	want(t, client.Ask("tcp", "10.77.6.3:30080"), "a 10.77.8.10 hello")
	want(t, client.Ask("udp", "10.77.6.3:30080"), "a 10.77.8.10 hello")
	want(t, client.Ask("tcp", "10.77.12.5:81"), "refused")
	want(t, client.Ask("tcp", "10.77.12.1:443"), "api 10.77.0.10 hello")
	want(t, resolve(client, "10.77.12.10:53", "web.default.svc.cluster.local."), "10.77.12.5")
	want(t, httpAnswer(client, "10.77.6.3:30999"), `200 {"service":{"namespace":"default","name":"web"},"localEndpoints":1,"serviceProxyHealthy":true}`)
	want(t, httpAnswer(client, "10.77.6.2:30999"), `503 {"service":{"namespace":"default","name":"web"},"localEndpoints":0,"serviceProxyHealthy":true}`)
	testDial(t, d)
	testBadUpdates(t, r, d)

	// The router comes back by itself, and then the daemon tells it nothing new.
	held, err := client.Dial("tcp", "10.77.12.5:80", 0)
	check(t, err)
	_, err = held.Say("hello")
	check(t, err)
	denied := neverDenied(client, "10.77.6.1:53", "web.default.svc.cluster.local.")
	r.again(userland)
	want(t, denied(), "")
	if !userland {
		answer, err := held.Say("again")
		check(t, err)
		want(t, answer, "a 10.77.8.10 again")
	}
	want(t, client.Ask("tcp", "10.77.12.5:80"), "a 10.77.8.10 hello")
	// A call waits for the next daemon.
	call := make(chan string, 1)
	go func() { call <- client.Ask("tcp", "10.77.12.1:443") }()
	d = r.connect()
	d.inForce(whole())
	want(t, <-call, "api 10.77.0.10 hello")
	d.inForce(protocol.Update{Delete: []protocol.Key{{Namespace: "default", Name: "web"}}})
	want(t, client.Ask("tcp", "10.77.12.5:80"), "refused")
	want(t, resolve(client, "10.77.12.10:53", "web.default.svc.cluster.local."), "RCodeNameError")
}

// testDial reaches into the network as the daemon does.
func testDial(t *testing.T, d *daemon) {
	for _, address := range []string{"10.77.0.11:8080", "10.77.12.5:80"} {
		s, err := d.dial("tcp", address)
		check(t, err)
		_, err = s.Write([]byte("hello\nyou\n"))
		check(t, err)
		check(t, s.CloseWrite())
		all, err := io.ReadAll(s)
		check(t, err)
		want(t, string(all), "a 10.77.6.1 hello\na 10.77.6.1 you\n")
		u, err := d.dial("udp", address)
		check(t, err)
		datagrams := tunnel.NewDatagrams(u)
		_, err = datagrams.Write([]byte("hello"))
		check(t, err)
		buffer := make([]byte, 100)
		n, err := datagrams.Read(buffer)
		check(t, err)
		want(t, string(buffer[:n]), "a 10.77.6.1 hello")
	}
	if _, err := d.dial("tcp", "10.77.0.11:81"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a port where nobody listens: %v", err)
	}
	for _, address := range []string{"name:80", ""} {
		if _, err := d.dial("tcp", address); err == nil {
			t.Errorf("%q can be dialed", address)
		}
	}
}

// testBadUpdates tells nonsense: it is answered, and does not spoil the rest.
func testBadUpdates(t *testing.T, r *running, d *daemon) {
	set := func(s protocol.Service) protocol.Update { return protocol.Update{Set: []protocol.Service{s}} }
	a := d.tell(protocol.Update{Nodes: []protocol.Node{{Name: "far", Address: ip("192.0.2.1")}}})
	want(t, a.Error, "node far: address 192.0.2.1 is not in 10.77.6.0/23")
	bad := set(protocol.Service{Key: protocol.Key{Namespace: "default", Name: "bad"}, Addresses: []netip.Addr{ip("10.77.0.5")}})
	bad.Set = append(bad.Set, protocol.Service{
		Key: protocol.Key{Namespace: "default", Name: "good"}, Addresses: []netip.Addr{ip("10.77.12.20")},
		Ports: []protocol.Port{{Protocol: "tcp", Port: 80, Endpoints: endpoints("10.77.0.11:8080")}},
	})
	a = d.tell(bad)
	if want := "address 10.77.0.5 is not in 10.77.12.0/22"; a.Error != "" || a.Problems["default/bad"] != want || len(a.Problems) != 1 {
		t.Errorf("a bad service and a good one: %+v", a)
	}
	s, err := d.dial("tcp", "10.77.12.20:80")
	check(t, err)
	check(t, s.Close())

	other := r.connect() // takes over
	other.inForce(protocol.Update{})
	if a := d.tell(protocol.Update{}); a.Error == "" {
		t.Error("a daemon that is not the last one still steers")
	}
	check(t, other.out.Encode(map[string]any{"Sequence": 7, "Set": "nonsense"}))
	a = protocol.Answer{}
	check(t, other.in.Decode(&a))
	if a.Sequence != 7 || a.Error == "" {
		t.Errorf("nonsense is answered by %+v", a)
	}
	other.sequence = 7
	other.inForce(protocol.Update{Delete: []protocol.Key{{Namespace: "default", Name: "good"}}})
	for range 3 * queued {
		other.sequence++
		check(t, other.out.Encode(protocol.Update{Sequence: other.sequence}))
	}
	for i := range 3 * queued {
		a := protocol.Answer{}
		check(t, other.in.Decode(&a))
		if want := other.sequence - uint64(3*queued-1-i); a.Sequence != want || a.Error != "" {
			t.Fatalf("answer %d is %+v", want, a)
		}
	}
}

// neverDenied asks for an address again and again. The function that it returns waits for an answer that
// begins now, and returns an answer that said that there is no such name, empty if there was none.
func neverDenied(from *netlab.Host, server, name string) func() string {
	stop, result := make(chan struct{}), make(chan string, 1)
	go func() {
		denied := ""
		for last := false; ; {
			answer := resolve(from, server, name)
			if strings.HasPrefix(answer, "RCode") {
				denied = answer
			}
			if _, err := netip.ParseAddr(answer); last && err == nil {
				result <- denied
				return
			}
			select {
			case <-stop:
				last = true
			default:
			}
		}
	}()
	return func() string {
		close(stop)
		return <-result
	}
}

// resolve asks for an address.
func resolve(from *netlab.Host, server, name string) string {
	packet := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 1, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	question, err := packet.Pack()
	if err != nil {
		return err.Error()
	}
	c, err := from.Dial("udp", server, 0)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	answer, err := c.Say(string(question))
	if err != nil {
		return err.Error()
	}
	if err := packet.Unpack([]byte(answer)); err != nil {
		return err.Error()
	}
	if len(packet.Answers) == 0 {
		return packet.RCode.String()
	}
	return netip.AddrFrom4(packet.Answers[0].Body.(*dnsmessage.AResource).A).String()
}

// httpAnswer asks by HTTP and returns the status and the body.
func httpAnswer(from *netlab.Host, address string) string {
	c, err := from.Dial("tcp", address, 0)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: node\r\n\r\n"); err != nil {
		return err.Error()
	}
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	in := bufio.NewReader(c.Conn)
	status, _ := in.ReadString('\n')
	all, err := io.ReadAll(in)
	if err != nil {
		return err.Error()
	}
	_, body, _ := strings.Cut(string(all), "\r\n\r\n")
	return strings.Fields(status)[1] + " " + body
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatal("not within 10 s:", what)
}
