// Package accounttokens fills secrets of the type kubernetes.io/service-account-token with a token of
// the service account that they name, and deletes them with it.
// https://kubernetes.io/docs/concepts/security/service-accounts/#get-a-token
package accounttokens

import (
	"bytes"
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/manifests/registry"
	"skiff/orchestrator/controller"
)

// Issuer issues the tokens.
type Issuer interface {
	IssueLegacy(account *corev1.ServiceAccount, secret string) (string, error)
}

// Options are what the controller needs.
type Options struct {
	controller.Env
	Issuer Issuer
	// RootCA is the PEM of the API's certificate authority, which goes with each token.
	RootCA []byte
}

// Controller looks after the secrets.
type Controller struct {
	options  Options
	secrets  registry.Client[*corev1.Secret]
	accounts registry.Client[*corev1.ServiceAccount]
}

// New returns the controller.
func New(o Options) *Controller {
	return &Controller{options: o, secrets: registry.For[*corev1.Secret](o.Registry), accounts: registry.For[*corev1.ServiceAccount](o.Registry)}
}

// Run works until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	feeds := c.options.Feeds
	loop := controller.Loop[types.NamespacedName]{
		Name: "serviceaccount-tokens", Reconcile: c.reconcile,
		Sources: []controller.Source[types.NamespacedName]{
			controller.Follow(feeds.Of("secrets"), func(now, _ *corev1.Secret, add func(types.NamespacedName)) {
				if now != nil && now.Type == corev1.SecretTypeServiceAccountToken {
					add(controller.NameOf(now))
				}
			}),
			controller.Follow(feeds.Of("serviceaccounts"), func(now, before *corev1.ServiceAccount, add func(types.NamespacedName)) {
				if now != nil && before != nil {
					return
				}
				if now == nil {
					now = before
				}
				for _, s := range c.secrets.List(now.Namespace, nil) {
					if s.Type == corev1.SecretTypeServiceAccountToken && s.Annotations[corev1.ServiceAccountNameKey] == now.Name {
						add(controller.NameOf(s))
					}
				}
			}),
		},
		Env: c.options.Env,
	}
	return loop.Run(ctx)
}

func (c *Controller) reconcile(ctx context.Context, key types.NamespacedName) (time.Duration, error) {
	secret, err := c.secrets.Get(key.Namespace, key.Name)
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading secret %s: %w", key, err)
	}
	if secret.Type != corev1.SecretTypeServiceAccountToken || secret.DeletionTimestamp != nil {
		return 0, nil
	}
	account, err := c.accounts.Get(key.Namespace, secret.Annotations[corev1.ServiceAccountNameKey])
	if err != nil && !apierrors.IsNotFound(err) {
		return 0, fmt.Errorf("reading the service account of secret %s: %w", key, err)
	}
	if err != nil || belongsToAnother(secret, account) {
		return 0, c.delete(ctx, secret)
	}
	if err := c.fill(ctx, secret, account); err != nil && !apierrors.IsNotFound(err) {
		return 0, fmt.Errorf("filling secret %s: %w", key, err)
	}
	return 0, nil
}

// belongsToAnother reports whether a secret was made for an account of that name that is gone.
func belongsToAnother(s *corev1.Secret, a *corev1.ServiceAccount) bool {
	uid := s.Annotations[corev1.ServiceAccountUIDKey]
	return uid != "" && uid != string(a.UID)
}

func (c *Controller) delete(ctx context.Context, s *corev1.Secret) error {
	err := c.secrets.Delete(ctx, s.Namespace, s.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &s.UID}})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("deleting secret %s/%s, whose service account is gone: %w", s.Namespace, s.Name, err)
	}
	return nil
}

// fill adds what a secret lacks.
func (c *Controller) fill(ctx context.Context, s *corev1.Secret, a *corev1.ServiceAccount) error {
	if len(s.Data[corev1.ServiceAccountTokenKey]) > 0 && bytes.Equal(s.Data[corev1.ServiceAccountRootCAKey], c.options.RootCA) &&
		len(s.Data[corev1.ServiceAccountNamespaceKey]) > 0 && s.Annotations[corev1.ServiceAccountUIDKey] != "" {
		return nil
	}
	_, err := c.secrets.Update(ctx, s.Namespace, s.Name, func(s *corev1.Secret) error {
		metav1.SetMetaDataAnnotation(&s.ObjectMeta, corev1.ServiceAccountUIDKey, string(a.UID))
		if s.Data == nil {
			s.Data = map[string][]byte{}
		}
		s.Data[corev1.ServiceAccountRootCAKey] = c.options.RootCA
		if len(s.Data[corev1.ServiceAccountNamespaceKey]) == 0 {
			s.Data[corev1.ServiceAccountNamespaceKey] = []byte(s.Namespace)
		}
		if len(s.Data[corev1.ServiceAccountTokenKey]) > 0 {
			return nil
		}
		token, err := c.options.Issuer.IssueLegacy(a, s.Name)
		s.Data[corev1.ServiceAccountTokenKey] = []byte(token)
		return err
	})
	return err
}
