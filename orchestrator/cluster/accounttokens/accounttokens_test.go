package accounttokens

import (
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator/internal/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type issuer struct{}

func (issuer) IssueLegacy(a *corev1.ServiceAccount, secret string) (string, error) {
	return "token of " + a.Name + " in " + secret, nil
}

func TestTokenSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := testbed.New(t)
		b.Run(New(Options{Env: b.Env(), Issuer: issuer{}, RootCA: []byte("authority")}).Run)
		account := testbed.Create(b, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "robot"}})
		secret := func(name, of string) *corev1.Secret {
			return testbed.Create(b, &corev1.Secret{Type: corev1.SecretTypeServiceAccountToken, ObjectMeta: metav1.ObjectMeta{
				Namespace: "default", Name: name, Annotations: map[string]string{corev1.ServiceAccountNameKey: of},
			}})
		}
		secret("s", "robot")
		secret("lost", "nobody")
		synctest.Wait()
		s, ok := testbed.Get[*corev1.Secret](b, "default", "s")
		if !ok || string(s.Data["token"]) != "token of robot in s" || string(s.Data["ca.crt"]) != "authority" || string(s.Data["namespace"]) != "default" ||
			s.Annotations[corev1.ServiceAccountUIDKey] != string(account.UID) {
			t.Errorf("%v", s)
		}
		if s, ok := testbed.Get[*corev1.Secret](b, "default", "lost"); ok {
			t.Errorf("one of no account: %v", s)
		}
		testbed.Update(b, "default", "s", func(s *corev1.Secret) { s.Data = nil })
		synctest.Wait()
		if s, _ := testbed.Get[*corev1.Secret](b, "default", "s"); len(s.Data) != 3 {
			t.Errorf("emptied: %v", s)
		}
		testbed.Delete[*corev1.ServiceAccount](b, "default", "robot")
		synctest.Wait()
		if s, ok := testbed.Get[*corev1.Secret](b, "default", "s"); ok {
			t.Errorf("the account is gone: %v", s)
		}
	})
}
