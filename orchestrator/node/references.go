package node

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"skiff/orchestrator/node/pod"
)

// objectRef names an object that pods use.
type objectRef struct{ kind, namespace, name string }

// references are the ConfigMaps, Secrets, claims and service accounts with a token that a pod uses.
func references(p *corev1.Pod) []objectRef {
	var refs []objectRef
	add := func(kind, name string) {
		if ref := (objectRef{kind, p.Namespace, name}); name != "" && !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	for _, c := range pod.AllContainers(&p.Spec) {
		for _, from := range c.EnvFrom {
			if from.ConfigMapRef != nil {
				add("configmap", from.ConfigMapRef.Name)
			}
			if from.SecretRef != nil {
				add("secret", from.SecretRef.Name)
			}
		}
		for _, v := range c.Env {
			if v.ValueFrom != nil && v.ValueFrom.ConfigMapKeyRef != nil {
				add("configmap", v.ValueFrom.ConfigMapKeyRef.Name)
			}
			if v.ValueFrom != nil && v.ValueFrom.SecretKeyRef != nil {
				add("secret", v.ValueFrom.SecretKeyRef.Name)
			}
		}
	}
	for i := range p.Spec.Volumes {
		addVolumeReferences(p, &p.Spec.Volumes[i], add)
	}
	return refs
}

func addVolumeReferences(p *corev1.Pod, v *corev1.Volume, add func(kind, name string)) {
	if v.ConfigMap != nil {
		add("configmap", v.ConfigMap.Name)
	}
	if v.Secret != nil {
		add("secret", v.Secret.SecretName)
	}
	if v.PersistentVolumeClaim != nil {
		add("claim", v.PersistentVolumeClaim.ClaimName)
	}
	if v.Projected == nil {
		return
	}
	for _, s := range v.Projected.Sources {
		if s.ConfigMap != nil {
			add("configmap", s.ConfigMap.Name)
		}
		if s.Secret != nil {
			add("secret", s.Secret.Name)
		}
		if s.ServiceAccountToken != nil {
			add("serviceaccount", p.Spec.ServiceAccountName)
		}
	}
}
