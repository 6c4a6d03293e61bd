package node

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Reasons of containers' states, as kubelet writes them.
const (
	reasonCreating     = "ContainerCreating"
	reasonInitializing = "PodInitializing"
	reasonCrashLoop    = "CrashLoopBackOff"
	reasonUnknown      = "ContainerStatusUnknown"
	reasonConfigError  = "CreateContainerConfigError"
	reasonCreateError  = "CreateContainerError"
	reasonRunError     = "RunContainerError"
	reasonHookError    = "PostStartHookError"
)

// podStatus is the status of a pod as the view shows it. What others have written into the present status (conditions
// that are not kubelet's, for one) stays. It follows k8s.io/kubernetes/pkg/kubelet/kubelet_pods.go, generateAPIPodStatus.
func podStatus(v *view) corev1.PodStatus {
	old := &v.pod.Status
	s := *old.DeepCopy()
	s.ObservedGeneration = v.pod.Generation
	if s.StartTime == nil {
		now := apiTime(v.now)
		s.StartTime = &now
	}
	if s.QOSClass == "" {
		s.QOSClass = qosClass(&v.pod.Spec)
	}
	s.InitContainerStatuses = v.containerStatuses(containersOf(v.pod.Spec.InitContainers), old.InitContainerStatuses)
	s.ContainerStatuses = v.containerStatuses(containersOf(v.pod.Spec.Containers), old.ContainerStatuses)
	s.EphemeralContainerStatuses = v.containerStatuses(ephemeralOf(v.pod.Spec.EphemeralContainers), old.EphemeralContainerStatuses)
	slices.SortFunc(s.ContainerStatuses, func(a, b corev1.ContainerStatus) int { return strings.Compare(a.Name, b.Name) })
	v.setAddresses(&s)
	v.setPhase(&s)
	s.Conditions = v.conditions(&s)
	return s
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

func (v *view) containerStatuses(list []*corev1.Container, old []corev1.ContainerStatus) []corev1.ContainerStatus {
	if len(list) == 0 {
		return nil
	}
	out := make([]corev1.ContainerStatus, len(list))
	for i, c := range list {
		out[i] = v.containerStatus(c, findStatus(old, c.Name))
	}
	return out
}

func findStatus(list []corev1.ContainerStatus, name string) *corev1.ContainerStatus {
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}

// containerStatus is one container's status; old is the one that was written last, nil if there is none.
func (v *view) containerStatus(c *corev1.Container, old *corev1.ContainerStatus) corev1.ContainerStatus {
	s := corev1.ContainerStatus{Name: c.Name, Image: c.Image, VolumeMounts: mountStatuses(c)}
	s.State.Waiting = &corev1.ContainerStateWaiting{Reason: v.waitingReason(c)}
	if a := v.latest(c.Name); a != nil {
		v.showRun(&s, c, a)
	} else if old != nil {
		s.RestartCount, s.LastTerminationState = old.RestartCount, old.LastTerminationState
	}
	v.showWaiting(&s, c, old)
	v.showLost(&s)
	v.showReadiness(&s, c)
	return s
}

func (v *view) waitingReason(c *corev1.Container) string {
	if len(v.pod.Spec.InitContainers) > 0 && !v.isEphemeral(c.Name) {
		return reasonInitializing
	}
	return reasonCreating
}

// showRun writes the newest run as the state, and the one before as the last state.
func (v *view) showRun(s *corev1.ContainerStatus, c *corev1.Container, a *attempt) {
	s.RestartCount = int32(a.number)
	s.Image, s.ImageID = cmp.Or(a.Image, c.Image), a.imageID
	s.ContainerID = containerID(a)
	s.Resources = c.Resources.DeepCopy()
	s.AllocatedResources = c.Resources.Requests.DeepCopy()
	s.State = state(a, s.State)
	if runs := v.attempts[c.Name]; len(runs) > 1 && runs[1].ended() {
		s.LastTerminationState = state(runs[1], corev1.ContainerState{})
	}
}

// idPrefix stands before the engine's IDs in the API.
const idPrefix = "docker://"

func containerID(a *attempt) string {
	if a.ID == "" {
		return ""
	}
	return idPrefix + a.ID
}

// state is a run's state; waiting is what to show for one that was never started.
func state(a *attempt, waiting corev1.ContainerState) corev1.ContainerState {
	switch {
	case a.running():
		return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: apiTime(a.StartedAt)}}
	case a.neverStarted():
		return waiting
	}
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode:    a.exitCode(),
		Reason:      endReason(a),
		Message:     endMessage(a),
		StartedAt:   apiTime(a.StartedAt),
		FinishedAt:  apiTime(a.endedAt()),
		ContainerID: containerID(a),
	}}
}

