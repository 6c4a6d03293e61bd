package pod

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"skiff/manifests/podfacts"
)

// unsettled reports whether the engine has yet to say how an attempt ended.
func (v *View) unsettled() bool {
	for _, runs := range v.Attempts {
		for _, a := range runs {
			if !a.Settled && !a.Removed {
				return true
			}
		}
	}
	return false
}

// Publishable reports whether a status can be made from the view. It can't while the engine is
// down, when pods keep the state in which they were last seen, nor while the engine has yet to say
// how an attempt ended.
func (v *View) Publishable() bool { return v.Pod != nil && v.EngineDown == "" && !v.unsettled() }

// Reasons of containers' states, as kubelet writes them.
const (
	reasonCreating     = "ContainerCreating"
	reasonInitializing = "PodInitializing"
	ReasonCrashLoop    = "CrashLoopBackOff"
	reasonUnknown      = "ContainerStatusUnknown"
	ReasonConfigError  = "CreateContainerConfigError"
	ReasonCreateError  = "CreateContainerError"
	ReasonRunError     = "RunContainerError"
	ReasonHookError    = "PostStartHookError"
)

// ReasonHostPortInUse is skiff's reason for a container that waits for a port of the machine.
const ReasonHostPortInUse = "HostPortInUse"

// MakeStatus is the status of a pod by a view of it. What others have written into the present
// status stays, for example conditions that are not kubelet's. It follows
// k8s.io/kubernetes/pkg/kubelet/kubelet_pods.go, generateAPIPodStatus.
func MakeStatus(v *View) corev1.PodStatus {
	old := &v.Pod.Status
	s := *old.DeepCopy()
	s.ObservedGeneration = v.Pod.Generation
	if s.StartTime == nil {
		now := APITime(v.Now)
		s.StartTime = &now
	}
	if s.QOSClass == "" {
		s.QOSClass = QOSClass(&v.Pod.Spec)
	}
	s.InitContainerStatuses = v.containerStatuses(containersOf(v.Pod.Spec.InitContainers), old.InitContainerStatuses)
	s.ContainerStatuses = v.containerStatuses(containersOf(v.Pod.Spec.Containers), old.ContainerStatuses)
	s.EphemeralContainerStatuses = v.containerStatuses(ephemeralOf(v.Pod.Spec.EphemeralContainers), old.EphemeralContainerStatuses)
	slices.SortFunc(s.ContainerStatuses, func(a, b corev1.ContainerStatus) int { return strings.Compare(a.Name, b.Name) })
	v.setAddresses(&s)
	v.setPhase(&s)
	s.Conditions = v.conditions(&s)
	if v.Rejected != nil {
		// Nothing is created for the pod. Clients would show what its containers wait for, and not
		// why it failed.
		s.InitContainerStatuses, s.ContainerStatuses, s.EphemeralContainerStatuses = nil, nil, nil
	}
	return s
}

func (v *View) containerStatuses(list []*corev1.Container, old []corev1.ContainerStatus) []corev1.ContainerStatus {
	if len(list) == 0 {
		return nil
	}
	out := make([]corev1.ContainerStatus, len(list))
	for i, c := range list {
		out[i] = v.containerStatus(c, FindStatus(old, c.Name))
	}
	return out
}

// containerStatus is the status of one container. old is the one that was last written, nil if
// there is none.
func (v *View) containerStatus(c *corev1.Container, old *corev1.ContainerStatus) corev1.ContainerStatus {
	s := corev1.ContainerStatus{Name: c.Name, Image: c.Image, VolumeMounts: mountStatuses(c)}
	s.State.Waiting = &corev1.ContainerStateWaiting{Reason: v.WaitingReason(c)}
	if a := v.Latest(c.Name); a != nil {
		v.showRun(&s, c, a)
	} else if old != nil {
		s.RestartCount, s.LastTerminationState = old.RestartCount, old.LastTerminationState
	}
	v.showWaiting(&s, c, old)
	v.showLost(&s)
	v.showReadiness(&s, c)
	return s
}

