//go:build linux

package datapath

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"skiff/network/protocol"
	"skiff/network/router/internal/link"
	"skiff/network/router/internal/netlab"
	"skiff/network/router/internal/netlink"
	"skiff/network/router/internal/state"
)

// path is a data path in a lab, with the state that is in force.
type path struct {
	*netlab.Lab
	tables *Tables
	state  state.State
}

// start brings the data path in force as the router does, or makes it anew.
func (p *path) start(update protocol.Update) {
	p.T.Helper()
	c := netlab.Config()
	c.Kept = []netip.Addr{netip.MustParseAddr("10.77.12.200")}
	update.Config, update.Whole = c, true
	device, err := link.Device(c.Router)
	p.check(err)
	routes := link.Taken([]netip.Prefix{c.Services, c.Shadows, c.Nodes}, c.Kept)
	p.check(link.Replace(device, routes, nil))
	p.check(link.Forward(device, false))
	p.tables, err = Open(c)
	p.check(err)
	p.T.Cleanup(func() { _ = p.tables.Close() })
	p.state = state.State{}
	p.apply(update)
	p.check(FlushConnections())
	p.check(link.Forward(device, true))
	p.check(link.Replace(device, nil, routes))
}

func (p *path) apply(update protocol.Update) {
	p.T.Helper()
	change, err := p.state.Apply(&update)
	p.check(err)
	problems, err := p.tables.Apply(&p.state, change)
	p.check(err)
	for key, err := range problems {
		if err != nil {
			p.T.Errorf("%s: %v", key, err)
		}
	}
}

func (p *path) check(err error) {
	p.T.Helper()
	if err != nil {
		p.T.Fatal(err)
	}
}

func (p *path) want(got, want string) {
	p.T.Helper()
	if got != want {
		p.T.Errorf("got %q, want %q", got, want)
	}
}

func TestServices(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		p := &path{Lab: lab}
		client, a, b := lab.Pod("client", "10.77.0.10"), lab.Pod("a", "10.77.0.11"), lab.Pod("b", "10.77.0.12")
		a.Serve(8080)
		b.Serve(8080)
		p.start(protocol.Update{
			Nodes: []protocol.Node{{Name: "n1", Address: ip("10.77.6.2")}, {Name: "n2", Address: ip("10.77.6.3")}},
			Set: []protocol.Service{{
				Key: protocol.Key{Namespace: "default", Name: "web"}, Addresses: []netip.Addr{ip("10.77.12.5")},
				Ports: []protocol.Port{
					{Protocol: "tcp", Port: 80, NodePort: 30080, Endpoints: endpoints("10.77.0.11:8080")},
					{Protocol: "udp", Port: 80, NodePort: 30080, Endpoints: endpoints("10.77.0.12:8080")},
				},
			}},
		})
		p.want(client.Ask("tcp", "10.77.12.5:80"), "a 10.77.8.10 hello")
		p.want(client.Ask("udp", "10.77.12.5:80"), "b 10.77.8.10 hello")
		p.want(client.Ask("tcp", "10.77.6.2:30080"), "a 10.77.8.10 hello")
		p.want(client.Ask("udp", "10.77.6.3:30080"), "b 10.77.8.10 hello")
		p.want(client.Ask("tcp", "10.77.12.5:81"), "refused")
		p.want(client.Ask("udp", "10.77.12.5:81"), "refused")
		p.want(client.Ask("tcp", "10.77.6.2:30081"), "refused")
		p.want(client.Ask("tcp", "10.77.12.6:80"), "refused")
		p.want(a.Ask("tcp", "10.77.12.5:80"), "a 10.77.8.11 hello") // hairpin
		p.want(lab.Machine.Ask("tcp", "10.77.12.5:80"), "a 10.77.8.1 hello")
	})
}

