// Package pod decides what a pod needs and what its status says. Both follow from a View of the
// pod, and nothing else: the package does no I/O, takes no locks and reads no clock.
package pod

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"skiff/probe"
)

// View is everything that a plan and a status are made from: what the store asks for, what the
// engine has, and what the agent is doing about it, as observed at one moment. It does not change
// afterwards.
type View struct {
	Now time.Time
	// Pod is nil if the object is gone from the store, or is no longer this node's.
	Pod             *corev1.Pod
	UID             types.UID
	Namespace, Name string
	Attempts        Attempts
	// Operations are under way. Starts, stops and pulls are listed under the container's name,
	// removals under the container's ID on the engine, the deletion of the pod under "".
	Operations map[string]Operation
	// StartFailures are the containers whose last start failed, and why.
	StartFailures map[string]StartFailure
	// Backoffs are the crash back-offs by container, and Policy is how they grow.
	Backoffs map[string]Backoff
	Policy   BackoffPolicy
	// Images is what is known about the images of containers that are about to start.
	Images map[string]Image
	// PullFailures are the pulls that failed, by container.
	PullFailures map[string]PullFailure
	// Probes is what the probes of each container's newest attempt have decided.
	Probes map[string]probe.State
	// Addr is the pod's IP, invalid while it has none.
	Addr netip.Addr
	// HostIP is the node's address.
	HostIP string
	// Stale names the objects that have changed since they were written to the pod's volumes.
	Stale []string
	// Rejected is why the node does not admit the pod, nil if it does.
	Rejected *Rejection
	// Allocation is what the node has allocated for the pod, nil for what it asks for, and Resize how far
	// a change of that has come.
	Allocation *Allocation
	Resize     Resize
	// EngineDown is why the engine can't be used, empty if it can. Outage is the number of its last
	// outage.
	EngineDown string
	Outage     int
}

// StartFailure is why a container could not be started, as its status shows it.
type StartFailure struct {
	Reason, Message string
	// Image is the container's image at the time; it may have been changed since.
	Image string
	// Until is when to try again.
	Until time.Time
	// Unmounted says that a volume could not be mounted.
	Unmounted bool
}

// Image is what is known about a container's image. The zero value says that nothing is.
type Image struct {
	// Ref is the reference that the engine has been asked about.
	Ref string
	// ID is what a status shows: the digest in a registry, or the ID on the engine.
	ID string
	// Present says that the engine has it, Local that it has never been in a registry, and Unknown
	// that it counts as local because its origin is not known.
	Present, Local, Unknown bool
	// Doubted says that a start found it missing.
	Doubted bool
	// Pulled says that it has been pulled for this start, or that the pull failed and the engine's
	// own image is used.
	Pulled bool
}

// PullFailure is a pull that failed and when to try again.
type PullFailure struct {
	Ref, Message string
	Until        time.Time
}

// startFailure is why the container's last start failed, or why the image of one of its volumes
// could not be had; nil if neither did or if the image has been changed since.
func (v *View) startFailure(c *corev1.Container) *StartFailure {
	if f, ok := v.StartFailures[c.Name]; ok && f.Image == c.Image {
		return &f
	}
	for _, volume := range MountedImages(v.Pod, c) {
		if f, ok := v.StartFailures[ImageVolumeKey(volume.Name)]; ok && f.Image == volume.Image.Reference {
			return &f
		}
	}
	return nil
}

// Latest is the newest attempt of a container, nil if it never ran.
func (v *View) Latest(name string) *Attempt { return v.Attempts.Latest(name) }

// current is the newest attempt of a container in the present sandbox and round. An attempt in an
// earlier one does not decide whether the container must run now.
func (v *View) current(name string) *Attempt {
	a := v.Latest(name)
	if v.outOfRound(name) {
		return nil
	}
	if a == nil || !v.NeedsSandbox() {
		return a
	}
	if sandbox := v.Latest(SandboxName); sandbox != nil && a.Sandbox != sandbox.Number {
		return nil
	}
	return a
}

// next is the number of a container's next attempt.
func (v *View) next(name string) int {
	if a := v.Latest(name); a != nil {
		return a.Number + 1
	}
	return 0
}

func (v *View) busy(name string) bool {
	_, ok := v.Operations[name]
	return ok
}

// Doing reports whether a task is under way for a container, or for what else operations go by.
func (v *View) Doing(name string, t Task) bool {
	w, ok := v.Operations[name]
	return ok && w.Task == t
}