// WaitingReason is why a container that has not run yet waits, if nothing is wrong.
func (v *View) WaitingReason(c *corev1.Container) string {
	if len(v.Pod.Spec.InitContainers) > 0 && !v.IsEphemeral(c.Name) {
		return reasonInitializing
	}
	return reasonCreating
}

// showRun shows the newest attempt as the state and the one before as the last state.
func (v *View) showRun(s *corev1.ContainerStatus, c *corev1.Container, a *Attempt) {
	s.RestartCount = int32(a.Number)
	s.Image, s.ImageID = cmp.Or(a.Image, c.Image), a.StatusImageID
	s.ContainerID = a.ContainerID()
	v.showResources(s, c.Name, a)
	s.State = state(a, s.State)
	if runs := v.Attempts[c.Name]; len(runs) > 1 && runs[1].Ended() {
		s.LastTerminationState = state(runs[1], corev1.ContainerState{})
	}
}

// showResources shows what is allocated to a container and what it has. One that does not run has what
// it will be created with.
func (v *View) showResources(s *corev1.ContainerStatus, name string, a *Attempt) {
	p := v.Allocated()
	c := FindContainer(&p.Spec, name)
	s.Resources = c.Resources.DeepCopy()
	s.AllocatedResources = c.Resources.Requests.DeepCopy()
	// Of requirements that the pod has a part in, the container's own are not told apart.
	if a.Running() && a.Resources != nil && p.Spec.Resources == nil {
		s.Resources.Requests = resized(s.Resources.Requests, a.Resources.Requests)
		s.Resources.Limits = resized(s.Resources.Limits, a.Resources.Limits)
	}
}

// state is an attempt's state; waiting is what to show for one that was never started.
func state(a *Attempt, waiting corev1.ContainerState) corev1.ContainerState {
	switch {
	case a.Running():
		return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: APITime(a.StartedAt)}}
	case a.NeverStarted():
		return waiting
	}
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode:    a.exitCode(),
		Reason:      endReason(a),
		Message:     endMessage(a),
		StartedAt:   APITime(a.StartedAt),
		FinishedAt:  APITime(a.endedAt()),
		ContainerID: a.ContainerID(),
	}}
}

// endReason is containerd's reason for how a container ended.
func endReason(a *Attempt) string {
	switch {
	case a.Reason != "":
		return a.Reason
	case a.failedToStart():
		return "StartError"
	case a.OOMKilled:
		return "OOMKilled"
	case a.exitCode() == 0:
		return "Completed"
	}
	return "Error"
}

func endMessage(a *Attempt) string {
	if a.failedToStart() {
		return a.Error
	}
	return a.Message
}

// showWaiting shows a container as waiting if it will run but something delays that. It stays
// waiting while a start is under way: a container that keeps crashing would otherwise alternate
// between terminated and waiting.
func (v *View) showWaiting(s *corev1.ContainerStatus, c *corev1.Container, old *corev1.ContainerStatus) {
	var waiting *corev1.ContainerStateWaiting
	switch {
	case v.Doing(c.Name, TaskHook):
		waiting = &corev1.ContainerStateWaiting{Reason: v.WaitingReason(c)}
	case s.State.Running != nil || !v.WillRun(c):
		return
	case !v.crashedUntil(c.Name).IsZero():
		waiting = v.crashLoop(c)
	case v.startFailure(c) != nil:
		f := v.startFailure(c)
		waiting = &corev1.ContainerStateWaiting{Reason: f.Reason, Message: f.Message}
	case v.outOfRound(c.Name):
		waiting = &corev1.ContainerStateWaiting{Reason: reasonNextRound, Message: causeNextRound}
	case v.portInUse() != nil:
		waiting = v.portInUse()
	case v.Operations[c.Name].Progress != "":
		waiting = &corev1.ContainerStateWaiting{Reason: v.WaitingReason(c), Message: v.Operations[c.Name].Progress}
	case v.busy(c.Name) && old != nil && old.State.Waiting != nil:
		waiting = old.State.Waiting.DeepCopy()
	default:
		return
	}
	if s.State.Terminated != nil {
		s.LastTerminationState = s.State
	}
	s.State = corev1.ContainerState{Waiting: waiting}
}

