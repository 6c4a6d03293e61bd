package pod

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Resize is the state of a resize of the pod, as far as the node agent has come with it.
type Resize struct {
	// Pending is why the node can't accept what the pod asks for now, nil if it has.
	Pending *PendingResize
	// Started is the pod's generation for which a resize was accepted that is not over yet, 0 if there
	// is none.
	Started int64
	// Failed is why it could not be carried out, and when to try again.
	Failed      string
	FailedUntil time.Time
}

// PendingResize is a resize that the node can't accept: Deferred until there is room, or Infeasible.
type PendingResize struct {
	Reason, Message string
	// Generation is the pod's when that was found.
	Generation int64
}

// RecallResize is how far an earlier daemon had come with a resize, as the pod's status shows it.
func RecallResize(p *corev1.Pod) Resize {
	var r Resize
	for _, c := range p.Status.Conditions {
		switch c.Type {
		case corev1.PodResizePending:
			r.Pending = &PendingResize{Reason: c.Reason, Message: c.Message, Generation: c.ObservedGeneration}
		case corev1.PodResizeInProgress:
			r.Started = c.ObservedGeneration
		}
	}
	return r
}

// ResizeKey is the key of the resize of a container among the operations: it must not keep the container
// from being stopped.
func ResizeKey(container string) string { return "resize:" + container }

// Allocated is the pod with the resources that the node has allocated, from which its containers are
// made.
func (v *View) Allocated() *corev1.Pod { return v.Allocation.Apply(v.Pod) }

// Effective are a container's requirements: what it asks for, and what the pod does for it.
func Effective(p *corev1.Pod, c *corev1.Container) corev1.ResourceRequirements {
	return corev1.ResourceRequirements{Requests: Requests(p, c), Limits: Limits(p, c)}
}

// outgrown are the resources of which a running container has other amounts than are allocated.
func (v *View) outgrown(name string) []corev1.ResourceName {
	a := v.Latest(name)
	if !a.Running() || a.Resources == nil {
		return nil
	}
	p := v.Allocated()
	want := Effective(p, FindContainer(&p.Spec, name))
	return changedResources(&want, a.Resources)
}

// Resizing reports whether a container has other resources than are allocated.
func (v *View) Resizing() bool {
	return slices.ContainsFunc(append(containersOf(v.Pod.Spec.InitContainers), containersOf(v.Pod.Spec.Containers)...), func(c *corev1.Container) bool {
		return len(v.outgrown(c.Name)) > 0
	})
}

// causeResize is why a container is stopped whose resources can't be changed while it runs.
const causeResize = "its resize requires a restart"

// resize gives a running container the resources that are allocated: while it runs, or by a restart if
// its resizePolicy wants that.
func (p *planner) resize(c *corev1.Container, a *Attempt) {
	changed := p.outgrown(c.Name)
	if len(changed) == 0 || p.busy(ResizeKey(c.Name)) {
		return
	}
	if slices.ContainsFunc(c.ResizePolicy, func(r corev1.ContainerResizePolicy) bool {
		return r.RestartPolicy == corev1.RestartContainer && slices.Contains(changed, r.ResourceName)
	}) {
		p.kill(a, p.Grace(), Step{cause: causeResize, StopCause: causeResize, Message: fmt.Sprintf("Container %s resize requires restart", c.Name)})
		return
	}
	if p.Resize.FailedUntil.After(p.Now) {
		p.waitUntil(p.Resize.FailedUntil, "the resize failed: "+p.Resize.Failed)
		return
	}
	p.others = append(p.others, Step{Do: DoResize, Container: c.Name, ID: a.ID, Attempt: a.Number, cause: strings.Join(words(changed), " and ") + " changed"})
}

func words[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = string(w)
	}
	return out
}

// deferredRetry is how long a deferred resize waits at most before the node is looked at again. When
// another pod goes, that happens at once.
const deferredRetry = 3 * time.Minute

// deferred waits for room for a resize.
func (p *planner) deferred() {
	if r := p.Resize.Pending; r != nil && r.Reason == corev1.PodReasonDeferred {
		p.waitUntil(p.Now.Add(deferredRetry), "the resize is deferred: "+r.Message)
	}
}

// resizeConditions are the conditions of a resize that is not over
// (k8s.io/kubernetes/pkg/kubelet/status/status_manager.go).
func (v *View) resizeConditions(s *corev1.PodStatus) []corev1.PodCondition {
	if isTerminal(s.Phase) {
		return nil
	}
	var out []corev1.PodCondition
	add := func(kind corev1.PodConditionType, reason, message string, generation int64) {
		c := corev1.PodCondition{
			Type: kind, Status: corev1.ConditionTrue, Reason: reason, Message: message, ObservedGeneration: generation,
			LastTransitionTime: APITime(v.Now),
		}
		for _, before := range v.Pod.Status.Conditions {
			if before.Type == kind && before.Reason == reason && !before.LastTransitionTime.IsZero() {
				c.LastTransitionTime = before.LastTransitionTime
			}
		}
		out = append(out, c)
	}
	if p := v.Resize.Pending; p != nil {
		add(corev1.PodResizePending, p.Reason, p.Message, p.Generation)
	}
	if v.Resize.Started != 0 {
		reason := ""
		if v.Resize.Failed != "" {
			reason = corev1.PodReasonError
		}
		add(corev1.PodResizeInProgress, reason, v.Resize.Failed, v.Resize.Started)
	}
	return out
}

// ResizeSummary is a resize as kubelet's events have it
// (k8s.io/kubernetes/pkg/kubelet/events/resize.go): the pod's containers with their resources.
func ResizeSummary(p *corev1.Pod, generation int64, failure string) string {
	type container struct {
		Name      string                      `json:"name"`
		Resources corev1.ResourceRequirements `json:"resources"`
	}
	var summary struct {
		InitContainers []container `json:"initContainers,omitempty"`
		Containers     []container `json:"containers,omitempty"`
		Generation     int64       `json:"generation"`
		Error          string      `json:"error,omitempty"`
	}
	for _, c := range p.Spec.InitContainers {
		summary.InitContainers = append(summary.InitContainers, container{c.Name, c.Resources})
	}
	for _, c := range p.Spec.Containers {
		summary.Containers = append(summary.Containers, container{c.Name, c.Resources})
	}
	summary.Generation, summary.Error = generation, failure
	text, err := json.Marshal(summary)
	if err != nil {
		return fmt.Sprintf("generation %d", generation) // names and quantities always can be
	}
	return string(text)
}
