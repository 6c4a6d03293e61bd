package pod

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"skiff/manifests/podfacts"
)

// Reason and message of a pod that has exceeded its deadline, as kubelet writes them.
const (
	DeadlineReason  = "DeadlineExceeded"
	DeadlineMessage = "Pod was active on the node longer than the specified deadline"
)

// setPhase sets the phase with its reason and message. A pod never leaves a terminal phase, and
// enters one only when nothing of it runs any more.
func (v *View) setPhase(s *corev1.PodStatus) {
	if podfacts.Terminal(v.Pod) {
		return
	}
	if v.Rejected != nil {
		s.Phase, s.Reason, s.Message = corev1.PodFailed, v.Rejected.Reason, v.Rejected.Message
		return
	}
	phase := v.phase(s)
	overdue := v.PastDeadline() && v.Pod.DeletionTimestamp == nil
	if overdue {
		phase = corev1.PodFailed
	}
	if isTerminal(phase) && (len(v.live()) > 0 || v.working()) {
		if s.Phase == "" {
			s.Phase = corev1.PodPending
		}
		return
	}
	if phase != s.Phase {
		s.Reason, s.Message = "", ""
	}
	s.Phase = phase
	if overdue {
		s.Reason, s.Message = DeadlineReason, DeadlineMessage
	}
}

// phase follows from the containers' states (k8s.io/kubernetes/pkg/kubelet/kubelet_pods.go,
// getPhase).
func (v *View) phase(s *corev1.PodStatus) corev1.PodPhase {
	n := v.count(s)
	switch {
	case n.initFailed:
		return corev1.PodFailed
	case n.initPending || n.waiting > 0:
		if v.ending() {
			return corev1.PodFailed
		}
		return corev1.PodPending
	case n.running > 0:
		return corev1.PodRunning
	case n.restarting > 0 && !v.ending():
		return corev1.PodRunning
	case n.ended == 0:
		return corev1.PodPending
	case n.succeeded == n.ended:
		return corev1.PodSucceeded
	}
	return corev1.PodFailed
}

// ending reports whether no container of the pod will be started again, whatever its policy.
func (v *View) ending() bool { return v.Pod.DeletionTimestamp != nil || v.PastDeadline() }

// counts are the numbers of containers in each state.
type counts struct {
	initPending, initFailed                        bool
	running, waiting, ended, restarting, succeeded int
}

func (v *View) count(s *corev1.PodStatus) counts {
	var n counts
	initialized := v.everInitialized(s)
	for i := range v.Pod.Spec.InitContainers {
		c := &v.Pod.Spec.InitContainers[i]
		status := &s.InitContainerStatuses[i]
		if podfacts.IsSidecar(c) {
			v.countSidecar(&n, status, initialized)
		} else {
			v.countInit(&n, c, status)
		}
	}
	for i := range v.Pod.Spec.Containers {
		c := &v.Pod.Spec.Containers[i]
		v.countRegular(&n, c, FindStatus(s.ContainerStatuses, c.Name))
	}
	return n
}

// everInitialized reports whether a regular container has run.
func (v *View) everInitialized(s *corev1.PodStatus) bool {
	for _, c := range s.ContainerStatuses {
		if c.State.Waiting == nil || c.LastTerminationState.Terminated != nil {
			return true
		}
	}
	return false
}

func (v *View) countInit(n *counts, c *corev1.Container, s *corev1.ContainerStatus) {
	ended := endOf(s)
	switch {
	case ended == nil:
		n.initPending = true
	case ended.ExitCode == 0:
		// It has succeeded. If it has to run again in a new sandbox, that does not change the
		// phase.
	case !shouldRestart(&v.Pod.Spec, c, ended.ExitCode) && !v.outOfRound(c.Name):
		n.initFailed = true
	default:
		n.initPending = true
	}
}

func (v *View) countSidecar(n *counts, s *corev1.ContainerStatus, initialized bool) {
	switch {
	case s.State.Running != nil:
		n.running++
		if !ptr.Deref(s.Started, false) && !initialized {
			n.initPending = true
		}
	case s.State.Waiting != nil && s.LastTerminationState.Terminated == nil && !initialized:
		n.initPending = true
	}
}

func (v *View) countRegular(n *counts, c *corev1.Container, s *corev1.ContainerStatus) {
	if s.State.Running != nil {
		n.running++
		return
	}
	ended := endOf(s)
	if ended == nil {
		n.waiting++
		return
	}
	n.ended++
	if shouldRestart(&v.Pod.Spec, c, ended.ExitCode) || v.outOfRound(c.Name) {
		n.restarting++
	}
	if ended.ExitCode == 0 {
		n.succeeded++
	}
}

// endOf is how a container that does not run last ended, nil if it runs or never ran.
func endOf(s *corev1.ContainerStatus) *corev1.ContainerStateTerminated {
	switch {
	case s.State.Running != nil:
		return nil
	case s.State.Terminated != nil:
		return s.State.Terminated
	}
	return s.LastTerminationState.Terminated
}
