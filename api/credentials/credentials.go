// Package credentials makes and keeps the certificates by which the API and its callers know each
// other: an authority of skiff's own, a server certificate and the administrator's client
// certificate. Whoever reads them owns the engine, so every file is the owner's alone.
package credentials

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// Names in the administrator's certificate: user and group as upstream's authorization knows them.
const (
	AdminUser  = "skiff-admin"
	AdminGroup = "system:masters"
)

// How long certificates are good for, and how long before that they are replaced. The
// administrator's lasts as long as the authority: it is in kubeconfigs that people carry about.
const (
	authorityLife  = 10 * 365 * 24 * time.Hour
	authorityRenew = 365 * 24 * time.Hour
	serverLife     = 365 * 24 * time.Hour
	serverRenew    = 60 * 24 * time.Hour
	// backdate lets a client whose clock is a little behind accept a new certificate.
	backdate = time.Hour
)

// Options say where credentials are and what the server is called.
type Options struct {
	// Dir is made, mode 0700, when it is not there.
	Dir string
	// Hosts are the server's names and addresses beside 127.0.0.1, ::1, localhost and the machine's
	// own name.
	Hosts []string
	Clock clock.PassiveClock
	// ClientCAFile holds authorities whose client certificates are accepted as well; ServerCertFile and
	// ServerKeyFile are shown to clients that ask for one of its names. Empty for none.
	ClientCAFile, ServerCertFile, ServerKeyFile string
}

// Credentials are what server and administrator show.
type Credentials struct {
	options   Options
	authority pair
	admin     pair
	given     given

	mu     sync.Mutex
	server pair
}

// Load reads the credentials of a directory, and makes those that are missing, near their end, or
// not for these hosts. An authority made anew makes all others anew.
func Load(o Options) (*Credentials, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory for credentials: %w", err)
	}
	c := &Credentials{options: o}
	for _, load := range []func() error{c.loadAuthority, c.loadAdmin, c.loadServer, c.loadGiven} {
		if err := load(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// CA is the authority's certificate, PEM.
func (c *Credentials) CA() []byte { return c.authority.certPEM() }

// AdminCert is the administrator's certificate, PEM.
func (c *Credentials) AdminCert() []byte { return c.admin.certPEM() }

// AdminKey is the administrator's private key, PEM.
func (c *Credentials) AdminKey() []byte { return c.admin.keyPEM() }

// Roots are the authorities whose client certificates are accepted.
func (c *Credentials) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.authority.cert)
	pool.AppendCertsFromPEM(c.given.clients)
	return pool
}

// ServerTLS is the server's side of TLS. It asks for client certificates and leaves it to the API
// to judge them, so that a stranger gets an answer, 401, and not a broken connection. The server's
// certificate is replaced before it ends, also while the server runs.
func (c *Credentials) ServerTLS() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		ClientAuth:     tls.RequestClientCert,
		ClientCAs:      c.Roots(),
		GetCertificate: c.certificateFor,
	}
}

func (c *Credentials) serverCertificate() (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.options.Clock.Now(); !c.server.lastsFor(serverRenew, now) {
		// The one there is serves on while a full disk, say, keeps the new one from being kept.
		if err := c.issueServer(); err != nil && !c.server.lastsFor(0, now) {
			return nil, err
		}
	}
	return c.server.tls(), nil
}

// AddHosts adds names and addresses by which the server is known from now on. A certificate that
// lacks one of them is made anew.
func (c *Credentials) AddHosts(names ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.options.Hosts = append(c.options.Hosts, names...)
	if c.server.names(c.hosts()) {
		return nil
	}
	return c.issueServer()
}

func (c *Credentials) file(name string) string { return filepath.Join(c.options.Dir, name+".pem") }

func (c *Credentials) loadAuthority() error {
	p, ok, err := readPair(c.file("ca"))
	if err != nil {
		return err
	}
	if ok && p.cert.IsCA && p.lastsFor(authorityRenew, c.options.Clock.Now()) {
		c.authority = p
		return nil
	}
	template, err := newTemplate("skiff-ca", c.options.Clock.Now(), authorityLife)
	if err != nil {
		return err
	}
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	if c.authority, err = issue(template, nil); err != nil {
		return fmt.Errorf("making skiff's certificate authority: %w", err)
	}
	return c.authority.write(c.file("ca"))
}

func (c *Credentials) loadAdmin() error {
	p, ok, err := readPair(c.file("admin"))
	if err != nil {
		return err
	}
	if ok && p.issuedBy(c.authority) && p.lastsFor(authorityRenew, c.options.Clock.Now()) {
		c.admin = p
		return nil
	}
	template, err := newTemplate(AdminUser, c.options.Clock.Now(), authorityLife)
	if err != nil {
		return err
	}
	template.Subject.Organization = []string{AdminGroup}
	template.NotAfter = c.authority.cert.NotAfter
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if c.admin, err = issue(template, &c.authority); err != nil {
		return fmt.Errorf("making the administrator's certificate: %w", err)
	}
	return c.admin.write(c.file("admin"))
}

func (c *Credentials) loadServer() error {
	p, ok, err := readPair(c.file("server"))
	if err != nil {
		return err
	}
	if ok && p.issuedBy(c.authority) && p.names(c.hosts()) && p.lastsFor(serverRenew, c.options.Clock.Now()) {
		c.server = p
		return nil
	}
	return c.issueServer()
}

func (c *Credentials) issueServer() error {
	template, err := newTemplate("skiff", c.options.Clock.Now(), serverLife)
	if err != nil {
		return err
	}
	template.DNSNames, template.IPAddresses = c.hosts().split()
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	p, err := issue(template, &c.authority)
	if err != nil {
		return fmt.Errorf("making the server's certificate: %w", err)
	}
	c.server = p
	return c.server.write(c.file("server"))
}

// Issue makes a certificate of the authority for a server of these names, with its key, both PEM. It
// is as good as the server's own, and kept nowhere.
func (c *Credentials) Issue(names []string) (cert, key []byte, err error) {
	template, err := newTemplate("skiff", c.options.Clock.Now(), serverLife)
	if err != nil {
		return nil, nil, err
	}
	template.DNSNames, template.IPAddresses = hosts(names).split()
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	p, err := issue(template, &c.authority)
	if err != nil {
		return nil, nil, fmt.Errorf("making a certificate for %v: %w", names, err)
	}
	return p.certPEM(), p.keyPEM(), nil
}

// hosts are all names and addresses of the server, each once.
func (c *Credentials) hosts() hosts {
	all := append(hosts{"127.0.0.1", "::1", "localhost"}, c.options.Hosts...)
	if name, err := os.Hostname(); err == nil {
		all = append(all, name)
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(h string) bool { return h == "" })
}