// TestAffinity checks that a client stays where it was, until the time is over or the endpoint gone.
func TestAffinity(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		p := &path{Lab: lab}
		client, a, b := lab.Pod("client", "10.77.0.10"), lab.Pod("a", "10.77.0.11"), lab.Pod("b", "10.77.0.12")
		a.Serve(8080)
		b.Serve(8080)
		service := protocol.Service{
			Key: key("web"), Addresses: []netip.Addr{ip("10.77.12.5")}, Affinity: time.Second,
			Ports: []protocol.Port{{Protocol: "tcp", Port: 80, Endpoints: endpoints("10.77.0.11:8080", "10.77.0.12:8080")}},
		}
		p.start(protocol.Update{Set: []protocol.Service{service}})
		if !p.tables.memory {
			t.Fatal("the kernel can't keep clients' endpoints")
		}
		first := client.Counts("tcp", "10.77.12.5:80", 40)
		if len(first) != 1 {
			t.Errorf("one client was at %v", first)
		}
		eventually(t, "the time of an affinity is over", func() bool {
			pause := client.Counts("tcp", "10.77.12.5:81", 1) // nothing that counts
			return len(pause) == 1 && p.remembered("svc/default/web/tcp/80") == 0
		})
		// Each connection begins anew from the next port: within a few it is at the other endpoint.
		seen := map[string]int{}
		eventually(t, "the other endpoint is chosen", func() bool {
			maps.Copy(seen, client.Counts("tcp", "10.77.12.5:80", 1))
			p.forgetAll("svc/default/web/tcp/80")
			return len(seen) == 2
		})
		// The endpoint of the client goes: it is at the other one, and stays there when the first is back.
		client.Counts("tcp", "10.77.12.5:80", 1)
		service.Affinity = time.Hour
		p.apply(protocol.Update{Set: []protocol.Service{service}})
		was := only(t, client.Counts("tcp", "10.77.12.5:80", 5))
		left := map[string]string{"a": "10.77.0.12:8080", "b": "10.77.0.11:8080"}[was]
		both := service.Ports
		service.Ports = []protocol.Port{{Protocol: "tcp", Port: 80, Endpoints: endpoints(left)}}
		p.apply(protocol.Update{Set: []protocol.Service{service}})
		now := only(t, client.Counts("tcp", "10.77.12.5:80", 5))
		if now == was {
			t.Errorf("%s was chosen though it is gone", was)
		}
		service.Ports = both
		p.apply(protocol.Update{Set: []protocol.Service{service}})
		p.want(only(t, client.Counts("tcp", "10.77.12.5:80", 20)), now)
	})
}

// TestAffinityWithoutMemory is the same on a kernel that can't keep clients' endpoints.
func TestAffinityWithoutMemory(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		p := &path{Lab: lab}
		clients := []*netlab.Host{lab.Pod("c0", "10.77.0.20"), lab.Pod("c1", "10.77.0.21"), lab.Pod("c2", "10.77.0.22"), lab.Pod("c3", "10.77.0.23")}
		a, b := lab.Pod("a", "10.77.0.11"), lab.Pod("b", "10.77.0.12")
		a.Serve(8080)
		b.Serve(8080)
		p.start(protocol.Update{})
		p.tables.memory = false
		p.apply(protocol.Update{Set: []protocol.Service{{
			Key: key("web"), Addresses: []netip.Addr{ip("10.77.12.5")}, Affinity: time.Hour,
			Ports: []protocol.Port{{Protocol: "tcp", Port: 80, Endpoints: endpoints("10.77.0.11:8080", "10.77.0.12:8080")}},
		}}})
		seen := map[string]bool{}
		for _, c := range clients {
			seen[only(t, c.Counts("tcp", "10.77.12.5:80", 10))] = true
		}
		if len(seen) != 2 {
			t.Errorf("all clients are at %v", slices.Collect(maps.Keys(seen)))
		}
	})
}

