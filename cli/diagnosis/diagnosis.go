// Package diagnosis finds out why a pod does not come up, and says it as a person would look for
// it: the reason, the container with its exit code, the last warning, the end of the log.
package diagnosis

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Failure is why something cannot come up.
type Failure struct {
	// What is the object: pod/kubia-x2x4f.
	What string
	// Why is the reason and its explanation, on one line.
	Why string
	// Pod and Container name the log that may tell more; Container is empty when none does.
	// Previous selects the log of the instance before the last restart.
	Pod       *corev1.Pod
	Container string
	Previous  bool
	// Namespace is that of an object that is no pod, "" when nothing more is to be found out about it.
	Namespace string
	// Log is the end of that log, if it was read before the container was removed.
	Log string
}

// Patience is how long a state may last that often resolves itself.
const Patience = 10 * time.Second

// PortPatience is how long a port of the machine may be in use: by the pod that is being replaced,
// which by default has 30 s to leave.
const PortPatience = 40 * time.Second

// hopeless are the waiting reasons that do not resolve themselves.
var hopeless = []string{"ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", CrashLoop, "CreateContainerConfigError", "CreateContainerError", "RunContainerError"}

// CrashLoop is the waiting reason of a container that keeps ending.
const CrashLoop = "CrashLoopBackOff"

// HostPortInUse is the waiting reason of a container whose port of the machine another has. It
// often resolves itself, as when a pod that is being replaced has yet to end: it is a failure when
// it has lasted for PortPatience, which only somebody who has watched the pod can tell.
const HostPortInUse = "HostPortInUse"

// Pod returns why a pod will not become ready, nil when it still may.
func Pod(p *corev1.Pod, now time.Time) *Failure {
	if p.Status.Phase == corev1.PodFailed {
		return Failed(p)
	}
	if f, _ := Stuck(p); f != nil {
		return f
	}
	return unschedulable(p, now)
}

// Failed returns why a pod of phase Failed has failed.
func Failed(p *corev1.Pod) *Failure {
	f := &Failure{What: "pod/" + p.Name, Why: Reason(p.Status.Reason, p.Status.Message), Pod: p}
	for _, s := range Statuses(p) {
		if t := s.State.Terminated; t != nil && t.ExitCode != 0 {
			f.Container = s.Name
			f.Why = exited(s.Name, t)
		}
	}
	return f
}

// Stuck returns the failure of a container that waits for something that will not happen by itself,
// with the waiting reason.
func Stuck(p *corev1.Pod) (*Failure, string) {
	for _, s := range Statuses(p) {
		w := s.State.Waiting
		if w == nil || !slices.Contains(hopeless, w.Reason) {
			continue
		}
		f := &Failure{What: "pod/" + p.Name, Why: Reason(w.Reason, w.Message), Pod: p}
		if t := s.LastTerminationState.Terminated; t != nil {
			f.Container, f.Previous = s.Name, true
			f.Why = fmt.Sprintf("%s: %s, %d restarts", w.Reason, exited(s.Name, t), s.RestartCount)
		}
		return f, w.Reason
	}
	return nil, ""
}

// Waits is the failure of a container that has waited for too long.
func Waits(p *corev1.Pod, w *corev1.ContainerStateWaiting) *Failure {
	return &Failure{What: "pod/" + p.Name, Why: Reason(w.Reason, w.Message), Pod: p}
}

// Ended returns the failure of a container that has ended with an error, now or before its last
// restart; nil when none has.
func Ended(p *corev1.Pod) *Failure {
	for _, s := range Statuses(p) {
		t, previous := Termination(&s)
		if t == nil || t.ExitCode == 0 {
			continue
		}
		return &Failure{What: "pod/" + p.Name, Why: exited(s.Name, t), Pod: p, Container: s.Name, Previous: previous}
	}
	return nil
}

// Died is the failure of a container that was to keep running.
func Died(p *corev1.Pod, s *corev1.ContainerStatus) *Failure {
	t, previous := Termination(s)
	return &Failure{What: "pod/" + p.Name, Why: exited(s.Name, t) + " soon after its start", Pod: p, Container: s.Name, Previous: previous}
}

// Termination returns how a container ended last; previous reports whether it has been restarted
// since. It is nil for one that has never ended.
func Termination(s *corev1.ContainerStatus) (t *corev1.ContainerStateTerminated, previous bool) {
	if s.State.Terminated != nil {
		return s.State.Terminated, false
	}
	return s.LastTerminationState.Terminated, true
}

// exited says how a container ended.
func exited(name string, t *corev1.ContainerStateTerminated) string {
	reason := t.Reason
	if reason == "" {
		reason = "Error"
	}
	return fmt.Sprintf("container %s ended with exit code %d (%s)", name, t.ExitCode, reason)
}

// unschedulable is a failure once it has lasted: a node may be a moment late.
func unschedulable(p *corev1.Pod, now time.Time) *Failure {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable && now.Sub(c.LastTransitionTime.Time) >= Patience {
			return &Failure{What: "pod/" + p.Name, Why: Reason(c.Reason, c.Message), Pod: p}
		}
	}
	return nil
}

// Statuses are the states of a pod's init containers, then of its regular ones.
func Statuses(p *corev1.Pod) []corev1.ContainerStatus {
	return slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses)
}

// Reason joins a reason and its message on one line.
func Reason(reason, message string) string {
	message = OneLine(message)
	switch {
	case reason == "":
		return message
	case message == "":
		return reason
	}
	return reason + ": " + message
}

// OneLine replaces all white space by single spaces.
func OneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
