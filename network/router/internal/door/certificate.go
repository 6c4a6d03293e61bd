package door

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"

	"skiff/network/protocol"
)

// certify adds a certificate for the names in it. A name that has one already keeps it.
func (t *table) certify(c protocol.Certificate) error {
	pair, err := tls.X509KeyPair(c.Cert, c.Key)
	if err != nil {
		return fmt.Errorf("reading a certificate: %w", err)
	}
	if pair.Leaf == nil {
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return fmt.Errorf("reading a certificate: %w", err)
		}
	}
	names := pair.Leaf.DNSNames
	if len(names) == 0 && pair.Leaf.Subject.CommonName != "" {
		names = []string{pair.Leaf.Subject.CommonName}
	}
	for _, name := range names {
		name = strings.ToLower(name)
		if t.certificates[name] == nil {
			t.certificates[name] = &pair
		}
	}
	return nil
}

// certificate is the one for a name, nil if there is none.
func (t *table) certificate(name string) *tls.Certificate {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if c := t.certificates[name]; c != nil {
		return c
	}
	if _, parent, ok := strings.Cut(name, "."); ok {
		return t.certificates["*."+parent]
	}
	return nil
}
