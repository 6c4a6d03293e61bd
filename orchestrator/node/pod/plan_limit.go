package pod

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"skiff/docker"
)

// limitTaken reports whether the engine takes a container's memory limit. A limit below the
// engine's floor is refused once: nothing but another limit can help, and a resize brings that.
func (p *planner) limitTaken(c *corev1.Container) bool {
	pod := p.Allocated()
	limits := Limits(pod, FindContainer(&pod.Spec, c.Name))
	limit := limits.Memory().Value()
	if limit == 0 || limit >= docker.MinMemory {
		return true
	}
	message := fmt.Sprintf("set memory limit %d too low; should be at least %d bytes", limit, docker.MinMemory)
	if f := p.startFailure(c); f != nil && f.Message == message {
		return false
	}
	p.others = append(p.others, Step{
		Do: DoRefuse, Container: c.Name, cause: message,
		StartFailure: StartFailure{Reason: ReasonCreateError, Message: message, Image: c.Image},
		Events:       []Event{{corev1.EventTypeWarning, "Failed", "Error: " + message}},
	})
	return false
}
