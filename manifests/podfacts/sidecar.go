package podfacts

import corev1 "k8s.io/api/core/v1"

// IsSidecar reports whether an init container runs on beside the regular ones: its restart policy
// is Always (https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/).
func IsSidecar(init *corev1.Container) bool {
	return init.RestartPolicy != nil && *init.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// HasSidecar reports whether the pod's init container of that name is a sidecar.
func HasSidecar(p *corev1.Pod, name string) bool {
	for i := range p.Spec.InitContainers {
		if c := &p.Spec.InitContainers[i]; c.Name == name {
			return IsSidecar(c)
		}
	}
	return false
}
