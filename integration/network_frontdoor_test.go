package integration

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"skiff/integration/harness"
)

// door is the front door as a browser has it.
type door struct {
	peers
	at string
}

// theDoor is where the daemon says that it is.
func (p peers) theDoor() door {
	p.Helper()
	d := door{peers: p}
	harness.Until(p.T, soon, "the daemon says where the front door is", func() bool {
		d.at = p.cli.Try("", "-n", "kube-public", "get", "configmap", "skiff", "-o", "jsonpath={.data.frontDoor}").Out
		return d.at != ""
	})
	return d
}

// get asks for a URL, whose host is looked for at the door, and returns "200 body".
func (d door) get(url string, roots *x509.CertPool) string {
	transport := &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", d.at)
		},
	}
	c := http.Client{Transport: transport, Timeout: 20 * time.Second}
	r, err := c.Get(url)
	if err != nil {
		return err.Error()
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %s", r.StatusCode, strings.TrimSpace(string(body)))
}

// until waits until the answer begins as wanted.
func (d door) until(url, want string) {
	d.Helper()
	var got string
	defer func() {
		if d.Failed() {
			d.Logf("%s: %s", url, got)
		}
	}()
	harness.Until(d.T, soon, url+" gets "+want, func() bool { got = d.get(url, nil); return strings.HasPrefix(got, want) })
}

// says compares an answer with what it begins with, and what it contains.
func (d door) says(url string, roots *x509.CertPool, want string, more ...string) {
	d.Helper()
	got := d.get(url, roots)
	ok := strings.HasPrefix(got, want)
	for _, m := range more {
		ok = ok && strings.Contains(got, m)
	}
	if !ok {
		d.Errorf("%s: %s\nwant %s… %q", url, got, want, more)
	}
}

// TestFrontDoor reaches services by names of localhost, and what Ingresses say.
func TestFrontDoor(t *testing.T) {
	t.Parallel()
	p := startPeers(t)
	p.apply(webServers, webService)
	p.cli.Do("create", "namespace", "shop")
	p.cli.DoIn(strings.ReplaceAll(webServers, "IMAGE", p.image)+"---\n"+strings.Replace(webService, "name: web}", "name: cart}", 1), "-n", "shop", "apply", "-f", "-")
	p.ready("app=web", 2)
	d := p.theDoor()
	d.until("http://web.localhost/", "200 web-")
	d.until("http://cart.shop.localhost/", "200 web-")
	d.until("http://web.default.localhost/", "200 web-")
	_, port, err := net.SplitHostPort(d.at)
	if err != nil {
		t.Fatal(err)
	}
	d.says("http://web.localhost:"+port+"/", nil, "200 web-")
	d.says("http://web.localhost/path/x", nil, "200 web-", " web.localhost /path/x http 127.0.0.1")
	d.says("http://cart.localhost/", nil, "200 web-") // the only one of that name
	d.says("http://unknown.example/", nil, "421 ")
	d.says("http://unknown.localhost/", nil, "404 ")
	for _, cli := range p.d.CLIs()[1:] {
		if got, want := cli.Do("open", "--print", "web"), "http://web.localhost:"+port+"\n"; got != want {
			t.Errorf("open --print web: %q, want %q", got, want)
		}
	}
	d.webSocket()
	d.events()
	d.ingress(port)
}

// webSocket sends frames through the door and gets them back.
func (d door) webSocket() {
	d.Helper()
	conn, err := net.Dial("tcp", d.at)
	if err != nil {
		d.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second)) //nolint:errcheck // it can't fail
	fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: web.localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
	in := bufio.NewReader(conn)
	r, err := http.ReadResponse(in, nil)
	// The key is RFC 6455's example, as is what must be made of it.
	if err != nil || r.StatusCode != http.StatusSwitchingProtocols || r.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		d.Fatalf("the upgrade: %+v, %v", r, err)
	}
	for _, text := range []string{"one", "two"} {
		mask := [4]byte{1, 2, 3, 4}
		frame := append([]byte{0x81, 0x80 | byte(len(text))}, mask[:]...)
		for i := range text {
			frame = append(frame, text[i]^mask[i%4])
		}
		if _, err := conn.Write(frame); err != nil {
			d.Fatal(err)
		}
		got := make([]byte, 2+len(text))
		if _, err := io.ReadFull(in, got); err != nil || string(got[2:]) != text {
			d.Fatalf("sent %q, got %q, %v", text, got, err)
		}
	}
}

