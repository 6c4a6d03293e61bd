package manifests

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/core"
	kcorev1 "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/apis/core/validation"
)

// annotationMountableSecrets is deprecated upstream
// (plugin/pkg/admission/serviceaccount).
const annotationMountableSecrets = "kubernetes.io/enforce-mountable-secrets"

func serviceAccountKind() *Kind {
	return newKind(coreKind("ServiceAccount"), Kind{
		Resource: "serviceaccounts", ShortNames: []string{"sa"}, Namespaced: true, ReturnsDeleted: true,
		New: newOf[*corev1.ServiceAccount](), NewList: newOf[*corev1.ServiceAccountList](),
		Rules: &rules[*corev1.ServiceAccount, core.ServiceAccount]{
			namespaced:    true,
			toInternal:    kcorev1.Convert_v1_ServiceAccount_To_core_ServiceAccount,
			fromInternal:  kcorev1.Convert_core_ServiceAccount_To_v1_ServiceAccount,
			prepareCreate: keepSecretNames,
			validateCreate: func(_ context.Context, a *core.ServiceAccount) field.ErrorList {
				return validation.ValidateServiceAccount(a)
			},
			warnCreate: func(_ context.Context, a *core.ServiceAccount) []string {
				return warnOfMountableSecrets(a, nil)
			},
			updates: map[string]update[core.ServiceAccount]{
				SubresourceNone: {
					prepare: func(a, _ *core.ServiceAccount) { keepSecretNames(a) },
					validate: func(_ context.Context, a, old *core.ServiceAccount) field.ErrorList {
						return validation.ValidateServiceAccountUpdate(a, old)
					},
					warn: func(_ context.Context, a, old *core.ServiceAccount) []string {
						return warnOfMountableSecrets(a, old)
					},
				},
			},
		},
	})
}

// keepSecretNames strips references to secrets of all but the name.
func keepSecretNames(a *core.ServiceAccount) {
	for i, secret := range a.Secrets {
		a.Secrets[i] = core.ObjectReference{Name: secret.Name}
	}
}

func warnOfMountableSecrets(a, old *core.ServiceAccount) []string {
	if old != nil {
		if _, had := old.Annotations[annotationMountableSecrets]; had {
			return nil // the request did not bring it
		}
	}
	if _, has := a.Annotations[annotationMountableSecrets]; !has {
		return nil
	}
	return []string{fmt.Sprintf("metadata.annotations[%s]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets", annotationMountableSecrets)}
}
