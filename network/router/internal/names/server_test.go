package names

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// resolver answers A questions below example.org: big.example.org does not fit into a datagram.
func resolver(t *testing.T) netip.AddrPort {
	l := listen(t.Context(), t)
	t.Cleanup(func() { check(t, l.Close()) })
	go func() {
		buffer := make([]byte, largest)
		for {
			n, from, err := l.udp.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			// One for somebody else, first.
			send(l.udp, append([]byte{0xff, 0xff, 0x80}, make([]byte, headSize)...), from)
			send(l.udp, exampleAnswer(t, buffer[:n], true), from)
		}
	}()
	go func() {
		for {
			c, err := l.tcp.Accept()
			if err != nil {
				return
			}
			packet, err := readFramed(c)
			check(t, err)
			_, err = c.Write(framed(exampleAnswer(t, packet, false)))
			check(t, err)
			check(t, c.Close())
		}
	}()
	return l.Addr()
}

func exampleAnswer(t *testing.T, packet []byte, udp bool) []byte {
	q, code, ok := parse(packet, udp)
	if !ok || code != 0 {
		t.Errorf("a question that makes no sense was forwarded: %x", packet)
	}
	r := result{answers: addressRecords(q.question.Type, ip("192.0.2.1"))}
	truncated := false
	if strings.HasPrefix(q.question.Name.String(), "big.") {
		truncated = udp
		for range 100 {
			r.answers = append(r.answers, addressRecords(dnsmessage.TypeA, ip("192.0.2.2"))...)
		}
	}
	n := len(r.answers)
	if truncated {
		n = 1
	}
	return q.pack(r, n, true, truncated)
}

// listen finds a port that is free for both protocols: one that is for UDP may be somebody's for TCP.
func listen(ctx context.Context, t *testing.T) *Listener {
	t.Helper()
	for range 20 {
		l, err := Listen(ctx, netip.MustParseAddrPort("127.0.0.1:0"))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		check(t, err)
		return l
	}
	t.Fatal("no port is free for both protocols")
	return nil
}

// serve runs a server and returns its address.
func serve(t *testing.T, resolvers ...netip.AddrPort) netip.AddrPort {
	ctx, cancel := context.WithCancel(t.Context())
	l := listen(ctx, t)
	done := make(chan error, 1)
	go func() { done <- NewServer(sample().index, resolvers).Run(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		check(t, <-done)
	})
	return l.Addr()
}

func TestServer(t *testing.T) {
	refuses := netip.MustParseAddrPort("127.0.0.1:1")
	at := serve(t, refuses, resolver(t))
	nobody := serve(t)
	for _, c := range []struct {
		network, question string
		server            netip.AddrPort
		want              string
	}{
		{"udp", "web.default.svc.cluster.local. A", at, "NOERROR web.default.svc.cluster.local. A 10.77.12.5"},
		{"tcp", "web.default.svc.cluster.local. A", at, "NOERROR web.default.svc.cluster.local. A 10.77.12.5"},
		{"udp", "www.example.org. A", at, "NOERROR www.example.org. A 192.0.2.1"},
		{"tcp", "www.example.org. A", at, "NOERROR www.example.org. A 192.0.2.1"},
		{"udp", "big.example.org. A", at, "NOERROR truncated big.example.org. A 192.0.2.1"},
		{"tcp", "big.example.org. A", at, "NOERROR big.example.org. A 192.0.2.1" + strings.Repeat(", big.example.org. A 192.0.2.2", 100)},
		{"udp", "out.ext.svc.cluster.local. A", at, "NOERROR example.org. A 192.0.2.1, out.ext.svc.cluster.local. CNAME example.org."},
		{"udp", "out.ext.svc.cluster.local. A", nobody, "SERVFAIL out.ext.svc.cluster.local. CNAME example.org."},
		{"udp", "www.example.org. A", nobody, "SERVFAIL"},
		{"tcp", "www.example.org. A", nobody, "SERVFAIL"},
		{"udp", "web.default.svc.cluster.local. A", nobody, "NOERROR web.default.svc.cluster.local. A 10.77.12.5"},
	} {
		if got := over(t, c.network, c.server, c.question); got != c.want {
			t.Errorf("%s by %s:\n got %s\nwant %s", c.question, c.network, got, c.want)
		}
	}
}

// over asks a server.
func over(t *testing.T, network string, server netip.AddrPort, text string) string {
	t.Helper()
	c, err := net.Dial(network, server.String())
	check(t, err)
	defer c.Close()
	check(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	packet := question(t, text, 0)
	if network == "tcp" {
		// One connection takes several questions; half a question first.
		whole := append(framed(packet), framed(packet)...)
		_, err = c.Write(whole[:7])
		check(t, err)
		_, err = c.Write(whole[7:])
		check(t, err)
		first, err := readFramed(c)
		check(t, err)
		second, err := readFramed(c)
		check(t, err)
		if show(t, first) != show(t, second) {
			t.Errorf("two answers to one question: %s; %s", show(t, first), show(t, second))
		}
		return show(t, first)
	}
	_, err = c.Write(packet)
	check(t, err)
	buffer := make([]byte, largest)
	n, err := c.Read(buffer)
	check(t, err)
	return show(t, buffer[:n])
}

// TestSilentResolver checks that questions which nobody answers keep nobody else waiting, and end.
func TestSilentResolver(t *testing.T) {
	silent, err := net.ListenPacket("udp4", "127.0.0.1:0")
	check(t, err)
	defer silent.Close()
	at := serve(t, silent.LocalAddr().(*net.UDPAddr).AddrPort())
	begin := time.Now()
	var asking sync.WaitGroup
	for range 20 {
		asking.Go(func() {
			if got := over(t, "udp", at, "www.example.org. A"); got != "SERVFAIL" {
				t.Errorf("got %s", got)
			}
		})
	}
	if got := over(t, "udp", at, "web.default.svc.cluster.local. A"); !strings.HasPrefix(got, "NOERROR") {
		t.Errorf("got %s", got)
	}
	if took := time.Since(begin); took > upstreamTimeout/2 {
		t.Errorf("a name of ours took %s", took)
	}
	asking.Wait()
}
