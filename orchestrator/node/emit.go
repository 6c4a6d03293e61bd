package node

import (
	corev1 "k8s.io/api/core/v1"
)

// emit records an event about a pod, or about one of its containers.
func (a *Agent) emit(pod *corev1.Pod, container, eventType, reason, format string, args ...any) {
	a.Recorder.Event(podReference(pod, container), eventType, reason, format, args...)
}

// podReference refers to a pod, or to one of its containers as kubelet does
// (k8s.io/kubernetes/pkg/kubelet/container/ref.go).
func podReference(pod *corev1.Pod, container string) *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID,
		ResourceVersion: pod.ResourceVersion, FieldPath: fieldPath(&pod.Spec, container),
	}
}

func fieldPath(spec *corev1.PodSpec, container string) string {
	for i := range spec.Containers {
		if spec.Containers[i].Name == container {
			return "spec.containers{" + container + "}"
		}
	}
	for i := range spec.InitContainers {
		if spec.InitContainers[i].Name == container {
			return "spec.initContainers{" + container + "}"
		}
	}
	for i := range spec.EphemeralContainers {
		if spec.EphemeralContainers[i].Name == container {
			return "spec.ephemeralContainers{" + container + "}"
		}
	}
	return ""
}
