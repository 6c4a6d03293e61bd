package streams

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// containerNames lists a pod's containers in upstream's order (VisitContainers in k8s.io/kubernetes
// pkg/api/pod).
func containerNames(pod *corev1.Pod) []string {
	var names []string
	for _, c := range pod.Spec.InitContainers {
		names = append(names, c.Name)
	}
	for _, c := range pod.Spec.Containers {
		names = append(names, c.Name)
	}
	for _, c := range pod.Spec.EphemeralContainers {
		names = append(names, c.Name)
	}
	return names
}

// chooseContainer returns the container a request means: the one it names, or the only one there
// is.
func chooseContainer(pod *corev1.Pod, name string) (string, error) {
	all := containerNames(pod)
	if name != "" {
		for _, has := range all {
			if has == name {
				return name, nil
			}
		}
		return "", apierrors.NewBadRequest(fmt.Sprintf("container %s is not valid for pod %s", name, pod.Name))
	}
	if len(pod.Spec.Containers) == 1 {
		return pod.Spec.Containers[0].Name, nil
	}
	return "", apierrors.NewBadRequest(fmt.Sprintf("a container name must be specified for pod %s, choose one of: %s", pod.Name, all))
}

// statusOf finds a container's status.
func statusOf(pod *corev1.Pod, container string) (corev1.ContainerStatus, bool) {
	for _, list := range [][]corev1.ContainerStatus{
		pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses, pod.Status.EphemeralContainerStatuses,
	} {
		for _, s := range list {
			if s.Name == container {
				return s, true
			}
		}
	}
	return corev1.ContainerStatus{}, false
}

// onNode checks that a pod has a node, without which nothing of it runs.
func onNode(pod *corev1.Pod) error {
	if pod.Spec.NodeName == "" {
		return apierrors.NewBadRequest(fmt.Sprintf("pod %s does not have a host assigned", pod.Name))
	}
	return nil
}

// running checks that a container runs. The message is what upstream makes of the kubelet's
// refusal.
func running(pod *corev1.Pod, container string) error {
	if s, ok := statusOf(pod, container); !ok || s.State.Running == nil {
		return apierrors.NewInternalError(errors.New("unable to upgrade connection: " + fmt.Sprintf("container not found (%q)", container)))
	}
	return nil
}

// hasLog checks that a container, or its predecessor, has or had a log, as the kubelet does
// (validateContainerLogStatus in k8s.io/kubernetes pkg/kubelet/kubelet_pods.go).
func hasLog(pod *corev1.Pod, container string, previous bool) error {
	status, found := statusOf(pod, container)
	if !found {
		return noLog(pod, container, "is not available")
	}
	last := status.LastTerminationState.Terminated
	state := status.State
	switch {
	case previous && (last == nil || last.ContainerID == ""):
		return apierrors.NewBadRequest(fmt.Sprintf("previous terminated container %q in pod %q not found", container, pod.Name))
	case previous, state.Running != nil, last != nil && last.ContainerID != "":
		return nil
	case state.Terminated != nil && state.Terminated.ContainerID != "":
		return nil
	case state.Terminated != nil, last != nil:
		return noLog(pod, container, "is terminated")
	case state.Waiting != nil:
		return noLog(pod, container, "is waiting to start: "+waitingFor(state.Waiting.Reason))
	}
	return noLog(pod, container, "is waiting to start - no logs yet")
}

func waitingFor(reason string) string {
	switch reason {
	case "ErrImagePull":
		return "image can't be pulled"
	case "ImagePullBackOff":
		return "trying and failing to pull image"
	}
	return reason
}

func noLog(pod *corev1.Pod, container, why string) error {
	return apierrors.NewBadRequest(fmt.Sprintf("container %q in pod %q %s", container, pod.Name, why))
}
