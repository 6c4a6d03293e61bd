//go:build linux

// Package netlab is a network of namespaces for tests: the test's process is the router on a bridge,
// beside pods and the engine's machine. It needs no rights where a user may make namespaces.
package netlab

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"skiff/network/protocol"
)

// inside is set in the process that has namespaces of its own.
const inside = "SKIFF_NETLAB"

// patience bounds whatever a test waits for.
const patience = 5 * time.Second

// Config is how the lab's network is divided.
func Config() *protocol.Config {
	prefix := netip.MustParsePrefix
	return &protocol.Config{
		Subnet: prefix("10.77.0.0/20"), Gateway: netip.MustParseAddr("10.77.0.1"), Router: netip.MustParseAddr("10.77.6.1"),
		Pods: prefix("10.77.0.0/22"), Nodes: prefix("10.77.6.0/23"), Shadows: prefix("10.77.8.0/22"), Services: prefix("10.77.12.0/22"),
		Domain: "cluster.local",
	}
}

// Run runs a test in a process and namespaces of its own, or skips it, with the reason, where the
// system does not allow that.
func Run(t *testing.T, test func(*Lab)) {
	if os.Getenv(inside) != "" {
		test(build(t))
		return
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("SKIPPED: iproute2 is needed to build a network:", err)
	}
	again := exec.Command("/proc/self/exe", "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", "2m")
	again.Env = append(os.Environ(), inside+"=1")
	again.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
	out, err := again.CombinedOutput()
	var failed *exec.ExitError
	switch {
	case errors.As(err, &failed):
		t.Fatalf("%s", out)
	case err != nil:
		t.Skip("SKIPPED: the system allows no namespaces:", err)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("SKIPPED: %s", out)
	}
	t.Logf("%s", out)
}

// Lab is the network. Machine is the engine's machine, at the gateway's address, with the bridge.
type Lab struct {
	T       *testing.T
	Machine *Host
	hosts   int
	// own is the router's namespace.
	own string
}

func build(t *testing.T) *Lab {
	lab := &Lab{T: t}
	// The first thread may become a host's.
	own, err := os.Open("/proc/thread-self/ns/net")
	check(t, err)
	t.Cleanup(func() { _ = own.Close() })
	lab.own = fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), own.Fd())
	run(t, "ip link set lo up")
	// The router's container gets it from the engine: redirects would use up what the kernel allows for
	// saying that a port is not there.
	check(t, os.WriteFile("/proc/sys/net/ipv4/conf/all/send_redirects", []byte("0"), 0))
	lab.Machine = lab.newHost("machine")
	lab.Machine.Do(func() {
		run(t, "ip link set lo up")
		run(t, "ip link add br0 type bridge")
		run(t, "ip addr add 10.77.0.1/20 dev br0")
		run(t, "ip link set br0 up")
	})
	lab.connect("", "10.77.6.1/20")
	run(t, "ip route add default via 10.77.0.1")
	return lab
}

// connect gives a namespace, this one if it is empty, an eth0 on the bridge.
func (l *Lab) connect(namespace, address string) {
	l.hosts++
	port := fmt.Sprintf("veth%d", l.hosts)
	where := namespace
	if where == "" {
		where = l.own
	}
	l.Machine.Do(func() {
		run(l.T, "ip link add "+port+" type veth peer name eth0 netns "+where)
		run(l.T, "ip link set "+port+" master br0 up")
	})
	set := func() {
		run(l.T, "ip addr add "+address+" dev eth0")
		run(l.T, "ip link set eth0 up")
	}
	if namespace == "" {
		set()
	}
}

// Pod adds a pod with an address.
func (l *Lab) Pod(name, address string) *Host {
	h := l.newHost(name)
	h.Address = netip.MustParseAddr(address)
	l.connect(h.namespace, address+"/20")
	h.Do(func() {
		run(l.T, "ip link set lo up")
		run(l.T, "ip addr add "+address+"/20 dev eth0")
		run(l.T, "ip link set eth0 up")
		run(l.T, "ip route add default via 10.77.0.1")
	})
	return h
}

// Host is a namespace.
type Host struct {
	Name    string
	Address netip.Addr

	lab       *Lab
	namespace string
	work      chan func()
}

func (l *Lab) newHost(name string) *Host {
	h := &Host{Name: name, lab: l, work: make(chan func())}
	ready := make(chan error)
	go func() { // its thread is the namespace, and ends with it
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		h.namespace = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
		ready <- err
		for f := range h.work {
			f()
		}
	}()
	if err := <-ready; err != nil {
		l.T.Skip("SKIPPED: the system allows no namespaces:", err)
	}
	l.T.Cleanup(func() { close(h.work) })
	return h
}

// Do runs f in the host's namespace. Sockets that are made there stay there.
func (h *Host) Do(f func()) {
	done := make(chan struct{})
	h.work <- func() { defer close(done); f() }
	<-done
}

// Shell runs a command in the host's namespace.
func (h *Host) Shell(command string) string {
	var out string
	h.Do(func() { out = run(h.lab.T, command) })
	return out
}

