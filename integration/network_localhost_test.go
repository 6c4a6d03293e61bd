package integration

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"skiff/integration/harness"
)

// freePort is a TCP port of the loopback that nobody has at the moment.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// answers waits until a server of the peers answers at a URL of this machine, and returns its name.
func (p peers) answers(url string) string {
	p.Helper()
	var got string
	harness.Until(p.T, soon, url+" answers", func() bool {
		got = fetch(url)
		return strings.HasPrefix(got, "web-")
	})
	return got
}

// fetch is the body of an answer, or what went wrong, for a caller with a new connection.
func fetch(url string) string {
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	r, err := c.Get(url)
	if err != nil {
		return err.Error()
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(body))
}

// TestPortsOfThisMachine reaches services at ports of this machine.
func TestPortsOfThisMachine(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"skiff", "kubectl"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			p := startPeers(t)
			if by == "kubectl" {
				p.cli = p.d.KubectlCLI()
			}
			p.apply(webServers, clientPod)
			p.ready("app=client", 1)
			p.ready("app=web", 2)
			node := p.nodePort()
			p.refused(node)
			p.loadBalancer()
			p.takenPort()
			p.hostPort()
			p.listensOnLoopbackOnly()
		})
	}
}

// nodePort makes a service of that type, reaches it from here and from a pod, and returns its port.
func (p peers) nodePort() string {
	p.Helper()
	p.apply(strings.NewReplacer("name: web}", "name: ports}", "spec:", "spec:\n  type: NodePort").Replace(webService))
	port, packets := p.of("service/ports", ".spec.ports[0].nodePort"), p.of("service/ports", ".spec.ports[2].nodePort")
	p.answers("http://127.0.0.1:" + port)
	ip := p.of("nodes", `.items[0].status.addresses[?(@.type=="InternalIP")].address`)
	for _, url := range []string{"http://" + ip + ":" + port, "udp://" + ip + ":" + packets} {
		if got := p.ask("client", url, 30); len(got) != 2 {
			p.Errorf("a pod asks %s: %v answer", url, got)
		}
	}
	conn, err := net.Dial("udp", "127.0.0.1:"+packets)
	if err != nil {
		p.Fatal(err)
	}
	defer conn.Close()
	var answer [256]byte
	n := 0
	harness.Until(p.T, soon, "a datagram is answered", func() bool {
		conn.Write([]byte("hello\n"))                                //nolint:errcheck // it is sent again
		conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond)) //nolint:errcheck // it can't fail
		n, err = conn.Read(answer[:])
		return err == nil
	})
	if got := string(answer[:n]); !strings.HasPrefix(got, "web-") || !strings.HasSuffix(got, " hello\n") {
		p.Errorf("by UDP: %q", got)
	}
	return port
}

// refused: a node port is one service's.
func (p peers) refused(port string) {
	p.Helper()
	r := p.cli.Try(fmt.Sprintf(`{apiVersion: v1, kind: Service, metadata: {name: second}, spec: {type: NodePort, ports: [{port: 80, nodePort: %s}]}}`, port), "apply", "-f", "-")
	want := fmt.Sprintf(`The Service "second" is invalid: spec.ports[0].nodePort: Invalid value: %s: provided port is already allocated`, port)
	if r.Code == 0 || !strings.Contains(r.Err, want) {
		p.Errorf("a second service with the node port: exit %d, %q, want %q", r.Code, r.Err, want)
	}
}

// loadBalancer reaches a service at its own port of the loopback.
func (p peers) loadBalancer() {
	p.Helper()
	port := freePort(p.T)
	p.apply(balancer("public", port))
	p.answers(fmt.Sprintf("http://127.0.0.1:%d", port))
	// The command line shows it as it shows another cloud's.
	matches(p.T, p.cli.Do("get", "service", "public", "--no-headers"), fmt.Sprintf("public LoadBalancer * 127.0.0.1 %d:*/TCP *", port))
	p.cli.Do("delete", "service", "public")
	harness.Until(p.T, soon, "the port is closed", func() bool {
		return strings.Contains(fetch(fmt.Sprintf("http://127.0.0.1:%d", port)), "connection refused")
	})
}

func balancer(name string, port int) string {
	return fmt.Sprintf(`{apiVersion: v1, kind: Service, metadata: {name: %s}, spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: %d, targetPort: web}]}}`, name, port)
}

// TestPortBelow1024 publishes a port that the daemon's user may not open: the engine opens it, as long as the
// daemon runs and the service is there.
func TestPortBelow1024(t *testing.T) {
	t.Parallel()
	port := lowPort(t)
	p := makePeers(t)
	p.d = harness.StartAsNobody(t)
	p.cli = p.d.SkiffCLI()
	p.apply(webServers, balancer("low", port))
	p.ready("app=web", 2)
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	closed := func() bool { return strings.Contains(fetch(url), "connection refused") }
	p.answers(url)
	if got := p.of("service/low", ".status.loadBalancer.ingress[0].ip"); got != "127.0.0.1" {
		t.Errorf("the service's status has the address %q", got)
	}
	p.cli.Do("delete", "service", "low")
	harness.Until(t, soon, "the port is closed with its service", closed)
	p.apply(balancer("low", port))
	p.answers(url)

	p.d.Kill()
	p.d.Run()
	p.answers(url)
	p.d.Stop()
	if !closed() {
		t.Error("the port is open without the daemon")
	}
}

