package pod

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// HasPostStart reports whether a container has a postStart hook.
func HasPostStart(pod *corev1.Pod, container string) bool {
	c := FindContainer(&pod.Spec, container)
	return c != nil && c.Lifecycle != nil && c.Lifecycle.PostStart != nil
}

// FindContainer finds a container of any kind by name; nil if there is none.
func FindContainer(spec *corev1.PodSpec, name string) *corev1.Container {
	for i := range spec.Containers {
		if spec.Containers[i].Name == name {
			return &spec.Containers[i]
		}
	}
	for i := range spec.InitContainers {
		if spec.InitContainers[i].Name == name {
			return &spec.InitContainers[i]
		}
	}
	for i := range spec.EphemeralContainers {
		if spec.EphemeralContainers[i].Name == name {
			return (*corev1.Container)(&spec.EphemeralContainers[i].EphemeralContainerCommon)
		}
	}
	return nil
}

// isTerminal reports whether a pod in this phase never runs again.
func isTerminal(phase corev1.PodPhase) bool {
	return phase == corev1.PodSucceeded || phase == corev1.PodFailed
}

func containersOf(list []corev1.Container) []*corev1.Container {
	out := make([]*corev1.Container, len(list))
	for i := range list {
		out[i] = &list[i]
	}
	return out
}

func ephemeralOf(list []corev1.EphemeralContainer) []*corev1.Container {
	out := make([]*corev1.Container, len(list))
	for i := range list {
		out[i] = (*corev1.Container)(&list[i].EphemeralContainerCommon)
	}
	return out
}

// FindStatus is the status of the container of a name, nil if the list has none.
func FindStatus(list []corev1.ContainerStatus, name string) *corev1.ContainerStatus {
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}

// Format is a pod as kubelet's messages name it
// (k8s.io/kubernetes/pkg/kubelet/util/format/pod.go).
func Format(pod *corev1.Pod) string {
	return fmt.Sprintf("%s_%s(%s)", pod.Name, pod.Namespace, pod.UID)
}

// NeedsSandbox reports whether a pod's containers share something that a pause container holds: the
// network namespace unless that is the host's, the IPC namespace unless that is, or a volume in
// memory that the engine keeps only as long as a container that runs has it mounted. The container
// of a pod with only one has its own namespaces: a pause container would make its start half as
// long again.
func NeedsSandbox(spec *corev1.PodSpec) bool {
	if ptr.Deref(spec.ShareProcessNamespace, false) || slices.ContainsFunc(spec.Volumes, func(v corev1.Volume) bool { return InSizedMemory(&v) }) {
		return true
	}
	shares := !spec.HostNetwork || !spec.HostIPC
	return shares && (len(spec.InitContainers) > 0 || len(spec.Containers) > 1)
}

// InSizedMemory reports whether a volume is an emptyDir of medium Memory that has a size limit.
// Such a one is a tmpfs of the engine's, for only the engine can bound it.
func InSizedMemory(v *corev1.Volume) bool {
	e := v.EmptyDir
	return e != nil && e.Medium == corev1.StorageMediumMemory && e.SizeLimit != nil && e.SizeLimit.Sign() > 0
}

// MountedImages are the volumes of a container that hold an image's files.
func MountedImages(pod *corev1.Pod, c *corev1.Container) []*corev1.Volume {
	var out []*corev1.Volume
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if v.Image != nil && slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == v.Name }) {
			out = append(out, v)
		}
	}
	return out
}

// AllContainers are the pod's init, regular and ephemeral containers.
func AllContainers(spec *corev1.PodSpec) []*corev1.Container {
	out := make([]*corev1.Container, 0, len(spec.InitContainers)+len(spec.Containers)+len(spec.EphemeralContainers))
	for i := range spec.InitContainers {
		out = append(out, &spec.InitContainers[i])
	}
	for i := range spec.Containers {
		out = append(out, &spec.Containers[i])
	}
	for i := range spec.EphemeralContainers {
		out = append(out, (*corev1.Container)(&spec.EphemeralContainers[i].EphemeralContainerCommon))
	}
	return out
}
