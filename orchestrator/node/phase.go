package node

import (
	corev1 "k8s.io/api/core/v1"
)

const (
	deadlineReason  = "DeadlineExceeded"
	deadlineMessage = "Pod was active on the node longer than the specified deadline"
)

// setPhase writes the phase and what explains it. A pod never leaves a terminal phase, and enters one only when nothing
// of it runs any more.
func (v *view) setPhase(s *corev1.PodStatus) {
	if isTerminal(v.pod.Status.Phase) {
		return
	}
	if v.refused != nil {
		s.Phase, s.Reason, s.Message = corev1.PodFailed, v.refused.reason, v.refused.message
		return
	}
	phase := v.phase(s)
	overdue := v.pastDeadline() && v.pod.DeletionTimestamp == nil
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
		s.Reason, s.Message = deadlineReason, deadlineMessage
	}
}

// phase follows from the containers' states (k8s.io/kubernetes/pkg/kubelet/kubelet_pods.go, getPhase).
func (v *view) phase(s *corev1.PodStatus) corev1.PodPhase {
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

// ending tells whether no container of the pod will be started again, whatever its policy.
func (v *view) ending() bool { return v.pod.DeletionTimestamp != nil || v.pastDeadline() }

// counts are containers by what they are doing.
type counts struct {
	initPending, initFailed                        bool
	running, waiting, ended, restarting, succeeded int
}

func (v *view) count(s *corev1.PodStatus) counts {
	var n counts
	initialized := v.everInitialized(s)
	for i := range v.pod.Spec.InitContainers {
		c := &v.pod.Spec.InitContainers[i]
		status := &s.InitContainerStatuses[i]
		if isSidecar(c) {
			v.countSidecar(&n, status, initialized)
		} else {
			v.countInit(&n, c, status)
		}
	}
	for i := range v.pod.Spec.Containers {
		c := &v.pod.Spec.Containers[i]
		v.countRegular(&n, c, findStatus(s.ContainerStatuses, c.Name))
	}
	return n
}

// everInitialized tells whether a regular container has run.
func (v *view) everInitialized(s *corev1.PodStatus) bool {
	for _, c := range s.ContainerStatuses {
		if c.State.Waiting == nil || c.LastTerminationState.Terminated != nil {
			return true
		}
	}
	return false
}

func (v *view) countInit(n *counts, c *corev1.Container, s *corev1.ContainerStatus) {
	ended := endOf(s)
	switch {
	case ended == nil:
		n.initPending = true
	case ended.ExitCode == 0:
		// It has done its work. If it is to run once more, in a new sandbox, the pod counts as it did before.
	case !shouldRestart(&v.pod.Spec, c, ended.ExitCode):
		n.initFailed = true
	default:
		n.initPending = true
	}
}

func (v *view) countSidecar(n *counts, s *corev1.ContainerStatus, initialized bool) {
	switch {
	case s.State.Running != nil:
		n.running++
		if !isTrue(s.Started) && !initialized {
			n.initPending = true
		}
	case s.State.Waiting != nil && s.LastTerminationState.Terminated == nil && !initialized:
		n.initPending = true
	}
}

func (v *view) countRegular(n *counts, c *corev1.Container, s *corev1.ContainerStatus) {
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
	if shouldRestart(&v.pod.Spec, c, ended.ExitCode) {
		n.restarting++
	}
	if ended.ExitCode == 0 {
		n.succeeded++
	}
}

// endOf is how a container that does not run last ended, nil if it never ran.
func endOf(s *corev1.ContainerStatus) *corev1.ContainerStateTerminated {
	switch {
	case s.State.Running != nil:
		return nil
	case s.State.Terminated != nil:
		return s.State.Terminated
	}
	return s.LastTerminationState.Terminated
}

// qosClass is the pod's class (https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/).
func qosClass(spec *corev1.PodSpec) corev1.PodQOSClass {
	guaranteed, any := true, false
	for _, c := range append(containersOf(spec.InitContainers), containersOf(spec.Containers)...) {
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			request, limit := c.Resources.Requests[name], c.Resources.Limits[name]
			if !request.IsZero() || !limit.IsZero() {
				any = true
			}
			if limit.IsZero() || request.Cmp(limit) != 0 {
				guaranteed = false
			}
		}
	}
	switch {
	case !any:
		return corev1.PodQOSBestEffort
	case guaranteed:
		return corev1.PodQOSGuaranteed
	}
	return corev1.PodQOSBurstable
}
