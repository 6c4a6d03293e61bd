package daemon

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"skiff/cli/command"
	"skiff/daemon/datadir"
)

// trustCommand is skiff trust.
func trustCommand(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "trust", Usage: "Say where the certificate of skiff's authority is, and how browsers come to trust it",
		Description: "The daemon has an authority of its own, which signs the certificates of https://SERVICE.localhost and of Ingresses without a secret.\n" +
			"Its certificate is written to a file; nothing is changed in this machine's trust. Without a terminal the file's name alone is printed.",
		Flags:  []cli.Flag{dataDirFlag()},
		Action: withDir(env, func(_ *cli.Context, dir datadir.Dir) error { return trust(env, dir) }),
	},
		"skiff trust",
		"curl --cacert $(skiff trust) https://web.localhost:7480")
}

// trust writes the authority's certificate where it can be read, and says where that is.
func trust(env *command.Env, dir datadir.Dir) error {
	kc, err := dir.ReadKubeconfig()
	if err != nil {
		return err
	}
	raw := kc.Clusters[datadir.ContextName].CertificateAuthorityData
	certificate, err := parseCertificate(raw)
	if err != nil {
		return fmt.Errorf("reading the authority's certificate in %s: %w", dir.Kubeconfig(), err)
	}
	file := dir.AuthorityFile()
	if before, err := os.ReadFile(file); err != nil || !bytes.Equal(before, raw) {
		if err := datadir.WriteFile(file, raw); err != nil {
			return fmt.Errorf("writing the authority's certificate: %w", err)
		}
	}
	if err := dir.KeepAuthority(); err != nil {
		return err
	}
	if !env.Terminal.Out {
		_, err = fmt.Fprintln(env.Out, file)
		return err
	}
	return explainTrust(env.Out, dir, certificate)
}

func parseCertificate(raw []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, errors.New("there is none")
	}
	return x509.ParseCertificate(block.Bytes)
}

// howToTrust are the ways of the systems and browsers that have one of their own. Chrome and Chromium
// on Linux, and Firefox everywhere, do not ask the system.
const howToTrust = `The certificate of skiff's own authority is in
  FILE
  SHA-256 PRINT
  valid until UNTIL

To trust it:
  Debian, Ubuntu   sudo cp FILE /usr/local/share/ca-certificates/NAME.crt && sudo update-ca-certificates
  Fedora           sudo cp FILE /etc/pki/ca-trust/source/anchors/NAME.crt && sudo update-ca-trust
  macOS            sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain FILE
  Chrome (Linux)   certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n NAME -i FILE
  Firefox          Settings, Privacy & Security, View Certificates, Authorities, Import: the file above
  one command      curl --cacert FILE https://SERVICE.localhost:PORT

What trusts it trusts whoever can read KEYS, for every name. Take it
back when you no longer need it; after skiff daemon reset there is a new one.
`

func explainTrust(out io.Writer, dir datadir.Dir, c *x509.Certificate) error {
	sum := sha256.Sum256(c.Raw)
	_, err := strings.NewReplacer(
		"FILE", command.Quoted(dir.AuthorityFile()), "KEYS", dir.Credentials(), "NAME", "skiff",
		"UNTIL", c.NotAfter.Format(time.DateOnly), "PRINT", fmt.Sprintf("%X", sum[:]),
	).WriteString(out, howToTrust)
	return err
}
