package publish

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"skiff/network/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// loopback is a free port of this machine's, as far as one can tell.
func loopback(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// echo serves what it is sent, in capitals, by TCP and UDP on one port.
func echo(t *testing.T) netip.AddrPort {
	t.Helper()
	tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	at := tcp.Addr().(*net.TCPAddr).AddrPort()
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tcp.Close(); udp.Close() })
	go func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for lines := bufio.NewScanner(c); lines.Scan(); {
					fmt.Fprintln(c, strings.ToUpper(lines.Text()))
				}
			}()
		}
	}()
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := udp.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			udp.WriteToUDPAddrPort([]byte(strings.ToUpper(string(b[:n]))), from) //nolint:errcheck // the client notices
		}
	}()
	return at
}

func run(t *testing.T) *Publisher {
	t.Helper()
	p := New(Options{Dial: (&net.Dialer{}).DialContext})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return p
}

func ask(t *testing.T, c net.Conn, text string) string {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, text+"\n"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b[:n]))
}

func TestPortsOpenAndClose(t *testing.T) {
	p, to, at := run(t), echo(t), loopback(t)
	want := []Port{{Protocol: protocol.TCP, At: at, To: to}, {Protocol: protocol.UDP, At: at, To: to}}
	for _, r := range p.Set("a", want) {
		if r.Err != nil {
			t.Fatalf("%s: %v", r.Port, r.Err)
		}
	}
	var conns []net.Conn
	for _, network := range []string{"tcp", "udp"} {
		c, err := net.Dial(network, at.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got := ask(t, c, "hello"); got != "HELLO" {
			t.Errorf("%s: %q", network, got)
		}
		conns = append(conns, c)
	}
	if r := p.Set("b", want[:1]); !errors.Is(r[0].Err, ErrTaken) || !strings.Contains(r[0].Err.Error(), "taken by a") {
		t.Errorf("another owner got %v", r[0].Err)
	}
	// Elsewhere, without the port being closed.
	other := echo(t)
	want[0].To, want[1].To = other, other
	for _, r := range p.Set("a", want) {
		if r.Err != nil {
			t.Errorf("%s: %v", r.Port, r.Err)
		}
	}
	p.Set("a", nil)
	if got := ask(t, conns[0], "still here"); got != "STILL HERE" {
		t.Errorf("a connection that was there: %q", got)
	}
	if c, err := net.Dial("tcp", at.String()); err == nil {
		c.Close()
		t.Error("the port is still open")
	}
	if r := p.Set("b", want[:1]); r[0].Err != nil {
		t.Errorf("once it is free: %v", r[0].Err)
	}
}

// TestSetWaitsForRun: a port that is wanted before the publisher runs is opened, and does not fail.
func TestSetWaitsForRun(t *testing.T) {
	p, at := New(Options{Dial: (&net.Dialer{}).DialContext}), loopback(t)
	result := make(chan Result, 1)
	go func() { result <- p.Set("a", []Port{{Protocol: protocol.TCP, At: at, To: at}})[0] }()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	if r := <-result; r.Err != nil {
		t.Error(r.Err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestServe: a listener that is there already is served, leads elsewhere when that is said, and is
// closed with the publisher, also if it comes after its end.
func TestServe(t *testing.T) {
	p := New(Options{Dial: (&net.Dialer{}).DialContext})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	listen := func() (*net.TCPListener, Port) {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		return l, Port{Protocol: protocol.TCP, At: l.Addr().(*net.TCPAddr).AddrPort(), To: loopback(t)}
	}
	l, port := listen()
	p.Serve("a", l, port) // nobody is there
	port.To = echo(t)
	p.Serve("a", l, port)
	c, err := net.Dial("tcp", port.At.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := ask(t, c, "hello"); got != "HELLO" {
		t.Errorf("got %q", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	late, port := listen()
	p.Serve("a", late, port)
	for _, l := range []*net.TCPListener{l, late} {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the listener was open: %v", err)
		}
	}
}

func TestTakenByAProgram(t *testing.T) {
	p := run(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := p.Set("a", []Port{{Protocol: protocol.TCP, At: l.Addr().(*net.TCPAddr).AddrPort(), To: loopback(t)}})
	want := fmt.Sprintf("(process %d)", os.Getpid())
	if !errors.Is(r[0].Err, ErrTaken) || !strings.Contains(r[0].Err.Error(), want) {
		t.Errorf("got %v, want it to name %s", r[0].Err, want)
	}
}

func TestNobodyThere(t *testing.T) {
	p, at := run(t), loopback(t)
	if r := p.Set("a", []Port{{Protocol: protocol.TCP, At: at, To: loopback(t)}}); r[0].Err != nil {
		t.Fatal(r[0].Err)
	}
	c, err := net.Dial("tcp", at.String())
	if errors.Is(err, syscall.ECONNRESET) {
		return // so soon
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want the connection to end", err)
	}
}

// TestProxyLine: the other end learns who calls.
func TestProxyLine(t *testing.T) {
	p, at, to := run(t), loopback(t), echo(t)
	if r := p.Set("a", []Port{{Protocol: protocol.TCP, At: at, To: to, Proxy: true}}); r[0].Err != nil {
		t.Fatal(r[0].Err)
	}
	c, err := net.Dial("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	want := fmt.Sprintf("PROXY TCP4 127.0.0.1 127.0.0.1 %d %d", c.LocalAddr().(*net.TCPAddr).Port, at.Port())
	if got := ask(t, c, "x"); !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSocketsAt(t *testing.T) {
	table := t.TempDir() + "/tcp"
	const content = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1D38 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0
   1: 00000000:1D38 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1 0
   2: 0200007F:1D38 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 333 1 0
   3: 0100007F:1D38 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 444 1 0
   4: 0100007F:1D39 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 555 1 0
`
	if err := os.WriteFile(table, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(socketsAt(table, netip.MustParseAddrPort("127.0.0.1:7480"))); got != "[111 222]" {
		t.Errorf("got %s", got)
	}
}