// lowPort is a free TCP port of the loopback below 1024, where those are for root.
func lowPort(t *testing.T) int {
	t.Helper()
	raw, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if first := strings.TrimSpace(string(raw)); err != nil || first != "1024" {
		t.Skipf("ports from %s on are for everybody here (%v)", first, err)
	}
	for port := 1023; port > 900; port-- {
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port below 1024 is free")
	return 0
}

// takenPort: a port that this test has is not opened, which is told, until the test gives it back.
func (p peers) takenPort() {
	p.Helper()
	holder, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.Fatal(err)
	}
	defer holder.Close()
	port := holder.Addr().(*net.TCPAddr).Port
	p.apply(balancer("late", port))
	want := fmt.Sprintf("Port tcp 127.0.0.1:%d is not opened on this machine: port is taken by integ", port)
	harness.Until(p.T, soon, "an event says who has the port", func() bool {
		text := p.cli.Do("describe", "service", "late")
		return strings.Contains(text, "PortNotPublished") && strings.Contains(text, want) && strings.Contains(text, fmt.Sprintf("(process %d)", os.Getpid()))
	})
	condition := `.status.conditions[?(@.type=="LoadBalancerPortsError")].status`
	if got := p.of("service/late", condition); got != "True" {
		p.Errorf("the condition is %q while the port is taken", got)
	}
	if got := p.of("service/late", ".status.loadBalancer.ingress"); got != "" {
		p.Errorf("it has an address without a port: %s", got)
	}
	holder.Close()
	p.answers(fmt.Sprintf("http://127.0.0.1:%d", port))
	harness.Until(p.T, soon, "the status says that the port is open", func() bool {
		return p.of("service/late", condition) == "False" && p.of("service/late", ".status.loadBalancer.ingress[0].ip") == "127.0.0.1"
	})
}

// hostPort: what the engine publishes works beside.
func (p peers) hostPort() {
	p.Helper()
	port := freePort(p.T)
	p.apply(fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: web-host, labels: {app: host}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: web, image: IMAGE, imagePullPolicy: Never, command: [peer, serve], ports: [{containerPort: 8080, hostPort: %d}]}]`, port))
	if got := p.answers(fmt.Sprintf("http://127.0.0.1:%d", port)); got != "web-host" {
		p.Errorf("%s answers at the hostPort", got)
	}
}

// listensOnLoopbackOnly looks at all the ports that the daemon has open: nobody but this machine and the
// pods reaches them.
func (p peers) listensOnLoopbackOnly() {
	p.Helper()
	gateway := p.of("nodes", `.items[0].status.addresses[?(@.type=="InternalIP")].address`)
	open := openPorts(p.T, p.d.Pid())
	loopback, inside := 0, 0
	for _, at := range open {
		switch {
		case at.Addr().IsLoopback():
			loopback++
		case at.Addr().String() == gateway:
			inside++
		default:
			p.Errorf("the daemon listens at %s", at)
		}
	}
	if loopback < 3 || inside == 0 {
		p.Errorf("%d ports are open on the loopback and %d at the gateway: the test has missed some: %v", loopback, inside, open)
	}
}

// openPorts are the addresses at which a process takes connections or datagrams, from proc_net_tcp(5).
// The sockets of a UDP client are connected and don't count.
func openPorts(t *testing.T, pid int) []netip.AddrPort {
	t.Helper()
	own := map[string]bool{}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if to, err := os.Readlink(f); err == nil {
			own[to] = true
		}
	}
	var open []netip.AddrPort
	for table, state := range map[string]string{"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"} {
		raw, err := os.ReadFile("/proc/net/" + table)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(raw)) {
			fields := strings.Fields(line)
			if len(fields) < 10 || fields[3] != state || !own["socket:["+fields[9]+"]"] {
				continue
			}
			open = append(open, kernelAddress(t, fields[1]))
		}
	}
	return open
}

// kernelAddress reads "0100007F:1D3B", whose words are in the order of a little-endian machine.
func kernelAddress(t *testing.T, text string) netip.AddrPort {
	t.Helper()
	address, port, _ := strings.Cut(text, ":")
	number, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		t.Fatal(err)
	}
	var raw []byte
	for i := 0; i+2 <= len(address); i += 2 {
		b, err := strconv.ParseUint(address[i:i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		raw = append(raw, byte(b))
	}
	for i := 0; i+4 <= len(raw); i += 4 {
		slices.Reverse(raw[i : i+4])
	}
	a, ok := netip.AddrFromSlice(raw)
	if !ok {
		t.Fatalf("%q is no address", text)
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(number))
}