// events gets each event when it is sent, though the answer never ends.
func (d door) events() {
	d.Helper()
	q, err := http.NewRequestWithContext(d.Context(), http.MethodGet, "http://"+d.at+"/events", nil)
	if err != nil {
		d.Fatal(err)
	}
	q.Host = "web.localhost"
	c := http.Client{Transport: &http.Transport{ResponseHeaderTimeout: 20 * time.Second}}
	r, err := c.Do(q)
	if err != nil {
		d.Fatal(err)
	}
	defer r.Body.Close()
	late := time.AfterFunc(20*time.Second, func() { r.Body.Close() })
	defer late.Stop()
	in := bufio.NewReader(r.Body)
	for n := range 3 {
		line, err := in.ReadString('\n')
		if err != nil || line != fmt.Sprintf("data: %d\n", n) {
			d.Fatalf("event %d: %q, %v", n, line, err)
		}
		in.ReadString('\n') //nolint:errcheck // the empty line that ends it
	}
}

// ingress has two sites, one with a certificate of skiff's own and one with a secret's.
func (d door) ingress(port string) {
	d.Helper()
	dir := d.TempDir()
	roots := certificate(d.T, dir, "secret.test")
	d.d.KubectlCLI().Do("create", "secret", "tls", "mine", "--cert", filepath.Join(dir, "cert.pem"), "--key", filepath.Join(dir, "key.pem"))
	d.apply(`
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: sites}
spec:
  tls:
  - {hosts: [own.test]}
  - {hosts: [secret.test], secretName: mine}
  rules:
  - host: own.test
    http: {paths: [
      {path: /path/a, pathType: Prefix, backend: {service: {name: web, port: {name: http}}}},
      {path: /path/none, pathType: Prefix, backend: {service: {name: missing, port: {number: 80}}}}]}
  - host: secret.test
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}`)
	d.until("http://own.test/path/a/b", "200 web-")
	raw, err := os.ReadFile(filepath.Join(d.d.DataDir, "credentials", "ca.pem"))
	own := x509.NewCertPool()
	if err != nil || !own.AppendCertsFromPEM(raw) {
		d.Fatalf("the authority: %v", err)
	}
	d.says("https://own.test/path/a/b", own, "200 web-", " own.test /path/a/b https 127.0.0.1")
	d.says("https://web.localhost/", own, "200 web-")
	d.says("https://secret.test/", roots, "200 web-")
	d.says("https://secret.test/", own, `Get "https://secret.test/": tls: failed to verify certificate`)
	d.says("https://own.test/path/none", own, "503 ", "default/missing")
	d.says("http://own.test/elsewhere", nil, "404 ")
	if got := d.of("ingress/sites", ".spec.ingressClassName"); got != "skiff" {
		d.Errorf("an Ingress without a class has %q", got)
	}
	for _, cli := range d.d.CLIs() {
		harness.Until(d.T, soon, cli.Name+" shows where the Ingress is", func() bool {
			return linesMatch(lines(cli.Do("get", "ingress", "--no-headers")), []string{"sites skiff own.test,secret.test 127.0.0.1 80, 443 *"})
		})
	}
	if got := d.of("ingress/sites", ".status.loadBalancer.ingress[0].ports[0].port"); got != port {
		d.Errorf("the status has port %q, the door %s", got, port)
	}
	if text := d.cli.Do("describe", "ingress", "sites"); !strings.Contains(text, "BackendNotFound") || !strings.Contains(text, "service default/missing does not exist") {
		d.Errorf("describe does not tell of the missing service:\n%s", text)
	}
}

// certificate writes a certificate for a name, its own authority, with its key into a directory.
func certificate(t *testing.T, dir, name string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	for file, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: secret}} {
		text := pem.EncodeToMemory(block)
		if err := os.WriteFile(filepath.Join(dir, file), text, 0o600); err != nil {
			t.Fatal(err)
		}
		if block.Type == "CERTIFICATE" {
			roots.AppendCertsFromPEM(text)
		}
	}
	return roots
}

// TestFrontDoorHasNoRights looks at the process that reads what anybody sends: it shares the router's container
// and not its capabilities.
func TestFrontDoorHasNoRights(t *testing.T) {
	t.Parallel()
	p := startPeers(t)
	doors := 0
	harness.Until(t, soon, "the front door runs", func() bool {
		top, err := p.d.Engine.ContainerTop(t.Context(), p.router(), nil)
		if err != nil {
			t.Fatal(err)
		}
		pid, command := slices.Index(top.Titles, "PID"), slices.Index(top.Titles, "CMD")
		for _, process := range top.Processes {
			if !strings.Contains(process[command], " door ") {
				continue
			}
			status, err := os.ReadFile("/proc/" + process[pid] + "/status")
			if err != nil {
				t.Skipf("the engine's processes are not this machine's: %v", err)
			}
			if !strings.Contains(string(status), "CapEff:\t0000000000000000\n") {
				return false // it has just begun
			}
			doors++
		}
		return doors > 0
	})
}
