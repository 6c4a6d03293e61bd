// Package authn says who makes a request: whoever shows a client certificate of skiff's own
// authority, or the token of a service account. There are no other users.
package authn

import (
	"crypto/sha256"
	"crypto/x509"
	"net/http"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/websocket"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/utils/clock"
)

// ClientCertificate takes the certificate's common name as user name and its organizations as
// groups, as upstream does.
// https://kubernetes.io/docs/reference/access-authn-authz/authentication/#x509-client-certificates
type ClientCertificate struct {
	roots *x509.CertPool
	clock clock.PassiveClock

	mu    sync.RWMutex
	known map[[sha256.Size]byte]certified
}

// certified is a certificate found good, and until when. Checking one anew costs more than the rest
// of a small request.
type certified struct {
	who         *authenticator.Response
	from, until time.Time
}

// NewClientCertificate accepts certificates that an authority of roots issued for client
// authentication.
func NewClientCertificate(roots *x509.CertPool, clk clock.PassiveClock) *ClientCertificate {
	return &ClientCertificate{roots: roots, clock: clk, known: map[[sha256.Size]byte]certified{}}
}

// AuthenticateRequest implements authenticator.Request.
func (c *ClientCertificate) AuthenticateRequest(r *http.Request) (*authenticator.Response, bool, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, false, nil
	}
	leaf, now := r.TLS.PeerCertificates[0], c.clock.Now()
	sum := sha256.Sum256(leaf.Raw)
	c.mu.RLock()
	found, ok := c.known[sum]
	c.mu.RUnlock()
	if ok && !now.Before(found.from) && !now.After(found.until) {
		return found.who, true, nil
	}
	if err := c.verify(leaf, r.TLS.PeerCertificates[1:], now); err != nil {
		return nil, false, err
	}
	found = certified{who: identity(leaf), from: leaf.NotBefore, until: leaf.NotAfter}
	c.mu.Lock()
	c.known[sum] = found // one an issued certificate: few
	c.mu.Unlock()
	return found.who, true, nil
}

func (c *ClientCertificate) verify(leaf *x509.Certificate, chain []*x509.Certificate, now time.Time) error {
	between := x509.NewCertPool()
	for _, cert := range chain {
		between.AddCert(cert)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots:         c.roots,
		Intermediates: between,
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err
}

func identity(leaf *x509.Certificate) *authenticator.Response {
	return respond(leaf.Subject.CommonName, leaf.Subject.Organization)
}

func respond(name string, groups []string) *authenticator.Response {
	groups = append(append([]string(nil), groups...), user.AllAuthenticated)
	return &authenticator.Response{User: &user.DefaultInfo{Name: name, Groups: groups}}
}

// New accepts certificates, and tokens in the header Authorization or in that of a WebSocket. A token
// in a URL would be in logs, so it is none.
func New(certificates *ClientCertificate, tokens authenticator.Token) authenticator.Request {
	return union.New(certificates, group.NewAuthenticatedGroupAdder(union.New(
		bearertoken.New(tokens), websocket.NewProtocolAuthenticator(tokens),
	)))
}