// TestNoEndpoints checks what refuses, what drops, and that neither lasts.
func TestNoEndpoints(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		p := &path{Lab: lab}
		client, near, a := lab.Pod("client", "10.77.0.10"), lab.Pod("near", "10.77.0.13"), lab.Pod("a", "10.77.0.11")
		a.Serve(8080)
		nodes := []protocol.Node{
			{Name: "n1", Address: ip("10.77.6.2"), Machine: true, Pods: []netip.Addr{ip("10.77.0.13")}},
			{Name: "n2", Address: ip("10.77.6.3"), Pods: []netip.Addr{ip("10.77.0.10"), ip("10.77.0.11")}},
			{Name: "n3", Address: ip("10.77.6.4")},
		}
		service := protocol.Service{Key: key("web"), Addresses: []netip.Addr{ip("10.77.12.5")}, Ports: []protocol.Port{
			{Protocol: "tcp", Port: 80, NodePort: 30080}, {Protocol: "udp", Port: 80, NodePort: 30080},
		}}
		p.start(protocol.Update{Nodes: nodes, Set: []protocol.Service{service}})
		stop := p.run()
		defer stop()
		udp, err := client.Dial("udp", "10.77.12.5:80", 5555)
		p.check(err)
		if _, err := udp.Say("hello"); err == nil {
			t.Error("a service without endpoints answers")
		}
		for _, at := range []string{"10.77.12.5:80", "10.77.6.2:30080", "10.77.6.3:30080"} {
			p.want(client.Ask("tcp", at), "refused")
		}
		list := endpoints("10.77.0.11:8080")
		service.Ports = []protocol.Port{
			{
				Protocol: "tcp", Port: 80, NodePort: 30080, Endpoints: list,
				From: map[string][]netip.AddrPort{"n1": nil}, At: map[string][]netip.AddrPort{"n2": {}},
			},
			{Protocol: "udp", Port: 80, NodePort: 30080, Endpoints: list},
		}
		p.apply(protocol.Update{Set: []protocol.Service{service}})
		// The flow that was refused is the same: it must not stay where it was.
		eventually(t, "a UDP flow finds the first endpoint", func() bool {
			answer, err := udp.Say("hello")
			return err == nil && answer == "a 10.77.8.10 hello"
		})
		p.want(client.Ask("tcp", "10.77.12.5:80"), "a 10.77.8.10 hello")
		p.want(client.Ask("tcp", "10.77.6.4:30080"), "a 10.77.8.10 hello")
		dropped := []struct {
			from *netlab.Host
			at   string
		}{
			{near, "10.77.12.5:80"},        // a pod of n1
			{lab.Machine, "10.77.12.5:80"}, // no node's pod
			{client, "10.77.6.3:30080"},    // at n2
		}
		for _, d := range dropped {
			if !d.from.Dropped("tcp", d.at) {
				t.Errorf("from %s to %s: %s", d.from.Name, d.at, d.from.Ask("tcp", d.at))
			}
		}
	})
}

// TestUDPEndpointGoes checks that a flow leaves an endpoint that is gone.
func TestUDPEndpointGoes(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		p := &path{Lab: lab}
		client, a, b := lab.Pod("client", "10.77.0.10"), lab.Pod("a", "10.77.0.11"), lab.Pod("b", "10.77.0.12")
		a.Serve(8080)
		b.Serve(8080)
		service := protocol.Service{
			Key: key("dns"), Addresses: []netip.Addr{ip("10.77.12.5")},
			Ports: []protocol.Port{{Protocol: "udp", Port: 53, NodePort: 30053, Endpoints: endpoints("10.77.0.11:8080")}},
		}
		p.start(protocol.Update{Nodes: []protocol.Node{{Name: "n1", Address: ip("10.77.6.2")}}, Set: []protocol.Service{service}})
		stop := p.run()
		defer stop()
		inside, err := client.Dial("udp", "10.77.12.5:53", 5555)
		p.check(err)
		outside, err := client.Dial("udp", "10.77.6.2:30053", 5556)
		p.check(err)
		for _, c := range []*netlab.Conn{inside, outside} {
			answer, err := c.Say("hello")
			p.check(err)
			p.want(answer, "a 10.77.8.10 hello")
		}
		service.Ports = []protocol.Port{{Protocol: "udp", Port: 53, NodePort: 30053, Endpoints: endpoints("10.77.0.12:8080")}}
		p.apply(protocol.Update{Set: []protocol.Service{service}})
		for _, c := range []*netlab.Conn{inside, outside} {
			eventually(t, "the flow goes to the other endpoint", func() bool {
				answer, err := c.Say("hello")
				return err == nil && answer == "b 10.77.8.10 hello"
			})
		}
	})
}

// TestRestart checks that a data path that is made anew takes up an established connection, whichever
// side says something first, though the kernel has forgotten it.
func TestRestart(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		p := &path{Lab: lab}
		client, a, b := lab.Pod("client", "10.77.0.10"), lab.Pod("a", "10.77.0.11"), lab.Pod("b", "10.77.0.12")
		a.Serve(8080)
		b.Serve(8080)
		update := protocol.Update{Set: []protocol.Service{{
			Key: key("web"), Addresses: []netip.Addr{ip("10.77.12.5")},
			Ports: []protocol.Port{{Protocol: "tcp", Port: 80, Endpoints: endpoints("10.77.0.11:8080", "10.77.0.12:8080")}},
		}}}
		p.start(update)
		var held []*netlab.Conn
		var names []string
		for range 8 {
			c, err := client.Dial("tcp", "10.77.12.5:80", 0)
			p.check(err)
			answer, err := c.Say("hello")
			p.check(err)
			held, names = append(held, c), append(names, answer)
		}
		for range 3 {
			p.start(update)
			for i, c := range held {
				answer, err := c.Say("hello")
				p.check(err)
				p.want(answer, names[i])
			}
		}
	})
}

