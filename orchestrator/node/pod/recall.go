package pod

import (
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"skiff/docker"
	"skiff/manifests/podfacts"
)

// Recalled is a container in a pod's status, and the spec it was created from as far as that
// matters to an engine in memory.
type Recalled struct {
	Container docker.Container
	Spec      docker.ContainerSpec
}

// Recall returns the containers that a pod has by its status, for an engine that does not outlive
// the daemon. A pod that has ended has none.
func Recall(pod *corev1.Pod) []Recalled {
	if podfacts.Terminal(pod) {
		return nil
	}
	addr, _ := netip.ParseAddr(pod.Status.PodIP) // a pod that has not begun has none
	sandboxed := NeedsSandbox(&pod.Spec)
	var all []Recalled
	for _, list := range [][]corev1.ContainerStatus{
		pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses, pod.Status.EphemeralContainerStatuses,
	} {
		for i := range list {
			if r, ok := recallOne(pod, &list[i]); ok {
				if !sandboxed {
					r.take(addr)
				}
				all = append(all, r)
			}
		}
	}
	if sandboxed && len(all) > 0 {
		labels := ContainerLabels(pod, SandboxName, "", 0, 0)
		sandbox := Recalled{Container: docker.Container{
			ID: "recalled-" + string(pod.UID), Name: ContainerName(pod, SandboxName, 0), Labels: labels,
			State: docker.Running, CreatedAt: pod.CreationTimestamp.Time, StartedAt: pod.CreationTimestamp.Time,
		}}
		sandbox.take(addr)
		all = append(all, sandbox)
	}
	return all
}

func (r *Recalled) take(addr netip.Addr) {
	r.Spec.Network.IP = addr
	if r.Container.State == docker.Running {
		r.Container.IP = addr
	}
}

func recallOne(pod *corev1.Pod, s *corev1.ContainerStatus) (Recalled, bool) {
	c := FindContainer(&pod.Spec, s.Name)
	if c == nil || s.ContainerID == "" || s.State.Waiting != nil {
		return Recalled{}, false
	}
	number := int(s.RestartCount)
	run := docker.Container{
		ID: strings.TrimPrefix(s.ContainerID, idPrefix), Name: ContainerName(pod, s.Name, number), Image: s.Image, ImageID: s.ImageID,
		Labels: ContainerLabels(pod, s.Name, SpecHash(c), number, 0), State: docker.Running,
	}
	switch {
	case s.State.Running != nil:
		run.StartedAt = s.State.Running.StartedAt.Time
	case s.State.Terminated != nil:
		end := s.State.Terminated
		run.State, run.ExitCode = docker.Exited, int(end.ExitCode)
		run.StartedAt, run.FinishedAt = end.StartedAt.Time, end.FinishedAt.Time
	default:
		return Recalled{}, false
	}
	run.CreatedAt = run.StartedAt
	spec := docker.ContainerSpec{Name: run.Name, Image: c.Image, Entrypoint: c.Command, Args: c.Args, Labels: run.Labels}
	for _, e := range c.Env {
		spec.Env = append(spec.Env, e.Name+"="+e.Value)
	}
	return Recalled{Container: run, Spec: spec}, true
}
