// Package tokens issues and checks the tokens of service accounts: JSON Web Tokens, signed with keys
// of skiff's own.
// https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/
package tokens

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/utils/clock"
)

const (
	keyPrefix = "service-account-"
	keySuffix = ".pem"
	keyBlock  = "PRIVATE KEY"
	keyTime   = "20060102T150405Z" // in a key's name: when it was made
	// keyLife is how long a key signs. It verifies until its file is removed: the tokens in secrets have
	// no end.
	keyLife = 365 * 24 * time.Hour
)

// Keys are the keys of which the newest signs tokens, and all verify them.
type Keys struct {
	all  []key // the newest first
	byID map[string]*ecdsa.PublicKey
}

type key struct {
	id      string
	private *ecdsa.PrivateKey
	made    time.Time
}

// LoadKeys reads the keys of a directory, each in a file of its own that only the owner can read, and
// makes one when there is none or the newest has signed for a year. To revoke all tokens that a key
// has signed, remove its file.
func LoadKeys(dir string, clk clock.PassiveClock) (*Keys, error) {
	files, err := filepath.Glob(filepath.Join(dir, keyPrefix+"*"+keySuffix))
	if err != nil {
		return nil, fmt.Errorf("looking for the keys of service accounts: %w", err)
	}
	var all []key
	for _, file := range files {
		k, err := readKey(file)
		if err != nil {
			return nil, fmt.Errorf("reading a key of service accounts from %s (delete the file to do without it): %w", file, err)
		}
		all = append(all, k)
	}
	slices.SortFunc(all, func(a, b key) int { return b.made.Compare(a.made) })
	if len(all) == 0 || clk.Now().Sub(all[0].made) > keyLife {
		k, err := makeKey(dir, clk.Now())
		if err != nil {
			return nil, fmt.Errorf("making a key of service accounts: %w", err)
		}
		all = append([]key{k}, all...)
	}
	return newKeys(all), nil
}

func newKeys(all []key) *Keys {
	keys := &Keys{all: all, byID: map[string]*ecdsa.PublicKey{}}
	for _, k := range all {
		keys.byID[k.id] = &k.private.PublicKey
	}
	return keys
}

// keyID is what tokens name the key by, as upstream derives it.
func keyID(public *ecdsa.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

func readKey(file string) (key, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return key{}, err
	}
	name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), keyPrefix), keySuffix)
	made, err := time.Parse(keyTime, name)
	if err != nil {
		return key{}, err
	}
	block, _ := pem.Decode(raw)
	if block == nil || block.Type != keyBlock {
		return key{}, errors.New("it holds no private key")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return key{}, err
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || private.Curve != elliptic.P256() {
		return key{}, errors.New("its key is not of the curve P-256")
	}
	id, err := keyID(&private.PublicKey)
	return key{id: id, private: private, made: made}, err
}

func makeKey(dir string, now time.Time) (key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return key{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return key{}, err
	}
	id, err := keyID(&private.PublicKey)
	if err != nil {
		return key{}, err
	}
	now = now.UTC().Truncate(time.Second)
	file := filepath.Join(dir, keyPrefix+now.Format(keyTime)+keySuffix)
	// Under another name first, so that a crash leaves no half a key.
	unfinished := file + ".new"
	if err := os.WriteFile(unfinished, pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der}), 0o600); err != nil {
		return key{}, err
	}
	return key{id: id, private: private, made: now}, os.Rename(unfinished, file)
}