// starting reports whether a container of the pod is being started. As with kubelet, they start one
// after another: a postStart hook delays the containers behind it.
func (v *View) starting() bool {
	for _, w := range v.Operations {
		if w.Task == TaskStart || w.Task == TaskHook {
			return true
		}
	}
	return false
}

// NeedsSandbox reports whether the pod's containers share a container that only holds their network.
func (v *View) NeedsSandbox() bool { return v.Pod != nil && NeedsSandbox(&v.Pod.Spec) }

// live lists the attempts that run.
func (v *View) live() []*Attempt { return v.filter((*Attempt).Running) }

// onEngine lists the attempts that the engine still has, running or not.
func (v *View) onEngine() []*Attempt {
	return v.filter(func(a *Attempt) bool { return !a.Removed })
}

func (v *View) filter(keep func(*Attempt) bool) []*Attempt {
	var out []*Attempt
	for _, name := range v.names() {
		for _, a := range v.Attempts[name] {
			if keep(a) {
				out = append(out, a)
			}
		}
	}
	return out
}

// names lists the containers that have attempts: those of the pod's manifest in its order, then any
// others, then the sandbox.
func (v *View) names() []string {
	var names []string
	add := func(name string) {
		if len(v.Attempts[name]) > 0 && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if v.Pod != nil {
		for _, c := range AllContainers(&v.Pod.Spec) {
			add(c.Name)
		}
	}
	var others []string
	for name := range v.Attempts {
		if name != SandboxName && !slices.Contains(names, name) {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	for _, name := range others {
		add(name)
	}
	add(SandboxName)
	return names
}

func (v *View) isInit(name string) bool {
	return slices.ContainsFunc(v.Pod.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == name })
}

// IsEphemeral reports whether the pod has an ephemeral container of this name.
func (v *View) IsEphemeral(name string) bool {
	return slices.ContainsFunc(v.Pod.Spec.EphemeralContainers, func(c corev1.EphemeralContainer) bool { return c.Name == name })
}

// initialized reports whether a regular container has run in the present sandbox. The init
// containers have then run too, even if nothing is left of them.
func (v *View) initialized() bool {
	for i := range v.Pod.Spec.Containers {
		if a := v.current(v.Pod.Spec.Containers[i].Name); a != nil && !a.NeverStarted() {
			return true
		}
	}
	return false
}

// started reports whether a running container has passed its startup probe, if it has one.
func (v *View) started(c *corev1.Container) bool {
	if c.StartupProbe == nil {
		return true
	}
	if state, ok := v.Probes[c.Name]; ok {
		return state.Startup == probe.Success
	}
	old := v.Inherited(c.Name)
	return old != nil && ptr.Deref(old.Started, false)
}

// ready reports whether a running container has passed its readiness probe, if it has one.
func (v *View) ready(c *corev1.Container) bool {
	if c.ReadinessProbe == nil {
		return true
	}
	if state, ok := v.Probes[c.Name]; ok {
		return state.Readiness == probe.Success
	}
	old := v.Inherited(c.Name)
	return old != nil && old.Ready
}

// Inherited is what the pod's status says of a container that an earlier daemon started, nil if it
// is about another attempt. Until the prober knows the container, that is what holds.
func (v *View) Inherited(name string) *corev1.ContainerStatus {
	a := v.Latest(name)
	if a == nil || !a.Adopted {
		return nil
	}
	old := FindStatus(v.Pod.Status.ContainerStatuses, name)
	if old == nil {
		old = FindStatus(v.Pod.Status.InitContainerStatuses, name)
	}
	if old == nil || old.ContainerID != a.ContainerID() {
		return nil
	}
	return old
}

// TargetID is the ID of the container whose processes an ephemeral container is to see (kubectl debug
// --target), empty if it names none. The error is kubelet's
// (k8s.io/kubernetes/pkg/kubelet/kuberuntime/kuberuntime_container.go, getTargetID).
func (v *View) TargetID(ephemeral string) (string, error) {
	for i := range v.Pod.Spec.EphemeralContainers {
		c := &v.Pod.Spec.EphemeralContainers[i]
		if c.Name != ephemeral || c.TargetContainerName == "" {
			continue
		}
		if a := v.Latest(c.TargetContainerName); a.Running() {
			return a.ID, nil
		}
		return "", fmt.Errorf("unable to find target container %s", c.TargetContainerName)
	}
	return "", nil
}
