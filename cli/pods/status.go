package pods

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// Status is a pod's state in one word, as the STATUS column of "skiff get pods" has it: the phase, unless a container
// tells more.
func Status(p *corev1.Pod) string {
	text := string(p.Status.Phase)
	if p.Status.Reason != "" {
		text = p.Status.Reason
	}
	if s, ok := initStatus(p); ok {
		text = s
	} else {
		text = containerStatus(p, text)
	}
	if p.DeletionTimestamp != nil {
		return "Terminating"
	}
	return text
}

// initStatus tells which init container a pod is at, if it is at one.
func initStatus(p *corev1.Pod) (string, bool) {
	total := len(p.Spec.InitContainers)
	for i, s := range p.Status.InitContainerStatuses {
		switch {
		case s.State.Terminated != nil && s.State.Terminated.ExitCode == 0:
			continue
		case s.State.Running != nil && s.Started != nil && *s.Started && sidecar(p, s.Name):
			continue
		case s.State.Terminated != nil:
			return "Init:" + ended(s.State.Terminated), true
		case s.State.Waiting != nil && s.State.Waiting.Reason != "" && s.State.Waiting.Reason != "PodInitializing":
			return "Init:" + s.State.Waiting.Reason, true
		}
		return fmt.Sprintf("Init:%d/%d", i, total), true
	}
	return "", false
}

// sidecar is whether an init container is meant to run on beside the others.
func sidecar(p *corev1.Pod, name string) bool {
	for _, c := range p.Spec.InitContainers {
		if c.Name == name {
			return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		}
	}
	return false
}

func containerStatus(p *corev1.Pod, text string) string {
	running := false
	for i := len(p.Status.ContainerStatuses) - 1; i >= 0; i-- {
		s := p.Status.ContainerStatuses[i].State
		switch {
		case s.Waiting != nil && s.Waiting.Reason != "":
			text = s.Waiting.Reason
		case s.Terminated != nil:
			text = ended(s.Terminated)
		case s.Running != nil && p.Status.ContainerStatuses[i].Ready:
			running = true
		}
	}
	if text == "Completed" && running {
		text = "NotReady"
		if Ready(p) {
			text = "Running"
		}
	}
	return text
}

func ended(t *corev1.ContainerStateTerminated) string {
	switch {
	case t.Reason != "":
		return t.Reason
	case t.Signal != 0:
		return fmt.Sprintf("Signal:%d", t.Signal)
	}
	return fmt.Sprintf("ExitCode:%d", t.ExitCode)
}
