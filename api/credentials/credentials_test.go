package credentials

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

func load(t *testing.T, dir string, at time.Time, hosts ...string) *Credentials {
	t.Helper()
	c, err := Load(Options{Dir: dir, Hosts: hosts, Clock: clocktesting.NewFakePassiveClock(at)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestReusedUntilNearTheEnd(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "credentials")
	first := load(t, dir, start)
	type changed struct{ ca, admin, server bool }
	day := 24 * time.Hour
	for _, test := range []struct {
		name  string
		at    time.Time
		hosts []string
		want  changed
	}{
		{name: "at once", at: start},
		{name: "server near its end", at: start.Add(serverLife - serverRenew + day), want: changed{server: true}},
		{name: "all past the authority's renewal", at: start.Add(authorityLife - authorityRenew + day), want: changed{true, true, true}},
		{name: "clock before its beginning", at: start.Add(-day), want: changed{true, true, true}},
		{name: "another host", at: start, hosts: []string{"build-7", "10.1.2.3"}, want: changed{server: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			copied := copyDir(t, dir)
			then := load(t, copied, test.at, test.hosts...)
			got := changed{
				ca:     !bytes.Equal(first.CA(), then.CA()),
				admin:  !bytes.Equal(first.AdminCert(), then.AdminCert()),
				server: !bytes.Equal(first.server.cert.Raw, then.server.cert.Raw),
			}
			if got != test.want {
				t.Errorf("made anew: %+v, want %+v", got, test.want)
			}
			if !then.server.issuedBy(then.authority) || !then.admin.issuedBy(then.authority) {
				t.Error("a certificate is not of the authority beside it")
			}
		})
	}
}

func copyDir(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestFilesAreTheOwnersAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "credentials")
	load(t, dir, start)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 3 {
		t.Errorf("%d files, want ca.pem, server.pem, admin.pem", len(entries))
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", e.Name(), info.Mode())
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory has mode %v, error %v", info.Mode(), err)
	}
}

func TestServerNames(t *testing.T) {
	c := load(t, t.TempDir(), start, "skiff.test", "192.0.2.7", "127.0.0.1")
	own, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := c.ServerTLS().GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "::1", "localhost", "skiff.test", "192.0.2.7", own} {
		if err := cert.Leaf.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	if err := cert.Leaf.VerifyHostname("elsewhere.test"); err == nil {
		t.Error("good for elsewhere.test")
	}
	_, err = c.admin.cert.Verify(x509.VerifyOptions{Roots: c.Roots(), CurrentTime: start, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		t.Errorf("administrator's certificate: %v", err)
	}
	if got := c.admin.cert.Subject.String(); got != "CN=skiff-admin,O=system:masters" {
		t.Errorf("administrator is %q", got)
	}
}

func TestServerCertificateIsRenewedWhileServing(t *testing.T) {
	clk := clocktesting.NewFakePassiveClock(start)
	c, err := Load(Options{Dir: t.TempDir(), Clock: clk})
	if err != nil {
		t.Fatal(err)
	}
	get := func() *x509.Certificate {
		cert, err := c.ServerTLS().GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return cert.Leaf
	}
	first := get()
	if get() != first {
		t.Error("renewed for nothing")
	}
	clk.SetTime(start.Add(serverLife - serverRenew + time.Minute))
	if second := get(); second == first || !second.NotAfter.After(first.NotAfter) {
		t.Error("not renewed near its end")
	}
}

func TestBrokenFileIsRefused(t *testing.T) {
	for _, name := range []string{"ca", "admin", "server"} {
		for what, spoil := range map[string]func([]byte) []byte{
			"is empty":       func([]byte) []byte { return nil },
			"has no key":     func(b []byte) []byte { return b[:bytes.Index(b, []byte("-----BEGIN PRIVATE"))] },
			"is not PEM":     func([]byte) []byte { return []byte("secret") },
			"has a bad cert": func(b []byte) []byte { return bytes.Replace(b, []byte("MII"), []byte("AAA"), 1) },
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				dir := t.TempDir()
				load(t, dir, start)
				path := filepath.Join(dir, name+".pem")
				raw, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, spoil(raw), 0o600); err != nil {
					t.Fatal(err)
				}
				_, err = Load(Options{Dir: dir, Clock: clocktesting.NewFakePassiveClock(start)})
				if err == nil || !strings.Contains(err.Error(), path+" (delete the file to have new ones made)") {
					t.Errorf("error %v", err)
				}
			})
		}
	}
}

func BenchmarkFirstStart(b *testing.B) {
	for b.Loop() {
		if _, err := Load(Options{Dir: b.TempDir(), Clock: clocktesting.NewFakePassiveClock(start)}); err != nil {
			b.Fatal(err)
		}
	}
}