// portInUse is what the containers of a pod show whose sandbox waits for a port of the machine, nil
// if it doesn't. Other reasons for which there is no sandbox are events only, as with kubelet.
func (v *View) portInUse() *corev1.ContainerStateWaiting {
	f, ok := v.StartFailures[SandboxName]
	if !ok || f.Reason != ReasonHostPortInUse {
		return nil
	}
	return &corev1.ContainerStateWaiting{Reason: f.Reason, Message: f.Message}
}

func (v *View) crashLoop(c *corev1.Container) *corev1.ContainerStateWaiting {
	return &corev1.ContainerStateWaiting{
		Reason:  ReasonCrashLoop,
		Message: fmt.Sprintf("back-off %s restarting failed container=%s pod=%s", v.Backoffs[c.Name].Delay, c.Name, Format(v.Pod)),
	}
}

// WillRun reports whether a container that does not run is going to run.
func (v *View) WillRun(c *corev1.Container) bool {
	if v.Pod.DeletionTimestamp != nil || podfacts.Terminal(v.Pod) || v.PastDeadline() {
		return false
	}
	a := v.Latest(c.Name)
	return a == nil || a.NeverStarted() || v.restarts(c, a) || v.outOfRound(c.Name)
}

// showLost shows containers as terminated that still wait when their pod is about to be deleted
// (k8s.io/kubernetes/pkg/kubelet/status/status_manager.go, TerminatePod).
func (v *View) showLost(s *corev1.ContainerStatus) {
	over := v.Pod.DeletionTimestamp != nil && len(v.live()) == 0 && !v.working()
	if !over || s.State.Waiting == nil || v.isInit(s.Name) || len(v.Pod.Spec.InitContainers) > 0 && !v.initialized() {
		return
	}
	s.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: ExitKilled,
		Reason:   reasonUnknown,
		Message:  "The container could not be located when the pod was terminated",
	}}
}

// showReadiness sets started and ready (k8s.io/kubernetes/pkg/kubelet/prober/prober_manager.go,
// UpdatePodStatus).
func (v *View) showReadiness(s *corev1.ContainerStatus, c *corev1.Container) {
	if v.IsEphemeral(c.Name) {
		return
	}
	started := s.State.Running != nil && v.started(c)
	s.Started = &started
	if v.isInit(c.Name) && !podfacts.IsSidecar(c) {
		s.Ready = s.State.Terminated != nil && s.State.Terminated.ExitCode == 0
		return
	}
	s.Ready = started && v.ready(c)
}

// mountStatuses are a container's mounts as its status shows them.
func mountStatuses(c *corev1.Container) []corev1.VolumeMountStatus {
	var out []corev1.VolumeMountStatus
	for _, m := range c.VolumeMounts {
		s := corev1.VolumeMountStatus{Name: m.Name, MountPath: m.MountPath, ReadOnly: m.ReadOnly}
		if m.ReadOnly {
			disabled := corev1.RecursiveReadOnlyDisabled
			s.RecursiveReadOnly = &disabled
		}
		out = append(out, s)
	}
	return out
}

// setAddresses sets the node's and the pod's IP. A pod that has ended keeps its IP.
func (v *View) setAddresses(s *corev1.PodStatus) {
	s.HostIP = v.HostIP
	s.HostIPs = nil
	if v.HostIP != "" {
		s.HostIPs = []corev1.HostIP{{IP: v.HostIP}}
	}
	ip := ""
	switch {
	case v.Pod.Spec.HostNetwork:
		ip = v.HostIP
	case v.Addr.IsValid() && v.networkUp():
		ip = v.Addr.String()
	}
	if ip != "" && ip != s.PodIP {
		s.PodIP, s.PodIPs = ip, []corev1.PodIP{{IP: ip}}
	}
}

// networkUp reports whether the pod has its network: its sandbox runs, or its only container has
// run. A restart gives that container the same network.
func (v *View) networkUp() bool {
	if v.NeedsSandbox() {
		return v.Latest(SandboxName).Running()
	}
	for i := range v.Pod.Spec.Containers {
		if a := v.Latest(v.Pod.Spec.Containers[i].Name); a != nil && !a.NeverStarted() {
			return true
		}
	}
	return false
}
