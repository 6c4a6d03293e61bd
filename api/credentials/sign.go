package credentials

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
)

// signBackdate lets clocks that are a little behind accept a certificate, and short is the life below
// which that is not taken off its end.
const (
	signBackdate = 5 * time.Minute
	short        = 8 * time.Hour
)

// Sign makes a certificate of the authority for the key, the subject and the names of a request, whose
// signature must be good. Other extensions that it asks for are left out.
func (c *Credentials) Sign(r *x509.CertificateRequest, usages []certificatesv1.KeyUsage, life time.Duration) ([]byte, error) {
	if err := r.CheckSignature(); err != nil {
		return nil, fmt.Errorf("unable to verify certificate request signature: %w", err)
	}
	now := c.options.Clock.Now()
	template, err := newTemplate(r.Subject.CommonName, now, life)
	if err != nil {
		return nil, err
	}
	template.Subject = r.Subject
	template.DNSNames, template.IPAddresses, template.EmailAddresses, template.URIs = r.DNSNames, r.IPAddresses, r.EmailAddresses, r.URIs
	template.BasicConstraintsValid = true
	template.NotBefore = now.Add(-signBackdate).UTC()
	if life >= short {
		template.NotAfter = now.Add(life - signBackdate).UTC()
	}
	if end := c.authority.cert.NotAfter; template.NotAfter.After(end) {
		template.NotAfter = end
	}
	if template.KeyUsage, template.ExtKeyUsage, err = keyUsages(usages); err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, c.authority.cert, r.PublicKey, c.authority.key)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate for %s: %w", r.Subject.CommonName, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: certBlock, Bytes: der}), nil
}

// keyUsages are the usages that the built-in signers sign.
func keyUsages(usages []certificatesv1.KeyUsage) (x509.KeyUsage, []x509.ExtKeyUsage, error) {
	var key x509.KeyUsage
	var extended []x509.ExtKeyUsage
	for _, u := range usages {
		switch u {
		case certificatesv1.UsageDigitalSignature, certificatesv1.UsageSigning:
			key |= x509.KeyUsageDigitalSignature
		case certificatesv1.UsageKeyEncipherment:
			key |= x509.KeyUsageKeyEncipherment
		case certificatesv1.UsageClientAuth:
			extended = append(extended, x509.ExtKeyUsageClientAuth)
		case certificatesv1.UsageServerAuth:
			extended = append(extended, x509.ExtKeyUsageServerAuth)
		default:
			return 0, nil, fmt.Errorf("unrecognized usage value: %q", u)
		}
	}
	return key, extended, nil
}
