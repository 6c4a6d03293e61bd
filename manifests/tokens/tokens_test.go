package tokens

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	"skiff/store"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const issuerURL = "https://kubernetes.default.svc.cluster.local"

// objects is a state that can be changed.
type objects map[store.Key]store.Object

func (o objects) Get(k store.Key) (store.Object, bool) {
	obj, ok := o[k]
	return obj, ok
}

func (o objects) put(resource string, obj store.Object) {
	o[store.Key{Resource: resource, Namespace: obj.GetNamespace(), Name: obj.GetName()}] = obj
}

func meta(namespace, name, uid string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(uid)}
}

type bed struct {
	*Issuer
	state objects
	clock *clocktesting.FakePassiveClock
	t     testing.TB
}

func newBed(t testing.TB) *bed {
	t.Helper()
	b := &bed{state: objects{}, clock: clocktesting.NewFakePassiveClock(now), t: t}
	keys, err := LoadKeys(t.TempDir(), b.clock)
	if err != nil {
		t.Fatal(err)
	}
	b.Issuer = New(Options{Keys: keys, State: b.state, Issuer: issuerURL, Clock: b.clock})
	b.state.put("serviceaccounts", &corev1.ServiceAccount{ObjectMeta: meta("d", "robot", "a1")})
	b.state.put("pods", &corev1.Pod{ObjectMeta: meta("d", "p", "p1"), Spec: corev1.PodSpec{ServiceAccountName: "robot", NodeName: "n"}})
	b.state.put("secrets", &corev1.Secret{ObjectMeta: meta("d", "s", "s1")})
	b.state.put("nodes", &corev1.Node{ObjectMeta: meta("", "n", "n1")})
	return b
}

func (b *bed) issue(change func(*authenticationv1.TokenRequest)) (*authenticationv1.TokenRequest, error) {
	r := &authenticationv1.TokenRequest{ObjectMeta: metav1.ObjectMeta{Namespace: "d", Name: "robot"}}
	if change != nil {
		change(r)
	}
	return b.Issue(r)
}

func (b *bed) token(change func(*authenticationv1.TokenRequest)) string {
	b.t.Helper()
	r, err := b.issue(change)
	if err != nil {
		b.t.Fatal(err)
	}
	return r.Status.Token
}

func bindTo(kind, name, uid string) func(*authenticationv1.TokenRequest) {
	return func(r *authenticationv1.TokenRequest) {
		r.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: kind, Name: name, UID: types.UID(uid)}
	}
}

// who puts what a token is worth in words.
func (b *bed) who(token string, audiences ...string) string {
	ctx := b.t.Context()
	if len(audiences) > 0 {
		ctx = authenticator.WithAudiences(ctx, audiences)
	}
	found, ok, err := b.AuthenticateToken(ctx, token)
	switch {
	case err != nil:
		return err.Error()
	case !ok:
		return "nobody"
	}
	return found.User.GetName()
}

const robot = "system:serviceaccount:d:robot"

