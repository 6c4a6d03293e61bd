package tokens

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
)

var _ authenticator.Token = (*Issuer)(nil)

// deletedFor is for how long a token is still good when the object that it ends with is being deleted:
// a pod that shuts down may have to ask for something.
const deletedFor = time.Minute

var errInvalidated = errors.New("service account token has been invalidated")

// AuthenticateToken implements authenticator.Token. The objects that a token ends with are looked up
// each time; its signature is checked once.
func (i *Issuer) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	c, err := i.checked.claims(token, func() (*claims, error) { return i.options.Keys.verify(token, i.options.Issuer, legacyIssuer) })
	if errors.Is(err, errForeign) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	has := authenticator.Audiences(c.Audience)
	if c.Issuer == legacyIssuer {
		has = i.Audiences()
	}
	wanted, asked := authenticator.AudiencesFrom(ctx)
	if !asked {
		wanted = i.Audiences()
	}
	audiences := has.Intersect(wanted)
	if len(audiences) == 0 {
		return nil, false, fmt.Errorf("token audiences %q is invalid for the target audiences %q", []string(has), []string(wanted))
	}
	var who *serviceaccount.ServiceAccountInfo
	if c.Issuer == legacyIssuer {
		who, err = i.checkLegacy(c, token)
	} else {
		who, err = i.check(c)
	}
	if err != nil {
		return nil, false, err
	}
	return &authenticator.Response{User: who.UserInfo(), Audiences: audiences}, true, nil
}

// check finds out whether the token is in its time and all that it is bound to is still there.
func (i *Issuer) check(c *claims) (*serviceaccount.ServiceAccountInfo, error) {
	now := i.options.Clock.Now()
	switch b := c.Bound; {
	case now.Unix() >= c.Expires:
		return nil, errors.New("service account token has expired")
	case now.Unix() < c.NotBefore:
		return nil, errors.New("service account token is not valid yet")
	case b == nil || c.Subject != serviceaccount.MakeUsername(b.Namespace, b.Account.Name):
		return nil, errors.New("service account token claims could not be validated due to unexpected validation error")
	}
	b := c.Bound
	account, ok := get[*corev1.ServiceAccount](i.options.State, "serviceaccounts", b.Namespace, b.Account.Name)
	if !ok || !lasts(account, now) {
		return nil, errInvalidated
	}
	if string(account.UID) != b.Account.UID {
		return nil, fmt.Errorf("service account UID (%s) does not match claim (%s)", account.UID, b.Account.UID)
	}
	who := &serviceaccount.ServiceAccountInfo{Namespace: b.Namespace, Name: b.Account.Name, UID: b.Account.UID}
	if c.ID != "" {
		who.CredentialID = "JTI=" + c.ID
	}
	if b.Node != nil {
		who.NodeName, who.NodeUID = b.Node.Name, b.Node.UID
	}
	if b.Pod != nil {
		who.PodName, who.PodUID = b.Pod.Name, b.Pod.UID
	}
	return who, i.checkBound(b, now)
}

func (i *Issuer) checkBound(b *bound, now time.Time) error {
	if b.Secret != nil {
		secret, ok := get[*corev1.Secret](i.options.State, "secrets", b.Namespace, b.Secret.Name)
		if !ok || !lasts(secret, now) {
			return errInvalidated
		}
		if string(secret.UID) != b.Secret.UID {
			return fmt.Errorf("secret UID (%s) does not match service account secret ref claim (%s)", secret.UID, b.Secret.UID)
		}
	}
	if b.Pod != nil {
		pod, ok := get[*corev1.Pod](i.options.State, "pods", b.Namespace, b.Pod.Name)
		if !ok || !lasts(pod, now) {
			return errInvalidated
		}
		if string(pod.UID) != b.Pod.UID {
			return fmt.Errorf("pod UID (%s) does not match service account pod ref claim (%s)", pod.UID, b.Pod.UID)
		}
		return nil // the node is that of the pod, and may come and go
	}
	if b.Node != nil {
		node, ok := get[*corev1.Node](i.options.State, "nodes", "", b.Node.Name)
		if !ok || !lasts(node, now) {
			return errInvalidated
		}
		if string(node.UID) != b.Node.UID {
			return fmt.Errorf("node UID (%s) does not match service account node ref claim (%s)", node.UID, b.Node.UID)
		}
	}
	return nil
}

// lasts reports whether an object is not deleted, or but a short while ago.
func lasts(o metav1.Object, now time.Time) bool {
	deleted := o.GetDeletionTimestamp()
	return deleted == nil || !deleted.Time.Before(now.Add(-deletedFor))
}

// checkLegacy does the same for a token in a secret, which must be the very one that is in there.
func (i *Issuer) checkLegacy(c *claims, token string) (*serviceaccount.ServiceAccountInfo, error) {
	if c.Subject != serviceaccount.MakeUsername(c.Namespace, c.Account) {
		return nil, errors.New("sub claim is invalid")
	}
	secret, ok := get[*corev1.Secret](i.options.State, "secrets", c.Namespace, c.Secret)
	if !ok || secret.DeletionTimestamp != nil {
		return nil, errors.New("Token has been invalidated") //nolint:staticcheck // upstream's text
	}
	if subtle.ConstantTimeCompare(secret.Data[corev1.ServiceAccountTokenKey], []byte(token)) == 0 {
		return nil, errors.New("Token does not match server's copy") //nolint:staticcheck // upstream's text
	}
	account, ok := get[*corev1.ServiceAccount](i.options.State, "serviceaccounts", c.Namespace, c.Account)
	if !ok || account.DeletionTimestamp != nil {
		return nil, fmt.Errorf("ServiceAccount %s/%s has been deleted", c.Namespace, c.Account)
	}
	if string(account.UID) != c.AccountUID {
		return nil, fmt.Errorf("ServiceAccount UID (%s) does not match claim (%s)", account.UID, c.AccountUID)
	}
	return &serviceaccount.ServiceAccountInfo{Namespace: c.Namespace, Name: c.Account, UID: c.AccountUID}, nil
}

// maxChecked bounds how many tokens are remembered.
const maxChecked = 4096

// checked remembers the claims of tokens whose signature was good, by a hash of the token.
type checked struct {
	mu    sync.RWMutex
	known map[[sha256.Size]byte]*claims
}

func (k *checked) claims(token string, verify func() (*claims, error)) (*claims, error) {
	sum := sha256.Sum256([]byte(token))
	k.mu.RLock()
	c, ok := k.known[sum]
	k.mu.RUnlock()
	if ok {
		return c, nil
	}
	c, err := verify()
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known == nil || len(k.known) >= maxChecked {
		k.known = map[[sha256.Size]byte]*claims{}
	}
	k.known[sum] = c
	return c, nil
}