// TestRestartWithoutTheEndpoint checks that a connection to an endpoint that a new data path does not know
// ends at once, and does not hang.
func TestRestartWithoutTheEndpoint(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		p := &path{Lab: lab}
		client, a, b := lab.Pod("client", "10.77.0.10"), lab.Pod("a", "10.77.0.11"), lab.Pod("b", "10.77.0.12")
		a.Serve(8080)
		b.Serve(8080)
		service := func(list ...string) protocol.Update {
			return protocol.Update{Set: []protocol.Service{{
				Key: key("web"), Addresses: []netip.Addr{ip("10.77.12.5")},
				Ports: []protocol.Port{{Protocol: "tcp", Port: 80, Endpoints: endpoints(list...)}},
			}}}
		}
		p.start(service("10.77.0.11:8080"))
		c, err := client.Dial("tcp", "10.77.12.5:80", 0)
		p.check(err)
		for range 20 { // some history
			_, err = c.Say("hello")
			p.check(err)
		}
		p.start(service("10.77.0.12:8080"))
		if answer, err := c.Say("hello"); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the answer is %q, %v; a reset is wanted", answer, err)
		}
	})
}

// TestSpeaksTooEarly checks that an endpoint which speaks before shadows are the router's does not take
// the client's port from it.
func TestSpeaksTooEarly(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		p := &path{Lab: lab}
		client, a := lab.Pod("client", "10.77.0.10"), lab.Pod("a", "10.77.0.11")
		var server net.PacketConn
		var err error
		a.Do(func() { server, err = net.ListenPacket("udp4", ":8080") })
		p.check(err)
		defer server.Close()
		heard := make(chan string, 8)
		go func() {
			for buf := make([]byte, 64); ; {
				n, from, err := server.ReadFrom(buf)
				if err != nil {
					return
				}
				heard <- from.String()
				_, _ = server.WriteTo(buf[:n], from) // the client notices
			}
		}()
		p.start(protocol.Update{Set: []protocol.Service{{
			Key: key("web"), Addresses: []netip.Addr{ip("10.77.12.5")},
			Ports: []protocol.Port{{Protocol: "udp", Port: 80, Endpoints: endpoints("10.77.0.11:8080")}},
		}}})
		c, err := client.Dial("udp", "10.77.12.5:80", 40000)
		p.check(err)
		_, err = c.Say("hello")
		p.check(err)
		p.want(<-heard, "10.77.8.10:40000")

		device, err := link.Device(p.state.Config.Router)
		p.check(err)
		p.check(link.Replace(device, link.Taken([]netip.Prefix{p.state.Config.Shadows}, nil), nil))
		p.check(FlushConnections())
		_, err = server.WriteTo([]byte("news"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort("10.77.8.10:40000")))
		p.check(err)
		_, err = c.Say("hello again")
		p.check(err)
		p.want(<-heard, "10.77.8.10:40000")
	})
}

// TestMachine checks what comes to the address of the machine's node, and to addresses that are kept.
func TestMachine(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		p := &path{Lab: lab}
		client, kept := lab.Pod("client", "10.77.0.10"), lab.Pod("kept", "10.77.12.200")
		kept.Serve(8080)
		lab.Machine.Serve(10250)
		p.start(protocol.Update{
			Nodes: []protocol.Node{{Name: "n1", Address: ip("10.77.6.2"), Machine: true}, {Name: "n2", Address: ip("10.77.6.3")}},
			Set:   []protocol.Service{{Key: key("web"), HealthCheck: 30999}},
		})
		p.want(client.Ask("tcp", "10.77.6.2:10250"), "machine 10.77.8.10 hello")
		p.want(client.Ask("udp", "10.77.6.2:10250"), "machine 10.77.8.10 hello")
		p.want(client.Ask("tcp", "10.77.6.2:30999"), "refused") // the router's own, which no one listens to here
		p.want(client.Ask("tcp", "10.77.6.3:10250"), "refused")
		p.want(client.Ask("tcp", "10.77.12.200:8080"), "kept 10.77.0.10 hello")
		p.check(client.Ping("10.77.6.2"))
	})
}

