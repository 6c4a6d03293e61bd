package admission

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"skiff/manifests/registry"
	"skiff/store"
)

const defaultServiceAccount = "default"

// ServiceAccount gives a pod that names no service account the default one, and
// each pod the image pull secrets of its account. An account that is named must
// exist. The default one need not: it is made a moment after its namespace, and
// pods have no use for it but its name.
type ServiceAccount struct{ Reader Reader }

func (s ServiceAccount) Admit(_ context.Context, r registry.Request) error {
	pod := newPod(r)
	if pod == nil {
		return nil
	}
	if pod.Spec.ServiceAccountName == "" {
		pod.Spec.ServiceAccountName = defaultServiceAccount
		pod.Spec.DeprecatedServiceAccount = defaultServiceAccount
	}
	name := pod.Spec.ServiceAccountName
	found, ok := s.Reader.Get(store.Key{Resource: "serviceaccounts", Namespace: r.Namespace, Name: name})
	switch {
	case ok:
		if account := found.(*corev1.ServiceAccount); len(pod.Spec.ImagePullSecrets) == 0 {
			pod.Spec.ImagePullSecrets = slices.Clone(account.ImagePullSecrets)
		}
	case name != defaultServiceAccount:
		missing := apierrors.NewNotFound(schema.GroupResource{Resource: "serviceaccount"}, name)
		return forbidden(r, fmt.Errorf("error looking up service account %s/%s: %w", r.Namespace, name, missing))
	}
	return nil
}
