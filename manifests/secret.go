package manifests

import (
	"context"
	"crypto/tls"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/core"
	kcorev1 "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/apis/core/validation"
)

// secretKind stores stringData as data: the conversion to the internal type
// merges it, and the way back leaves it out.
func secretKind() *Kind {
	return newKind(coreKind("Secret"), Kind{
		Resource: "secrets", Namespaced: true,
		New: newOf[*corev1.Secret](), NewList: newOf[*corev1.SecretList](),
		Rules: &rules[*corev1.Secret, core.Secret]{
			namespaced:   true,
			toInternal:   kcorev1.Convert_v1_Secret_To_core_Secret,
			fromInternal: withoutStringData,
			validateCreate: func(_ context.Context, s *core.Secret) field.ErrorList {
				return validation.ValidateSecret(s)
			},
			warnCreate: func(_ context.Context, s *core.Secret) []string { return warnOfKeyPair(s) },
			updates: map[string]update[core.Secret]{
				SubresourceNone: {
					prepare: func(s, old *core.Secret) {
						if s.Type == "" {
							s.Type = old.Type
						}
					},
					validate: func(_ context.Context, s, old *core.Secret) field.ErrorList {
						return validation.ValidateSecretUpdate(s, old)
					},
					warn: func(_ context.Context, s, _ *core.Secret) []string { return warnOfKeyPair(s) },
				},
			},
			fields: fieldTable[*corev1.Secret]{
				"type": func(s *corev1.Secret) string { return string(s.Type) },
			},
		},
	})
}

// withoutStringData is the conversion to the stored type. stringData is not in
// the internal type, so that the generated conversion leaves it as it was.
func withoutStringData(in *core.Secret, out *corev1.Secret, scope scope) error {
	out.StringData = nil
	return kcorev1.Convert_core_Secret_To_v1_Secret(in, out, scope)
}

// warnOfKeyPair tells of a TLS secret whose key does not belong to its
// certificate.
func warnOfKeyPair(s *core.Secret) []string {
	if s.Type != core.SecretTypeTLS {
		return nil
	}
	if _, err := tls.X509KeyPair(s.Data[core.TLSCertKey], s.Data[core.TLSPrivateKeyKey]); err != nil {
		return []string{err.Error()}
	}
	return nil
}
