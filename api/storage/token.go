package storage

import (
	"context"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"

	"skiff/manifests/registry"
)

// TokenIssuer issues tokens of service accounts. It takes the request over.
type TokenIssuer interface {
	Issue(*authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, error)
}

// Token serves the token subresource of service accounts: whoever creates one gets a token.
type Token struct {
	Accounts registry.Client[*corev1.ServiceAccount]
	Issuer   TokenIssuer
}

var (
	_ rest.NamedCreater                   = (*Token)(nil)
	_ rest.GroupVersionKindProvider       = (*Token)(nil)
	_ rest.SubresourceObjectMetaPreserver = (*Token)(nil)
)

// New implements rest.Storage.
func (t *Token) New() runtime.Object { return &authenticationv1.TokenRequest{} }

// Destroy implements rest.Storage.
func (t *Token) Destroy() {}

// GroupVersionKind implements rest.GroupVersionKindProvider.
func (t *Token) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")
}

// PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate implements
// rest.SubresourceObjectMetaPreserver: the UID says which service account is meant.
func (t *Token) PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate() bool { return true }

// Create implements rest.NamedCreater.
func (t *Token) Create(ctx context.Context, name string, obj runtime.Object, validate rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	r := obj.(*authenticationv1.TokenRequest)
	kind := t.GroupVersionKind(schema.GroupVersion{}).GroupKind()
	if r.Name != "" && r.Name != name {
		return nil, apierrors.NewInvalid(kind, name, field.ErrorList{field.Invalid(field.NewPath("metadata", "name"), r.Name, "must match the service account name if specified")})
	}
	if r.Namespace != "" && r.Namespace != namespaceOf(ctx) {
		return nil, apierrors.NewInvalid(kind, name, field.ErrorList{field.Invalid(field.NewPath("metadata", "namespace"), r.Namespace, "must match the service account namespace if specified")})
	}
	r.Name, r.Namespace = name, namespaceOf(ctx)
	if validate != nil {
		if _, err := t.Accounts.Get(r.Namespace, name); err != nil {
			return nil, statusOf(err)
		}
		if err := validate(ctx, r.DeepCopy()); err != nil {
			return nil, err
		}
	}
	out, err := t.Issuer.Issue(r)
	if err != nil {
		return nil, statusOf(err)
	}
	return out, nil
}
