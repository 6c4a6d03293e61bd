package credentials

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	certBlock = "CERTIFICATE"
	keyBlock  = "PRIVATE KEY"
)

// pair is a certificate and its private key. Both are in one file, so that no crash leaves one
// without the other.
type pair struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	// keyDER is the key as PKCS #8.
	keyDER []byte
}

// hosts are DNS names and IP addresses.
type hosts []string

func (h hosts) split() (names []string, addresses []net.IP) {
	for _, host := range h {
		if ip := net.ParseIP(host); ip != nil {
			addresses = append(addresses, ip)
		} else {
			names = append(names, host)
		}
	}
	return names, addresses
}

func newTemplate(name string, now time.Time, life time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("choosing a certificate's serial number: %w", err)
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-backdate).UTC(),
		NotAfter:     now.Add(life).UTC(),
	}, nil
}

// issue makes a key and has its certificate signed by authority, or by itself when that is nil.
func issue(template *x509.Certificate, authority *pair) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // a signature takes 30 µs, an RSA key 100 ms
	if err != nil {
		return pair{}, err
	}
	parent, signer := template, key
	if authority != nil {
		parent, signer = authority.cert, authority.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return pair{}, err
	}
	return newPair(der, key)
}

func newPair(der []byte, key *ecdsa.PrivateKey) (pair, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return pair{}, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pair{}, err
	}
	if public, ok := cert.PublicKey.(*ecdsa.PublicKey); !ok || !public.Equal(key.Public()) {
		return pair{}, errors.New("the private key is not the certificate's")
	}
	return pair{cert: cert, key: key, keyDER: keyDER}, nil
}

// readPair reads a file that write made. It tells a file that is not there, which is no error, from
// a broken one.
func readPair(path string) (pair, bool, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return pair{}, false, nil
	}
	if err != nil {
		return pair{}, false, fmt.Errorf("reading credentials: %w", err)
	}
	p, err := parsePair(raw)
	if err != nil {
		return pair{}, false, fmt.Errorf("reading credentials from %s (delete the file to have new ones made): %w", path, err)
	}
	return p, true, nil
}

func parsePair(raw []byte) (pair, error) {
	cert, rest := pem.Decode(raw)
	if cert == nil || cert.Type != certBlock {
		return pair{}, errors.New("there is no certificate in it")
	}
	keyPEM, _ := pem.Decode(rest)
	if keyPEM == nil || keyPEM.Type != keyBlock {
		return pair{}, errors.New("there is no private key in it")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(keyPEM.Bytes)
	if err != nil {
		return pair{}, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return pair{}, fmt.Errorf("its private key is a %T, not one of skiff's", parsed)
	}
	return newPair(cert.Bytes, key)
}

// write puts the pair into a file in one step.
func (p pair) write(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".credentials-*") // mode 0600
	if err != nil {
		return fmt.Errorf("writing credentials: %w", err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone already when the rename succeeded
	_, err = f.Write(append(p.certPEM(), p.keyPEM()...))
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing credentials: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("writing credentials: %w", err)
	}
	return nil
}

func (p pair) certPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: certBlock, Bytes: p.cert.Raw})
}

func (p pair) keyPEM() []byte { return pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: p.keyDER}) }

func (p pair) tls() *tls.Certificate {
	return &tls.Certificate{Certificate: [][]byte{p.cert.Raw}, PrivateKey: p.key, Leaf: p.cert}
}

// lastsFor reports whether the certificate is good now and for d longer.
func (p pair) lastsFor(d time.Duration, now time.Time) bool {
	return !now.Before(p.cert.NotBefore) && now.Add(d).Before(p.cert.NotAfter)
}

func (p pair) issuedBy(authority pair) bool {
	return bytes.Equal(p.cert.RawIssuer, authority.cert.RawSubject) && p.cert.CheckSignatureFrom(authority.cert) == nil
}

// names reports whether the certificate is for all of these hosts.
func (p pair) names(h hosts) bool {
	names, addresses := h.split()
	for _, name := range names {
		if !slices.Contains(p.cert.DNSNames, name) {
			return false
		}
	}
	for _, ip := range addresses {
		if !slices.ContainsFunc(p.cert.IPAddresses, ip.Equal) {
			return false
		}
	}
	return true
}
