// Package namespaces looks after namespaces: what each has from the start, and
// how one that is deleted is emptied.
package namespaces

import (
	"context"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/manifests/registry"
	"skiff/orchestrator/controller"
)

const (
	serviceAccountName = "default"
	rootCAName         = "kube-root-ca.crt"
	rootCAKey          = "ca.crt"

	descriptionKey = "kubernetes.io/description"
	description    = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. " +
		"No other usage is guaranteed across distributions of Kubernetes clusters."
)

// Options are what the controllers of namespaces need.
type Options struct {
	controller.Env

	// RootCA is the PEM of the certificate authority that signed the API's
	// certificate.
	RootCA []byte
}

// Defaults gives each namespace what it has from the start, and gives it back
// when it is deleted or changed: the ServiceAccount that pods use unless they
// name another, and the certificate authority of the API.
type Defaults struct {
	options    Options
	namespaces registry.Client[*corev1.Namespace]
	accounts   registry.Client[*corev1.ServiceAccount]
	configMaps registry.Client[*corev1.ConfigMap]
}

// NewDefaults returns the controller.
func NewDefaults(o Options) *Defaults {
	return &Defaults{
		options:    o,
		namespaces: registry.For[*corev1.Namespace](o.Registry),
		accounts:   registry.For[*corev1.ServiceAccount](o.Registry),
		configMaps: registry.For[*corev1.ConfigMap](o.Registry),
	}
}

// Run works until ctx ends.
func (d *Defaults) Run(ctx context.Context) error {
	feeds := d.options.Feeds
	loop := controller.Loop[string]{
		Name: "namespace-defaults", Reconcile: d.reconcile,
		Sources: []controller.Source[string]{
			controller.Follow(feeds.Of("namespaces"), func(now, _ *corev1.Namespace, add func(string)) {
				if now != nil {
					add(now.Name)
				}
			}),
			controller.Follow(feeds.Of("serviceaccounts"), func(now, before *corev1.ServiceAccount, add func(string)) {
				if now == nil && before.Name == serviceAccountName {
					add(before.Namespace)
				}
			}),
			controller.Follow(feeds.Of("configmaps"), func(now, before *corev1.ConfigMap, add func(string)) {
				if now == nil {
					now = before
				}
				if now.Name == rootCAName {
					add(now.Namespace)
				}
			}),
		},
		Env: d.options.Env,
	}
	return loop.Run(ctx)
}

func (d *Defaults) reconcile(ctx context.Context, namespace string) (time.Duration, error) {
	n, err := d.namespaces.Get("", namespace)
	if apierrors.IsNotFound(err) || err == nil && n.Status.Phase == corev1.NamespaceTerminating {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading namespace %s: %w", namespace, err)
	}
	if err := d.account(ctx, namespace); err != nil {
		return 0, fmt.Errorf("service account %s of namespace %s: %w", serviceAccountName, namespace, err)
	}
	if err := d.rootCA(ctx, namespace); err != nil {
		return 0, fmt.Errorf("config map %s of namespace %s: %w", rootCAName, namespace, err)
	}
	return 0, nil
}

func (d *Defaults) account(ctx context.Context, namespace string) error {
	if _, err := d.accounts.Get(namespace, serviceAccountName); !apierrors.IsNotFound(err) {
		return err
	}
	_, err := d.accounts.Create(ctx, &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: serviceAccountName},
	})
	return unlessGone(err)
}

func (d *Defaults) rootCA(ctx context.Context, namespace string) error {
	wanted := map[string]string{rootCAKey: string(d.options.RootCA)}
	found, err := d.configMaps.Get(namespace, rootCAName)
	if apierrors.IsNotFound(err) {
		_, err = d.configMaps.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: namespace, Name: rootCAName, Annotations: map[string]string{descriptionKey: description},
			},
			Data: wanted,
		})
		return unlessGone(err)
	}
	if err != nil || maps.Equal(found.Data, wanted) && found.Annotations[descriptionKey] != "" {
		return err
	}
	_, err = d.configMaps.Update(ctx, namespace, rootCAName, func(m *corev1.ConfigMap) error {
		m.Data = wanted
		metav1.SetMetaDataAnnotation(&m.ObjectMeta, descriptionKey, description)
		return nil
	})
	return unlessGone(err)
}

// unlessGone passes over what a namespace that goes, or another who was quicker,
// makes of a write.
func unlessGone(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil
	}
	return err
}
