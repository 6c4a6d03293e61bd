package podfacts

import (
	"cmp"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// nodeLost is the reason of a pod whose node no longer answers
// (k8s.io/kubernetes/pkg/util/node, NodeUnreachablePodReason).
const nodeLost = "NodeLost"

// Summary is what the columns READY, STATUS and RESTARTS of "kubectl get pods" show. Its rules are
// those of upstream's printer (k8s.io/kubernetes/pkg/printers/internalversion, printPod).
type Summary struct {
	// Status is the pod's state in a word: its phase, or the reason of a container that says more.
	Status string
	// Ready and Containers count the regular containers and the sidecars.
	Ready, Containers int
	// Restarts counts the restarts of the containers that run at this stage of the pod's life.
	Restarts int
	// LastRestart is when the run before the latest restart ended, zero if that is not known.
	LastRestart metav1.Time
}

// Summarize looks at the pod itself, then at its init containers, then at its regular containers.
// What comes later knows better, once it has begun.
func Summarize(p *corev1.Pod) Summary {
	s := Summary{Status: cmp.Or(p.Status.Reason, string(p.Status.Phase)), Containers: len(p.Spec.Containers)}
	if c := Condition(p, corev1.PodScheduled); c != nil && c.Reason == corev1.PodReasonSchedulingGated {
		s.Status = corev1.PodReasonSchedulingGated
	}
	for i := range p.Spec.InitContainers {
		if IsSidecar(&p.Spec.InitContainers[i]) {
			s.Containers++
		}
	}
	initializing := s.addInit(p)
	if !initializing || ConditionTrue(p, corev1.PodInitialized) {
		s.addContainers(p)
	}
	switch {
	case p.DeletionTimestamp != nil && p.Status.Reason == nodeLost:
		s.Status = string(corev1.PodUnknown)
	case Terminating(p):
		s.Status = "Terminating"
	}
	return s
}

// addInit goes through the init containers up to the first that is not done, and reports whether
// there is one.
func (s *Summary) addInit(p *corev1.Pod) (initializing bool) {
	for i := range p.Status.InitContainerStatuses {
		c := &p.Status.InitContainerStatuses[i]
		s.addRestarts(c)
		sidecar := HasSidecar(p, c.Name)
		switch ended, waits := c.State.Terminated, c.State.Waiting; {
		case ended != nil && ended.ExitCode == 0:
			continue
		case sidecar && c.Started != nil && *c.Started:
			if c.Ready {
				s.Ready++
			}
			continue
		case ended != nil:
			s.Status = "Init:" + endReason(ended)
		case waits != nil && waits.Reason != "" && waits.Reason != "PodInitializing":
			s.Status = "Init:" + waits.Reason
		default:
			s.Status = fmt.Sprintf("Init:%d/%d", i, len(p.Spec.InitContainers))
		}
		return true
	}
	return false
}

// addContainers goes through the regular containers from last to first, so that of several reasons
// the first container's counts. Of the init containers only sidecars still count as restarted.
func (s *Summary) addContainers(p *corev1.Pod) {
	s.countSidecarRestarts(p)
	running, failure := false, ""
	for i := len(p.Status.ContainerStatuses) - 1; i >= 0; i-- {
		c := &p.Status.ContainerStatuses[i]
		s.addRestarts(c)
		switch ended, waits := c.State.Terminated, c.State.Waiting; {
		case waits != nil && waits.Reason != "":
			s.Status = waits.Reason
		case ended != nil:
			s.Status = endReason(ended)
			if ended.ExitCode != 0 {
				failure = s.Status
			}
		case c.Ready && c.State.Running != nil:
			running = true
			s.Ready++
		}
	}
	if s.Status == "Completed" {
		s.Status = partlyCompleted(p, running, failure)
	}
}

// countSidecarRestarts counts the restarts anew, those of sidecars alone. Like the printer, it stops
// at the first init container that is not done.
func (s *Summary) countSidecarRestarts(p *corev1.Pod) {
	s.Restarts, s.LastRestart = 0, metav1.Time{}
	for i := range p.Status.InitContainerStatuses {
		c := &p.Status.InitContainerStatuses[i]
		sidecar := HasSidecar(p, c.Name)
		if sidecar {
			s.addRestarts(c)
		}
		done := c.State.Terminated != nil && c.State.Terminated.ExitCode == 0
		if !done && !(sidecar && c.Started != nil && *c.Started) {
			return
		}
	}
}

func (s *Summary) addRestarts(c *corev1.ContainerStatus) {
	s.Restarts += int(c.RestartCount)
	if t := c.LastTerminationState.Terminated; t != nil && s.LastRestart.Before(&t.FinishedAt) {
		s.LastRestart = t.FinishedAt
	}
}

// partlyCompleted is the status of a pod one of whose containers has completed.
func partlyCompleted(p *corev1.Pod, running bool, failure string) string {
	switch {
	case running && Ready(p):
		return string(corev1.PodRunning)
	case failure != "":
		return failure
	case running:
		return "NotReady"
	}
	return "Completed"
}

// endReason says why a container ended.
func endReason(t *corev1.ContainerStateTerminated) string {
	switch {
	case t.Reason != "":
		return t.Reason
	case t.Signal != 0:
		return fmt.Sprintf("Signal:%d", t.Signal)
	}
	return fmt.Sprintf("ExitCode:%d", t.ExitCode)
}
