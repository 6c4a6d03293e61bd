package credentials

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"slices"
)

// given are certificates of the user's, beside those of the authority's own.
type given struct {
	// clients are PEM of authorities whose client certificates are accepted.
	clients []byte
	// server is nil if the user has given none; serverPEM is its file.
	server    *tls.Certificate
	serverPEM []byte
}

func (c *Credentials) loadGiven() (err error) {
	o := c.options
	if o.ClientCAFile != "" {
		if c.given.clients, err = os.ReadFile(o.ClientCAFile); err != nil {
			return fmt.Errorf("reading the authorities of clients: %w", err)
		}
		if !x509.NewCertPool().AppendCertsFromPEM(c.given.clients) {
			return fmt.Errorf("reading the authorities of clients: %s holds no certificate in PEM", o.ClientCAFile)
		}
	}
	if o.ServerCertFile == "" {
		return nil
	}
	if c.given.serverPEM, err = os.ReadFile(o.ServerCertFile); err != nil {
		return fmt.Errorf("reading the API's certificate: %w", err)
	}
	key, err := os.ReadFile(o.ServerKeyFile)
	if err != nil {
		return fmt.Errorf("reading the key of the API's certificate: %w", err)
	}
	pair, err := tls.X509KeyPair(c.given.serverPEM, key)
	if err != nil {
		return fmt.Errorf("reading the API's certificate from %s and %s: %w", o.ServerCertFile, o.ServerKeyFile, err)
	}
	c.given.server = &pair
	return nil
}

// Trusted is, as PEM, what a client of the API on this machine has to trust: the authority, and the
// certificate that the user has given.
func (c *Credentials) Trusted() []byte { return slices.Concat(c.CA(), c.given.serverPEM) }

// certificateFor returns the certificate for a connection: the user's for who asks for one of its
// names, that of the authority for others, pods above all.
func (c *Credentials) certificateFor(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if pair := c.given.server; pair != nil && pair.Leaf.VerifyHostname(asked(hello)) == nil {
		return pair, nil
	}
	return c.serverCertificate()
}

// asked is the name by which a client knows the server; a client that knows an address alone names none.
func asked(hello *tls.ClientHelloInfo) string {
	if hello.ServerName != "" || hello.Conn == nil {
		return hello.ServerName
	}
	host, _, err := net.SplitHostPort(hello.Conn.LocalAddr().String())
	if err != nil {
		return ""
	}
	return host
}