// endReason is containerd's word for how a container ended.
func endReason(a *attempt) string {
	switch {
	case a.reason != "":
		return a.reason
	case a.failedToStart():
		return "StartError"
	case a.OOMKilled:
		return "OOMKilled"
	case a.exitCode() == 0:
		return "Completed"
	}
	return "Error"
}

func endMessage(a *attempt) string {
	if a.failedToStart() {
		return a.Error
	}
	return a.message
}

// showWaiting shows a container as waiting if it will run (again) and something keeps it from it. While a start is under
// way that stays: a container that crashes each time would else be shown as ended and waiting by turns.
func (v *view) showWaiting(s *corev1.ContainerStatus, c *corev1.Container, old *corev1.ContainerStatus) {
	var waiting *corev1.ContainerStateWaiting
	switch {
	case v.doing(c.Name, taskHook):
		waiting = &corev1.ContainerStateWaiting{Reason: v.waitingReason(c)}
	case s.State.Running != nil || !v.willRun(c):
		return
	case !v.crashedUntil(c.Name).IsZero():
		waiting = v.crashLoop(c)
	case v.failure(c) != nil:
		f := v.failure(c)
		waiting = &corev1.ContainerStateWaiting{Reason: f.reason, Message: f.message}
	case v.works[c.Name].progress != "":
		waiting = &corev1.ContainerStateWaiting{Reason: v.waitingReason(c), Message: v.works[c.Name].progress}
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

func (v *view) crashLoop(c *corev1.Container) *corev1.ContainerStateWaiting {
	return &corev1.ContainerStateWaiting{
		Reason:  reasonCrashLoop,
		Message: fmt.Sprintf("back-off %s restarting failed container=%s pod=%s", v.crashes[c.Name].delay, c.Name, podText(v.pod)),
	}
}

// podText is a pod as kubelet's messages name it (k8s.io/kubernetes/pkg/kubelet/util/format/pod.go).
func podText(pod *corev1.Pod) string {
	return fmt.Sprintf("%s_%s(%s)", pod.Name, pod.Namespace, pod.UID)
}

// willRun tells whether a container that does not run is going to.
func (v *view) willRun(c *corev1.Container) bool {
	if v.pod.DeletionTimestamp != nil || isTerminal(v.pod.Status.Phase) || v.pastDeadline() {
		return false
	}
	a := v.latest(c.Name)
	return a == nil || a.neverStarted() || v.restarts(c, a)
}

// showLost ends, in the status of a pod that is about to go, the containers that have nothing to show for themselves:
// nobody may take them for waiting (k8s.io/kubernetes/pkg/kubelet/status/status_manager.go, TerminatePod).
func (v *view) showLost(s *corev1.ContainerStatus) {
	over := v.pod.DeletionTimestamp != nil && len(v.live()) == 0 && !v.working()
	if !over || s.State.Waiting == nil || v.isInit(s.Name) || len(v.pod.Spec.InitContainers) > 0 && !v.initialized() {
		return
	}
	s.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: exitKilled,
		Reason:   reasonUnknown,
		Message:  "The container could not be located when the pod was terminated",
	}}
}

// showReadiness writes started and ready (k8s.io/kubernetes/pkg/kubelet/prober/prober_manager.go, UpdatePodStatus).
func (v *view) showReadiness(s *corev1.ContainerStatus, c *corev1.Container) {
	if v.isEphemeral(c.Name) {
		return
	}
	started := s.State.Running != nil && v.started(c)
	s.Started = &started
	if v.isInit(c.Name) && !isSidecar(c) {
		s.Ready = s.State.Terminated != nil && s.State.Terminated.ExitCode == 0
		return
	}
	s.Ready = started && v.ready(c)
}

// mountStatuses repeats the mounts as the API has them in a status.
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

// setAddresses writes the node's and the pod's IP. A pod keeps showing its IP when it has ended.
func (v *view) setAddresses(s *corev1.PodStatus) {
	s.HostIP = v.hostIP
	s.HostIPs = nil
	if v.hostIP != "" {
		s.HostIPs = []corev1.HostIP{{IP: v.hostIP}}
	}
	ip := ""
	switch {
	case v.pod.Spec.HostNetwork:
		ip = v.hostIP
	case v.addr.IsValid() && v.networkUp():
		ip = v.addr.String()
	}
	if ip != "" && ip != s.PodIP {
		s.PodIP, s.PodIPs = ip, []corev1.PodIP{{IP: ip}}
	}
}

// networkUp tells whether the pod's network is there: its sandbox runs, or its one container has run, which a restart
// will give the same network.
func (v *view) networkUp() bool {
	if v.needsSandbox() {
		return v.latest(sandboxName).running()
	}
	for i := range v.pod.Spec.Containers {
		if a := v.latest(v.pod.Spec.Containers[i].Name); a != nil && !a.neverStarted() {
			return true
		}
	}
	return false
}
