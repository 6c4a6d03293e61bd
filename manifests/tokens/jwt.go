package tokens

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// algorithm is the one by which tokens are signed: ECDSA with P-256 and SHA-256. A token that names
// any other, "none" above all, is refused.
const algorithm = "ES256"

// maxToken is the most bytes a token may have.
const maxToken = 64 << 10

type header struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
}

// claims are those of tokens bound to objects, and of the older ones in secrets.
type claims struct {
	Audience  audience `json:"aud,omitempty"`
	Expires   int64    `json:"exp,omitempty"` // Unix seconds, as all times here
	IssuedAt  int64    `json:"iat,omitempty"`
	Issuer    string   `json:"iss"`
	ID        string   `json:"jti,omitempty"`
	Bound     *bound   `json:"kubernetes.io,omitempty"`
	NotBefore int64    `json:"nbf,omitempty"`
	Subject   string   `json:"sub"`
	legacy
}

// legacy are the claims of a token in a secret.
type legacy struct {
	Namespace  string `json:"kubernetes.io/serviceaccount/namespace,omitempty"`
	Secret     string `json:"kubernetes.io/serviceaccount/secret.name,omitempty"`
	Account    string `json:"kubernetes.io/serviceaccount/service-account.name,omitempty"`
	AccountUID string `json:"kubernetes.io/serviceaccount/service-account.uid,omitempty"`
}

// bound says whose a token is, and with which objects it ends.
type bound struct {
	Namespace string     `json:"namespace"`
	Node      *reference `json:"node,omitempty"`
	Pod       *reference `json:"pod,omitempty"`
	Secret    *reference `json:"secret,omitempty"`
	Account   reference  `json:"serviceaccount"`
	WarnAfter int64      `json:"warnafter,omitempty"`
}

type reference struct {
	Name string `json:"name"`
	UID  string `json:"uid,omitempty"`
}

// audience is a list that may be written as a single string.
type audience []string

// UnmarshalJSON implements json.Unmarshaler.
func (a *audience) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(a))
}

// sign makes a token of claims.
func (k *Keys) sign(c *claims) (string, error) {
	by := k.all[0]
	head, err := json.Marshal(header{Algorithm: algorithm, KeyID: by.id})
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	signed := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(body)
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, by.private, sum[:])
	if err != nil {
		return "", err
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// errForeign is the error of what no issuer of ours has issued: another authenticator may know it.
var errForeign = errors.New("it is no token of a service account of this cluster")

// verify reads a token that one of the keys has signed.
func (k *Keys) verify(token string, issuers ...string) (*claims, error) {
	parts := strings.Split(token, ".")
	if len(token) > maxToken || len(parts) != 3 || strings.ContainsAny(token, "\r\n") {
		return nil, errForeign
	}
	c := &claims{}
	if err := decode(parts[1], c); err != nil || !slices.Contains(issuers, c.Issuer) {
		return nil, errForeign
	}
	var h header
	if err := decode(parts[0], &h); err != nil {
		return nil, errForeign
	}
	if h.Algorithm != algorithm {
		return nil, fmt.Errorf("invalid signature, algorithm %q is not %s", h.Algorithm, algorithm)
	}
	public, ok := k.byID[h.KeyID]
	if !ok {
		return nil, errors.New("invalid signature, no keys found")
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err != nil || len(signature) != 64 {
		return nil, errors.New("invalid signature")
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if !ecdsa.Verify(public, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		return nil, errors.New("invalid signature")
	}
	return c, nil
}

func decode(part string, into any) error {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}