func TestTokensEndWithWhatTheyAreBoundTo(t *testing.T) {
	for _, c := range []struct {
		name   string
		bind   func(*authenticationv1.TokenRequest)
		change func(*bed)
		want   string
	}{
		{"nothing happens", nil, func(*bed) {}, robot},
		{"an hour later", nil, func(b *bed) { b.clock.SetTime(now.Add(time.Hour)) }, "service account token has expired"},
		{"before it was issued", nil, func(b *bed) { b.clock.SetTime(now.Add(-time.Second)) }, "service account token is not valid yet"},
		{"the account goes", nil, func(b *bed) { delete(b.state, store.Key{Resource: "serviceaccounts", Namespace: "d", Name: "robot"}) }, "service account token has been invalidated"},
		{"another account of its name", nil, func(b *bed) {
			b.state.put("serviceaccounts", &corev1.ServiceAccount{ObjectMeta: meta("d", "robot", "a2")})
		},
			"service account UID (a2) does not match claim (a1)"},
		{"of a pod", bindTo("Pod", "p", "p1"), func(*bed) {}, robot},
		{"the pod goes", bindTo("Pod", "p", ""), func(b *bed) { delete(b.state, store.Key{Resource: "pods", Namespace: "d", Name: "p"}) }, "service account token has been invalidated"},
		{"another pod of its name", bindTo("Pod", "p", ""), func(b *bed) { b.state.put("pods", &corev1.Pod{ObjectMeta: meta("d", "p", "p2")}) },
			"pod UID (p2) does not match service account pod ref claim (p1)"},
		{"the pod is deleted", bindTo("Pod", "p", ""), func(b *bed) {
			gone := &corev1.Pod{ObjectMeta: meta("d", "p", "p1")}
			gone.DeletionTimestamp = ptr.To(metav1.NewTime(now))
			b.state.put("pods", gone)
			b.clock.SetTime(now.Add(time.Minute))
		}, robot},
		{"the pod has been deleted for long", bindTo("Pod", "p", ""), func(b *bed) {
			gone := &corev1.Pod{ObjectMeta: meta("d", "p", "p1")}
			gone.DeletionTimestamp = ptr.To(metav1.NewTime(now))
			b.state.put("pods", gone)
			b.clock.SetTime(now.Add(time.Minute + time.Second))
		}, "service account token has been invalidated"},
		{"the node of the pod goes", bindTo("Pod", "p", ""), func(b *bed) { delete(b.state, store.Key{Resource: "nodes", Name: "n"}) }, robot},
		{"the secret goes", bindTo("Secret", "s", ""), func(b *bed) { delete(b.state, store.Key{Resource: "secrets", Namespace: "d", Name: "s"}) }, "service account token has been invalidated"},
		{"the node goes", bindTo("Node", "n", ""), func(b *bed) { delete(b.state, store.Key{Resource: "nodes", Name: "n"}) }, "service account token has been invalidated"},
		{"another node of its name", bindTo("Node", "n", ""), func(b *bed) { b.state.put("nodes", &corev1.Node{ObjectMeta: meta("", "n", "n2")}) },
			"node UID (n2) does not match service account node ref claim (n1)"},
		{"for somebody else", func(r *authenticationv1.TokenRequest) { r.Spec.Audiences = []string{"vault"} }, func(*bed) {},
			`token audiences ["vault"] is invalid for the target audiences ["` + issuerURL + `"]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed(t)
			token := b.token(c.bind)
			if b.who(token); b.t.Failed() { // what is remembered must not outlive what happens
				return
			}
			c.change(b)
			if got := b.who(token); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	b := newBed(t)
	vault := b.token(func(r *authenticationv1.TokenRequest) { r.Spec.Audiences = []string{"vault"} })
	if got := b.who(vault, "vault", "other"); got != robot {
		t.Errorf("for its audience: %s", got)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*authenticationv1.TokenRequest)
		want   string
	}{
		{"no such account", func(r *authenticationv1.TokenRequest) { r.Name = "none" }, `serviceaccounts "none" not found`},
		{"too short", func(r *authenticationv1.TokenRequest) { r.Spec.ExpirationSeconds = ptr.To[int64](599) },
			`TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes`},
		{"too long", func(r *authenticationv1.TokenRequest) { r.Spec.ExpirationSeconds = ptr.To[int64](1<<32 + 1) },
			`TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds`},
		{"another UID", func(r *authenticationv1.TokenRequest) { r.UID = "x" },
			`Operation cannot be fulfilled on TokenRequest.authentication.k8s.io "robot": the UID in the token request (x) does not match the UID of the service account (a1)`},
		{"no such pod", bindTo("Pod", "none", ""), `pods "none" not found`},
		{"another pod", bindTo("Pod", "p", "x"),
			`Operation cannot be fulfilled on Pod "p": the UID in the bound object reference (x) does not match the UID in record. The object might have been deleted and then recreated`},
		{"a ConfigMap", bindTo("ConfigMap", "c", ""), `cannot bind token to object of type /v1, Kind=ConfigMap`},
	} {
		if _, err := newBed(t).issue(c.change); fmt.Sprint(err) != c.want {
			t.Errorf("%s:\n got %v\nwant %s", c.name, err, c.want)
		}
	}
	b := newBed(t)
	b.state.put("pods", &corev1.Pod{ObjectMeta: meta("d", "p", "p1"), Spec: corev1.PodSpec{ServiceAccountName: "other"}})
	if _, err := b.issue(bindTo("Pod", "p", "")); fmt.Sprint(err) != `cannot bind token for serviceaccount "robot" to pod running with different serviceaccount name.` {
		t.Error(err)
	}
}

// TestForgedTokens: none of them lets anybody in.
func TestForgedTokens(t *testing.T) {
	b, other := newBed(t), newBed(t)
	good := b.token(nil)
	parts := strings.Split(good, ".")
	encode := base64.RawURLEncoding.EncodeToString
	part := func(v any) string {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return encode(raw)
	}
	secret, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	kid := b.options.Keys.all[0].id
	for name, token := range map[string]string{
		"another cluster's":        other.token(nil),
		"no algorithm":             part(header{Algorithm: "none", KeyID: kid}) + "." + parts[1] + ".",
		"no algorithm, lower case": part(map[string]string{"alg": "nOnE", "kid": kid}) + "." + parts[1] + "." + parts[2],
		"HMAC with the public key": part(header{Algorithm: "HS256", KeyID: kid}) + "." + parts[1] + "." + encode(secret.N.Bytes()[:32]),
		"RSA":                      part(header{Algorithm: "RS256", KeyID: kid}) + "." + parts[1] + "." + encode(secret.N.Bytes()),
		"another subject":          parts[0] + "." + part(map[string]any{"iss": issuerURL, "sub": "system:serviceaccount:kube-system:root", "exp": now.Add(time.Hour).Unix()}) + "." + parts[2],
		"another issuer":           parts[0] + "." + part(map[string]any{"iss": "https://example.com"}) + "." + parts[2],
		"no signature":             parts[0] + "." + parts[1] + ".",
		"a signature of zeros":     parts[0] + "." + parts[1] + "." + encode(make([]byte, 64)),
		"too short a signature":    parts[0] + "." + parts[1] + "." + parts[2][:80],
		"no key":                   part(header{Algorithm: "ES256"}) + "." + parts[1] + "." + parts[2],
		"two parts":                parts[0] + "." + parts[1],
		"four parts":               good + ".x",
		"JSON":                     `{"payload":"` + parts[1] + `"}`,
		"nothing":                  "",
		"huge":                     good + strings.Repeat("x", maxToken),
	} {
		if got := b.who(token); got == robot || strings.HasPrefix(got, "system:") {
			t.Errorf("%s: let in as %s", name, got)
		}
	}
	if got := b.who(good); got != robot {
		t.Errorf("the good one: %s", got)
	}
}

func TestLegacyTokens(t *testing.T) {
	b := newBed(t)
	account := b.state[store.Key{Resource: "serviceaccounts", Namespace: "d", Name: "robot"}].(*corev1.ServiceAccount)
	token, err := b.IssueLegacy(account, "s")
	if err != nil {
		t.Fatal(err)
	}
	if got := b.who(token); got != "Token does not match server's copy" {
		t.Error(got)
	}
	b.state.put("secrets", &corev1.Secret{ObjectMeta: meta("d", "s", "s1"), Data: map[string][]byte{"token": []byte(token)}})
	b.clock.SetTime(now.Add(20 * 365 * 24 * time.Hour))
	if got := b.who(token); got != robot {
		t.Error(got)
	}
	delete(b.state, store.Key{Resource: "secrets", Namespace: "d", Name: "s"})
	if got := b.who(token); got != "Token has been invalidated" {
		t.Error(got)
	}
}

// TestPodTokens: what a pod gets is let in for longer than it is said to be good, for clients that
// keep it.
func TestPodTokens(t *testing.T) {
	b := newBed(t)
	pod := b.state[store.Key{Resource: "pods", Namespace: "d", Name: "p"}].(*corev1.Pod)
	token, expires, err := b.PodToken(pod, "", WarnOnlyExpiration)
	if err != nil || !expires.Equal(now.Add(3607*time.Second)) {
		t.Fatal(expires, err)
	}
	b.clock.SetTime(now.Add(24 * time.Hour))
	if got := b.who(token); got != robot {
		t.Error(got)
	}
}

func TestKeysAreReplaced(t *testing.T) {
	dir, clk := t.TempDir(), clocktesting.NewFakePassiveClock(now)
	load := func() *Keys {
		t.Helper()
		keys, err := LoadKeys(dir, clk)
		if err != nil {
			t.Fatal(err)
		}
		return keys
	}
	first := load()
	if again := load(); again.all[0].id != first.all[0].id {
		t.Error("a restart makes another key")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	clk.SetTime(now.Add(keyLife + time.Hour))
	second := load()
	if len(second.all) != 2 || second.all[0].id == first.all[0].id || second.byID[first.all[0].id] == nil {
		t.Errorf("keys %v", second.all)
	}
	if err := os.WriteFile(files[0], []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKeys(dir, clk); err == nil || !strings.Contains(err.Error(), files[0]) {
		t.Error(err)
	}
}

// FuzzAuthenticate: whatever is sent, it neither breaks the server nor lets anybody in.
func FuzzAuthenticate(f *testing.F) {
	b := newBed(f)
	good := b.token(nil)
	f.Add(good[:len(good)-1])
	f.Add(strings.Replace(good, ".", "..", 1))
	f.Add("e30.e30.e30")
	f.Add("eyJhbGciOiJub25lIn0.eyJpc3MiOiJrdWJlcm5ldGVzL3NlcnZpY2VhY2NvdW50In0.")
	f.Fuzz(func(t *testing.T, token string) {
		if found, ok, err := b.AuthenticateToken(t.Context(), token); ok && token != good {
			t.Errorf("let in as %v, %v", found.User, err)
		}
	})
}

func BenchmarkAuthenticate(b *testing.B) {
	bed := newBed(b)
	token := bed.token(bindTo("Pod", "p", ""))
	b.Run("known", func(b *testing.B) {
		for b.Loop() {
			if _, ok, err := bed.AuthenticateToken(b.Context(), token); !ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			bed.checked.known = nil
			if _, ok, err := bed.AuthenticateToken(b.Context(), token); !ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
}