func run(t *testing.T, command string) string {
	t.Helper()
	words := strings.Fields(command)
	out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
	return string(out)
}

// Serve answers at a port, by TCP and UDP: to each line, or datagram, the host's name, the client's
// address as it sees it, and what was said.
func (h *Host) Serve(port int) {
	t := h.lab.T
	h.Do(func() {
		l, err := net.Listen("tcp4", fmt.Sprintf(":%d", port))
		check(t, err)
		u, err := net.ListenPacket("udp4", fmt.Sprintf(":%d", port))
		check(t, err)
		t.Cleanup(func() { _, _ = l.Close(), u.Close() })
		go h.serveTCP(l)
		go h.serveUDP(u)
	})
}

func (h *Host) serveTCP(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			lines := bufio.NewScanner(c)
			for lines.Scan() {
				fmt.Fprintf(c, "%s\n", h.reply(c.RemoteAddr(), lines.Text()))
			}
		}()
	}
}

func (h *Host) serveUDP(u net.PacketConn) {
	buffer := make([]byte, 1<<16)
	for {
		n, from, err := u.ReadFrom(buffer)
		if err != nil {
			return
		}
		if _, err := u.WriteTo([]byte(h.reply(from, string(buffer[:n]))), from); err != nil {
			return
		}
	}
}

func (h *Host) reply(from net.Addr, said string) string {
	return h.Name + " " + netip.MustParseAddrPort(from.String()).Addr().String() + " " + said
}

// Conn is a connection to something that answers like Serve.
type Conn struct {
	net.Conn
	lines *bufio.Reader
}

// Dial connects from a port of the host's, 0 for any.
func (h *Host) Dial(network, address string, port int) (*Conn, error) {
	var c net.Conn
	var err error
	h.Do(func() {
		d := net.Dialer{Timeout: patience}
		if port != 0 {
			d.LocalAddr = &net.TCPAddr{Port: port}
			if network == "udp" {
				d.LocalAddr = &net.UDPAddr{Port: port}
			}
		}
		c, err = d.Dial(network+"4", address)
	})
	if err != nil {
		return nil, err
	}
	h.lab.T.Cleanup(func() { _ = c.Close() })
	return &Conn{c, bufio.NewReader(c)}, nil
}

// Say says a line, or a datagram, and returns the answer.
func (c *Conn) Say(text string) (string, error) {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	_, udp := c.Conn.(*net.UDPConn)
	if udp {
		if _, err := c.Write([]byte(text)); err != nil {
			return "", err
		}
		buffer := make([]byte, 1<<16)
		n, err := c.Read(buffer)
		return string(buffer[:n]), err
	}
	if _, err := c.Write([]byte(text + "\n")); err != nil {
		return "", err
	}
	line, err := c.lines.ReadString('\n')
	return strings.TrimSuffix(line, "\n"), err
}

// Ask connects, says hello and returns the answer, or the error in a word or two.
func (h *Host) Ask(network, address string) string {
	answer, err := h.ask(network, address, 0)
	return word(answer, err)
}

func (h *Host) ask(network, address string, port int) (string, error) {
	c, err := h.Dial(network, address, port)
	if err != nil {
		return "", err
	}
	defer c.Close()
	return c.Say("hello")
}

func word(answer string, err error) string {
	switch {
	case err == nil:
		return answer
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET):
		return "reset"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	}
	return err.Error()
}

// Ping sends an ICMP echo and waits for its reply.
func (h *Host) Ping(address string) error {
	echo := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: 1, Seq: 1, Data: []byte("hello")}}
	packet, err := echo.Marshal(nil)
	if err != nil {
		return err
	}
	var c net.Conn
	h.Do(func() { c, err = net.Dial("ip4:icmp", address) })
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := c.Write(packet); err != nil {
		return err
	}
	reply := make([]byte, 1500)
	n, _, err := c.(*net.IPConn).ReadFrom(reply) // Read leaves the IP header in it
	if err != nil {
		return err
	}
	got, err := icmp.ParseMessage(ipv4.ICMPTypeEchoReply.Protocol(), reply[:n])
	if err == nil && got.Type != ipv4.ICMPTypeEchoReply {
		err = fmt.Errorf("the reply is of type %v", got.Type)
	}
	return err
}

// Dropped reports whether nothing comes back, within half a second.
func (h *Host) Dropped(network, address string) bool {
	var err error
	h.Do(func() {
		var c net.Conn
		d := net.Dialer{Timeout: 500 * time.Millisecond}
		if c, err = d.Dial(network+"4", address); err != nil {
			return
		}
		defer c.Close()
		_, _ = c.Write([]byte("hello\n"))
		_ = c.SetDeadline(time.Now().Add(500 * time.Millisecond))
		_, err = c.Read(make([]byte, 100))
	})
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// Counts asks so many times and counts who answers.
func (h *Host) Counts(network, address string, times int) map[string]int {
	var lock sync.Mutex
	counts := map[string]int{}
	for range times {
		answer := h.Ask(network, address)
		name, _, _ := strings.Cut(answer, " ")
		lock.Lock()
		counts[name]++
		lock.Unlock()
	}
	return counts
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
