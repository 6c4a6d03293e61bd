package admission

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/storage/names"
	"k8s.io/utils/ptr"

	"skiff/manifests/registry"
	"skiff/manifests/tokens"
	"skiff/store"
)

const (
	defaultServiceAccount = "default"
	// tokenMountPath is where clients in pods look for how to reach the API.
	tokenMountPath  = "/var/run/secrets/kubernetes.io/serviceaccount"
	tokenVolumeName = "kube-api-access-"
	// mountableSecretsAnnotation on an account confines its pods to the secrets that it lists.
	mountableSecretsAnnotation = "kubernetes.io/enforce-mountable-secrets"
)

// ServiceAccount gives a pod that names no service account the default one, and each pod the image
// pull secrets of its account and a volume with a token of it (upstream's
// plugin/pkg/admission/serviceaccount). An account that is named must exist. The default one need not:
// it is made a moment after its namespace, and pods wait for it before they start.
type ServiceAccount struct{ Reader Reader }

// Admit implements registry.Admitter.
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
	account := &corev1.ServiceAccount{}
	if found, ok := s.Reader.Get(store.Key{Resource: "serviceaccounts", Namespace: r.Namespace, Name: name}); ok {
		account = found.(*corev1.ServiceAccount)
	} else if name != defaultServiceAccount {
		missing := apierrors.NewNotFound(schema.GroupResource{Resource: "serviceaccount"}, name)
		return forbidden(r, fmt.Errorf("error looking up service account %s/%s: %w", r.Namespace, name, missing))
	}
	if automounts(account, pod) {
		mountToken(&pod.Spec)
	}
	if len(pod.Spec.ImagePullSecrets) == 0 {
		pod.Spec.ImagePullSecrets = slices.Clone(account.ImagePullSecrets)
	}
	if only, err := strconv.ParseBool(account.Annotations[mountableSecretsAnnotation]); err == nil && only {
		if err := checkSecrets(account, &pod.Spec); err != nil {
			return forbidden(r, err)
		}
	}
	return nil
}

// automounts reports whether a pod is to have a token: the pod says it, or else its account.
func automounts(a *corev1.ServiceAccount, pod *corev1.Pod) bool {
	return ptr.Deref(pod.Spec.AutomountServiceAccountToken, ptr.Deref(a.AutomountServiceAccountToken, true))
}

// mountToken mounts a volume with a token into all containers that have nothing else at that path.
func mountToken(s *corev1.PodSpec) {
	at := slices.IndexFunc(s.Volumes, func(v corev1.Volume) bool { return strings.HasPrefix(v.Name, tokenVolumeName) })
	var name string
	if at >= 0 {
		name = s.Volumes[at].Name
	} else {
		name = names.SimpleNameGenerator.GenerateName(tokenVolumeName)
	}
	used := false
	for _, containers := range [][]corev1.Container{s.InitContainers, s.Containers} {
		for i := range containers {
			c := &containers[i]
			if slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == tokenMountPath }) {
				continue
			}
			c.VolumeMounts = append(c.VolumeMounts[:len(c.VolumeMounts):len(c.VolumeMounts)], corev1.VolumeMount{Name: name, ReadOnly: true, MountPath: tokenMountPath})
			used = true
		}
	}
	if used && at < 0 {
		s.Volumes = append(s.Volumes[:len(s.Volumes):len(s.Volumes)], corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: tokenVolume()}})
	}
}

// tokenVolume holds all that a client in a pod needs.
func tokenVolume() *corev1.ProjectedVolumeSource {
	return &corev1.ProjectedVolumeSource{
		DefaultMode: ptr.To(corev1.ProjectedVolumeSourceDefaultMode),
		Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: ptr.To[int64](tokens.WarnOnlyExpiration)}},
			{ConfigMap: &corev1.ConfigMapProjection{
				LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}, Items: []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}},
			}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{
				{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"}},
			}}},
		},
	}
}

// checkSecrets refuses secrets that the account does not list.
func checkSecrets(a *corev1.ServiceAccount, s *corev1.PodSpec) error {
	listed := func(name string) bool {
		return slices.ContainsFunc(a.Secrets, func(o corev1.ObjectReference) bool { return o.Name == name })
	}
	for _, v := range s.Volumes {
		if v.Secret != nil && !listed(v.Secret.SecretName) {
			return fmt.Errorf("volume with secret.secretName=%q is not allowed because service account %s does not reference that secret", v.Secret.SecretName, a.Name)
		}
	}
	for _, part := range []struct {
		what       string
		containers []corev1.Container
	}{{"init container", s.InitContainers}, {"container", s.Containers}} {
		for i := range part.containers {
			if err := checkVariables(a, part.what, &part.containers[i], listed); err != nil {
				return err
			}
		}
	}
	for i, secret := range s.ImagePullSecrets {
		if !slices.Contains(a.ImagePullSecrets, secret) {
			return fmt.Errorf("imagePullSecrets[%d].name=%q is not allowed because service account %s does not reference that imagePullSecret", i, secret.Name, a.Name)
		}
	}
	return nil
}

func checkVariables(a *corev1.ServiceAccount, what string, c *corev1.Container, listed func(string) bool) error {
	for _, e := range c.Env {
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil && !listed(e.ValueFrom.SecretKeyRef.Name) {
			return fmt.Errorf("%s %s with envVar %s referencing secret.secretName=%q is not allowed because service account %s does not reference that secret",
				what, c.Name, e.Name, e.ValueFrom.SecretKeyRef.Name, a.Name)
		}
	}
	for _, e := range c.EnvFrom {
		if e.SecretRef != nil && !listed(e.SecretRef.Name) {
			return fmt.Errorf("%s %s with envFrom referencing secret.secretName=%q is not allowed because service account %s does not reference that secret",
				what, c.Name, e.SecretRef.Name, a.Name)
		}
	}
	return nil
}
