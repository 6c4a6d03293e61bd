package node

import (
	"context"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/docker"
	"skiff/manifests/registry"
)

// adopt takes over the pods that an earlier daemon has left, once its engine's containers are known: what happened to
// them, and their addresses, before any can be given to another pod.
func (a *Agent) adopt() {
	pods := a.pods.ByIndex(registry.IndexNode, a.Name)
	for _, r := range a.allRecords() {
		a.keepAddress(r, r.runningAddress())
	}
	for _, pod := range pods {
		r := a.record(pod.UID, pod.Namespace, pod.Name)
		r.seed(pod)
		if had, err := netip.ParseAddr(pod.Status.PodIP); err == nil && !pod.Spec.HostNetwork && !isTerminal(pod.Status.Phase) {
			a.keepAddress(r, had)
		}
	}
	a.works.start(func(context.Context) {
		if err := a.volumes.sweep(func(uid types.UID) bool { return a.known(uid) != nil }); err != nil {
			a.log.Error("volumes of pods that are gone are left behind", "error", err)
		}
	})
}

// runningAddress is the address of a container of the pod that runs.
func (r *record) runningAddress() netip.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, runs := range r.attempts {
		for _, run := range runs {
			if run.running() && run.IP.IsValid() {
				return run.IP
			}
		}
	}
	return netip.Addr{}
}

// keepAddress lets a pod go on with the address it had.
func (a *Agent) keepAddress(r *record, addr netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.addr.IsValid() || !addr.IsValid() {
		return
	}
	if err := a.Addresses.Reserve(string(r.uid), addr); err != nil {
		a.log.Error("pod can't keep its address", "pod", r.name, "namespace", r.namespace, "address", addr, "error", err)
		return
	}
	r.addr = addr
}

// seed adds to what the engine has of a pod what its status tells: runs of which the engine has no trace, and what was
// known about those it has.
func (r *record) seed(pod *corev1.Pod) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seedSandbox(pod)
	sandbox := 0
	if runs := r.attempts[sandboxName]; len(runs) > 0 {
		sandbox = runs[0].number
	}
	for _, list := range [][]corev1.ContainerStatus{
		pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses, pod.Status.EphemeralContainerStatuses,
	} {
		for i := range list {
			r.seedContainer(pod, &list[i], sandbox)
		}
	}
}

// seedSandbox stands in for a sandbox that is gone: its containers' labels remember it.
func (r *record) seedSandbox(pod *corev1.Pod) {
	if !needsSandbox(&pod.Spec) || len(r.attempts[sandboxName]) > 0 || len(r.attempts) == 0 {
		return
	}
	lost := &attempt{removed: true, settled: true, adopted: true}
	for _, runs := range r.attempts {
		for _, run := range runs {
			lost.number = max(lost.number, run.sandbox)
		}
	}
	lost.sandbox, lost.ExitCode = lost.number, exitKilled
	lost.State = docker.Exited
	lost.Labels = map[string]string{labelContainer: sandboxName}
	r.attempts[sandboxName] = []*attempt{lost}
}

func (r *record) seedContainer(pod *corev1.Pod, s *corev1.ContainerStatus, sandbox int) {
	c := findContainer(&pod.Spec, s.Name)
	if c == nil {
		return
	}
	if len(r.attempts[s.Name]) == 0 {
		if lost := lostRun(c, s); lost != nil {
			lost.sandbox = sandbox
			r.attempts[s.Name] = []*attempt{lost}
		}
		return
	}
	r.seedLast(c, s, sandbox)
	r.seedNewest(c, s, sandbox)
	for _, run := range r.attempts[s.Name] {
		if s.ContainerID == containerID(run) && s.ImageID != "" {
			run.imageID = s.ImageID
		}
		for _, end := range []*corev1.ContainerStateTerminated{s.State.Terminated, s.LastTerminationState.Terminated} {
			if end != nil && end.ContainerID == containerID(run) {
				run.message = end.Message
			}
		}
	}
}

// seedNewest brings back the newest run the status speaks of, if the engine has only earlier ones: otherwise its number would be
// given again.
func (r *record) seedNewest(c *corev1.Container, s *corev1.ContainerStatus, sandbox int) {
	for _, run := range r.attempts[s.Name] {
		if run.number >= int(s.RestartCount) {
			return
		}
	}
	if lost := lostRun(c, s); lost != nil {
		lost.sandbox = sandbox
		r.attempts[s.Name] = trim(insert(r.attempts[s.Name], lost))
	}
}

// seedLast brings back the run that the status shows as the last one to end, if the engine has no trace of it.
func (r *record) seedLast(c *corev1.Container, s *corev1.ContainerStatus, sandbox int) {
	ended := s.LastTerminationState.Terminated
	number := int(s.RestartCount)
	if s.State.Waiting == nil {
		number--
	}
	if ended == nil || number < 0 {
		return
	}
	for _, run := range r.attempts[s.Name] {
		if run.number == number || containerID(run) == ended.ContainerID {
			return
		}
	}
	lost := newLostRun(c, s)
	lost.number, lost.sandbox = number, sandbox
	lost.endedSo(ended)
	r.attempts[s.Name] = trim(insert(r.attempts[s.Name], lost))
}

// lostRun is the newest run an earlier daemon's status speaks of when the engine has no trace of it. The status says when
// it ran; if not what ended it, it counts as killed.
func lostRun(c *corev1.Container, s *corev1.ContainerStatus) *attempt {
	a := newLostRun(c, s)
	ended := s.State.Terminated
	if ended == nil && s.State.Waiting != nil {
		ended = s.LastTerminationState.Terminated
	}
	switch {
	case ended != nil:
		a.endedSo(ended)
	case s.State.Running != nil:
		a.ID = strings.TrimPrefix(s.ContainerID, idPrefix)
		a.ExitCode, a.reason = exitKilled, reasonUnknown
		a.message = "The container could not be located when the pod was deleted.  The container used to be Running"
		a.StartedAt = s.State.Running.StartedAt.Time
	default:
		return nil
	}
	return a
}

func newLostRun(c *corev1.Container, s *corev1.ContainerStatus) *attempt {
	return &attempt{
		Container: docker.Container{Image: s.Image, State: docker.Exited, Labels: map[string]string{labelContainer: s.Name}},
		number:    int(s.RestartCount), hash: specHash(c), imageID: s.ImageID, removed: true, adopted: true, settled: true,
	}
}

// endedSo fills in how a run ended.
func (a *attempt) endedSo(end *corev1.ContainerStateTerminated) {
	a.ID = strings.TrimPrefix(end.ContainerID, idPrefix)
	a.ExitCode, a.reason, a.message = int(end.ExitCode), end.Reason, end.Message
	a.StartedAt, a.FinishedAt = end.StartedAt.Time, end.FinishedAt.Time
}
