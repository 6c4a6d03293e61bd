package pod

import (
	"cmp"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"skiff/docker"
)

// Seed completes the attempts found on the engine with what the pod's status says: attempts of
// which the engine has no trace, and what an earlier daemon knew about the others.
func (all Attempts) Seed(p *corev1.Pod) {
	all.seedSandbox(p)
	sandbox := 0
	if a := all.Latest(SandboxName); a != nil {
		sandbox = a.Number
	}
	for _, list := range [][]corev1.ContainerStatus{
		p.Status.InitContainerStatuses, p.Status.ContainerStatuses, p.Status.EphemeralContainerStatuses,
	} {
		for i := range list {
			all.seedContainer(p, &list[i], sandbox)
		}
	}
}

// seedSandbox stands in for a sandbox that is gone: the labels of its containers have its number.
func (all Attempts) seedSandbox(p *corev1.Pod) {
	if !NeedsSandbox(&p.Spec) || len(all[SandboxName]) > 0 || len(all) == 0 {
		return
	}
	lost := &Attempt{Removed: true, Settled: true, Adopted: true}
	for _, attempts := range all {
		for _, a := range attempts {
			lost.Number = max(lost.Number, a.Sandbox)
		}
	}
	lost.Sandbox, lost.ExitCode = lost.Number, ExitKilled
	lost.State = docker.Exited
	lost.Labels = map[string]string{LabelContainer: SandboxName}
	all[SandboxName] = []*Attempt{lost}
}

func (all Attempts) seedContainer(p *corev1.Pod, s *corev1.ContainerStatus, sandbox int) {
	c := FindContainer(&p.Spec, s.Name)
	if c == nil {
		return
	}
	if len(all[s.Name]) == 0 {
		if lost := lostAttempt(c, s); lost != nil {
			lost.Sandbox, lost.Round = sandbox, all.round()
			all.insert(lost)
		}
		return
	}
	all.seedPrevious(c, s, sandbox)
	all.seedNewest(c, s, sandbox)
	for _, a := range all[s.Name] {
		if s.ContainerID == a.ContainerID() {
			a.StatusImageID = cmp.Or(s.ImageID, a.StatusImageID)
			a.Resources = recallGiven(p, c, s)
		}
		for _, end := range []*corev1.ContainerStateTerminated{s.State.Terminated, s.LastTerminationState.Terminated} {
			if end != nil && end.ContainerID == a.ContainerID() {
				a.Message = end.Message
			}
		}
	}
}

// recallGiven is what a container was given, by its status. What the pod has a part in is not shown
// there: then it counts as given what it asks for.
func recallGiven(p *corev1.Pod, c *corev1.Container, s *corev1.ContainerStatus) *corev1.ResourceRequirements {
	if p.Spec.Resources != nil || s.Resources == nil {
		given := Effective(p, c)
		return &given
	}
	return s.Resources.DeepCopy()
}

// seedNewest adds the newest attempt that the status shows if the engine has only earlier ones.
// Without it, its number would be used again.
func (all Attempts) seedNewest(c *corev1.Container, s *corev1.ContainerStatus, sandbox int) {
	for _, a := range all[s.Name] {
		if a.Number >= int(s.RestartCount) {
			return
		}
	}
	if lost := lostAttempt(c, s); lost != nil {
		lost.Sandbox, lost.Round = sandbox, all.round()
		all.insert(lost)
	}
}

// seedPrevious adds the attempt that the status shows as the last one to end if the engine has no
// trace of it.
func (all Attempts) seedPrevious(c *corev1.Container, s *corev1.ContainerStatus, sandbox int) {
	ended := s.LastTerminationState.Terminated
	number := int(s.RestartCount)
	if s.State.Waiting == nil {
		number--
	}
	if ended == nil || number < 0 {
		return
	}
	for _, a := range all[s.Name] {
		if a.Number == number || a.ContainerID() == ended.ContainerID {
			return
		}
	}
	lost := newLostAttempt(c, s)
	lost.Number, lost.Sandbox, lost.Round = number, sandbox, all.round()
	lost.setEnd(ended)
	all.insert(lost)
}

// lostAttempt is the newest attempt in a container's status, for an engine that has no trace of it;
// nil if the container never ran. If the status does not say how it ended, it counts as killed.
func lostAttempt(c *corev1.Container, s *corev1.ContainerStatus) *Attempt {
	a := newLostAttempt(c, s)
	ended := s.State.Terminated
	if ended == nil && s.State.Waiting != nil {
		ended = s.LastTerminationState.Terminated
	}
	switch {
	case ended != nil:
		a.setEnd(ended)
	case s.State.Running != nil:
		a.ID = strings.TrimPrefix(s.ContainerID, idPrefix)
		a.ExitCode, a.Reason = ExitKilled, reasonUnknown
		a.Message = "The container could not be located when the pod was deleted.  The container used to be Running"
		a.StartedAt = s.State.Running.StartedAt.Time
	default:
		return nil
	}
	return a
}

func newLostAttempt(c *corev1.Container, s *corev1.ContainerStatus) *Attempt {
	return &Attempt{
		Container: docker.Container{Image: s.Image, State: docker.Exited, Labels: map[string]string{LabelContainer: s.Name}},
		Number:    int(s.RestartCount), Hash: SpecHash(c), StatusImageID: s.ImageID, Removed: true, Adopted: true, Settled: true,
	}
}

// setEnd fills in how an attempt ended.
func (a *Attempt) setEnd(end *corev1.ContainerStateTerminated) {
	a.ID = strings.TrimPrefix(end.ContainerID, idPrefix)
	a.ExitCode, a.Reason, a.Message = int(end.ExitCode), end.Reason, end.Message
	a.StartedAt, a.FinishedAt = end.StartedAt.Time, end.FinishedAt.Time
}
