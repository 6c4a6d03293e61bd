package certificates

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/utils/ptr"

	"skiff/api/credentials"
	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/orchestrator/internal/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bootstrapper may ask for nodes' certificates, and nobody else may.
type bootstrapper struct{}

func (bootstrapper) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if a.GetSubresource() == "nodeclient" && a.GetVerb() == "create" {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

func request(t *testing.T, subject pkix.Name, names ...string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject, DNSNames: names}, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

// TestSigners has a request go its way: what becomes of it, and what the certificate is good for.
func TestSigners(t *testing.T) {
	client := []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageClientAuth}
	server := []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageServerAuth}
	node := pkix.Name{CommonName: "system:node:n", Organization: []string{"system:nodes"}}
	for _, c := range []struct {
		name, signer string
		usages       []certificatesv1.KeyUsage
		subject      pkix.Name
		names        []string
		approve      bool
		want         string
	}{
		{"a user", certificatesv1.KubeAPIServerClientSignerName, client, pkix.Name{CommonName: "jane"}, nil, true, "Approved, jane for 1h0m0s"},
		{"a user who waits", certificatesv1.KubeAPIServerClientSignerName, client, pkix.Name{CommonName: "jane"}, nil, false, ""},
		{"a user's server", certificatesv1.KubeAPIServerClientSignerName, server, pkix.Name{CommonName: "jane"}, nil, true, "Approved, Failed: invalid usage for client certificate: server auth"},
		{"a node", certificatesv1.KubeAPIServerClientKubeletSignerName, client, node, nil, false, "Approved, system:node:n for 1h0m0s"},
		{"a node of other groups", certificatesv1.KubeAPIServerClientKubeletSignerName, client, pkix.Name{CommonName: "system:node:n"}, nil, true,
			"Approved, Failed: subject organization is not system:nodes"},
		{"a node's server", certificatesv1.KubeletServingSignerName, server, node, []string{"n"}, true, "Approved, system:node:n for 1h0m0s"},
		{"a node's server of no name", certificatesv1.KubeletServingSignerName, server, node, nil, true, "Approved, Failed: DNS or IP subjectAltName is required"},
		{"somebody else's signer", "example.com/signer", client, node, nil, true, "Approved"},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := request(t, c.subject, c.names...)
			synctest.Test(t, func(t *testing.T) {
				b := testbed.New(t)
				env := b.Env()
				authority, err := credentials.Load(credentials.Options{Dir: t.TempDir(), Clock: env.Clock})
				if err != nil {
					t.Fatal(err)
				}
				b.Run(New(Options{Env: env, Authority: authority, Authorizer: bootstrapper{}}).Run)
				testbed.Create(b, &certificatesv1.CertificateSigningRequest{
					ObjectMeta: metav1.ObjectMeta{Name: "r"},
					Spec:       certificatesv1.CertificateSigningRequestSpec{Request: raw, SignerName: c.signer, Usages: c.usages, ExpirationSeconds: ptr.To[int32](3600)},
				})
				if c.approve {
					approve(t, b)
				}
				synctest.Wait()
				if got := outcome(t, b); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
				time.Sleep(waitingLife + time.Minute) // of the bubble's clock
				synctest.Wait()
				if _, ok := testbed.Get[*certificatesv1.CertificateSigningRequest](b, "", "r"); ok {
					t.Error("it is there a day later")
				}
			})
		})
	}
}

func approve(t *testing.T, b *testbed.Bed) {
	t.Helper()
	requests := registry.For[*certificatesv1.CertificateSigningRequest](b.Registry)
	_, err := requests.UpdateSubresource(t.Context(), "", "r", manifests.SubresourceApproval, func(r *certificatesv1.CertificateSigningRequest) error {
		r.Status.Conditions = append(r.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
			Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "Test",
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// outcome is the request's conditions, and its certificate if it has one.
func outcome(t *testing.T, b *testbed.Bed) string {
	t.Helper()
	r, _ := testbed.Get[*certificatesv1.CertificateSigningRequest](b, "", "r")
	var out string
	for _, c := range r.Status.Conditions {
		if out != "" {
			out += ", "
		}
		out += string(c.Type)
		if c.Type == certificatesv1.CertificateFailed {
			out += ": " + c.Message
		}
	}
	block, _ := pem.Decode(r.Status.Certificate)
	if block == nil {
		return out
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return out + fmt.Sprintf(", %s for %s", cert.Subject.CommonName, cert.NotAfter.Sub(r.CreationTimestamp.Time).Round(time.Minute))
}