// TestConflict checks that of two services with one external address the first has it, and the second
// after it.
func TestConflict(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		p := &path{Lab: lab}
		client, a, b := lab.Pod("client", "10.77.0.10"), lab.Pod("a", "10.77.0.11"), lab.Pod("b", "10.77.0.12")
		a.Serve(8080)
		b.Serve(8080)
		service := func(name, endpoint string) protocol.Service {
			return protocol.Service{
				Key: key(name), External: []netip.Addr{ip("10.77.12.9")},
				Ports: []protocol.Port{{Protocol: "tcp", Port: 80, Endpoints: endpoints(endpoint)}},
			}
		}
		p.start(protocol.Update{Set: []protocol.Service{service("first", "10.77.0.11:8080")}})
		u := protocol.Update{Set: []protocol.Service{service("second", "10.77.0.12:8080")}}
		change, err := p.state.Apply(&u)
		p.check(err)
		problems, err := p.tables.Apply(&p.state, change)
		p.check(err)
		if problems[key("second")] == nil {
			t.Error("nobody says that the address is taken")
		}
		p.want(client.Ask("tcp", "10.77.12.9:80"), "a 10.77.8.10 hello")
		p.apply(protocol.Update{Delete: []protocol.Key{key("first")}})
		p.want(client.Ask("tcp", "10.77.12.9:80"), "b 10.77.8.10 hello")
		p.apply(protocol.Update{Delete: []protocol.Key{key("second")}})
		p.want(client.Ask("tcp", "10.77.12.9:80"), "refused")
	})
}

// TestMany brings a thousand services in force and changes one; the times are the log's.
func TestMany(t *testing.T) {
	netlab.Run(t, func(lab *netlab.Lab) {
		p := &path{Lab: lab}
		client, a := lab.Pod("client", "10.77.0.10"), lab.Pod("a", "10.77.0.11")
		a.Serve(8080)
		u := protocol.Update{Set: Thousand()}
		begin := time.Now()
		p.start(u)
		t.Log("1,000 services with 10 endpoints:", time.Since(begin))
		one := u.Set[500]
		one.Ports = []protocol.Port{{Protocol: "tcp", Port: 80, Endpoints: endpoints("10.77.0.11:8080")}}
		begin = time.Now()
		p.apply(protocol.Update{Set: []protocol.Service{one}})
		t.Log("a change of one:", time.Since(begin))
		p.want(client.Ask("tcp", one.Addresses[0].String()+":80"), "a 10.77.8.10 hello")
		begin = time.Now()
		p.apply(protocol.Update{Whole: true, Config: p.state.Config})
		t.Log("all gone:", time.Since(begin))
		p.want(client.Ask("tcp", one.Addresses[0].String()+":80"), "refused")
	})
}

// Thousand are 1,000 services with 10 endpoints each.
func Thousand() []protocol.Service {
	var list []protocol.Service
	for i := range 1000 {
		s := protocol.Service{
			Key:       protocol.Key{Namespace: "many", Name: fmt.Sprint("service-", i)},
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 77, 12 + byte(i>>8), byte(i)})},
		}
		var to []netip.AddrPort
		for j := range 10 {
			to = append(to, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 77, byte(i % 3), byte(20 + j + i%100)}), 8080))
		}
		s.Ports = []protocol.Port{{Name: "http", Protocol: "tcp", Port: 80, NodePort: uint16(30000 + i), Endpoints: to}}
		list = append(list, s)
	}
	return list
}

// run ends UDP flows beside, until the function that it returns is called.
func (p *path) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.tables.Run(ctx) }()
	return func() {
		cancel()
		p.check(<-done)
	}
}

// remembered counts the clients of a chain.
func (p *path) remembered(chain string) int {
	count := 0
	p.eachClient(chain, func([]byte) { count++ })
	return count
}

func (p *path) forgetAll(chain string) {
	var e encoder
	p.eachClient(chain, func(client []byte) { e.deleteElements(named(chain), [][]byte{slices.Clone(client)}) })
	p.check(p.tables.commit(&e))
}

func (p *path) eachClient(chain string, visit func([]byte)) {
	body := netlink.Attributes{unix.NFPROTO_IPV4, 0, 0, 0}
	body.String(unix.NFTA_SET_ELEM_LIST_TABLE, table)
	body.String(unix.NFTA_SET_ELEM_LIST_SET, chain)
	list := netlink.Message{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETSETELEM, Body: body}
	p.check(p.tables.conn.Dump(list, func(m netlink.Message) error {
		return elementsOf(m, func(e element) { visit(e.key) })
	}))
}

// eventually asks again until it is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatal("not within 10 s:", what)
}

// only is the one that has answered.
func only(t *testing.T, counts map[string]int) string {
	t.Helper()
	if len(counts) != 1 {
		t.Errorf("there were answers of %v", counts)
	}
	for name := range counts {
		return name
	}
	return ""
}
