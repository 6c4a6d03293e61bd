package authn_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	clocktesting "k8s.io/utils/clock/testing"

	"skiff/api/authn"
	"skiff/api/credentials"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// who asks a about r and puts the answer in words.
func who(t *testing.T, a authenticator.Request, r *http.Request) string {
	t.Helper()
	answer, ok, err := a.AuthenticateRequest(r)
	switch {
	case err != nil:
		return "error"
	case !ok:
		return "nobody"
	}
	return answer.User.GetName() + " of " + strings.Join(answer.User.GetGroups(), ",")
}

// showing is a request over a connection whose client showed a certificate.
func showing(t *testing.T, certPEM []byte) *http.Request {
	t.Helper()
	block, _ := pem.Decode(certPEM)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
	return r
}

func load(t *testing.T) *credentials.Credentials {
	t.Helper()
	c, err := credentials.Load(credentials.Options{Dir: t.TempDir(), Clock: clocktesting.NewFakePassiveClock(now)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClientCertificate(t *testing.T) {
	clk := clocktesting.NewFakePassiveClock(now)
	ours, theirs := load(t), load(t)
	a := authn.NewClientCertificate(ours.Roots(), clk)
	admin := "skiff-admin of system:masters,system:authenticated"
	check := func(what string, r *http.Request, want string) {
		t.Helper()
		if got := who(t, a, r); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	check("without TLS", httptest.NewRequest(http.MethodGet, "/", nil), "nobody")
	check("ours", showing(t, ours.AdminCert()), admin)
	check("ours again", showing(t, ours.AdminCert()), admin)
	check("theirs", showing(t, theirs.AdminCert()), "error")
	server, err := ours.ServerTLS().GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	check("the server's", showing(t, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate[0]})), "error")
	clk.SetTime(now.Add(20 * 365 * 24 * time.Hour))
	check("after its end", showing(t, ours.AdminCert()), "error")
	clk.SetTime(now.Add(-24 * time.Hour))
	check("before its beginning", showing(t, ours.AdminCert()), "error")
}
