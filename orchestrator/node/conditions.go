package node

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ownConditions are the conditions the node agent writes; all others are somebody else's.
var ownConditions = []corev1.PodConditionType{
	corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled,
}

// conditions are the pod's conditions, given the rest of its new status
// (k8s.io/kubernetes/pkg/kubelet/status/generate.go).
func (v *view) conditions(s *corev1.PodStatus) []corev1.PodCondition {
	old := v.pod.Status.Conditions
	var out []corev1.PodCondition
	for _, c := range old {
		if !slices.Contains(ownConditions, c.Type) {
			out = append(out, c)
		}
	}
	ready := v.containersReady(s)
	for _, c := range []corev1.PodCondition{
		v.readyToStart(s), v.initializedCondition(s), v.podReady(ready, out), ready,
		{Type: corev1.PodScheduled, Status: corev1.ConditionTrue},
	} {
		c.ObservedGeneration = v.pod.Generation
		c.LastTransitionTime = transition(old, c, apiTime(v.now))
		out = append(out, c)
	}
	return out
}

// transition is when the condition last got the status it has.
func transition(old []corev1.PodCondition, c corev1.PodCondition, now metav1.Time) metav1.Time {
	for _, before := range old {
		if before.Type == c.Type && before.Status == c.Status && !before.LastTransitionTime.IsZero() {
			return before.LastTransitionTime
		}
	}
	return now
}

// readyToStart tells whether the pod's network is there.
func (v *view) readyToStart(s *corev1.PodStatus) corev1.PodCondition {
	c := corev1.PodCondition{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionFalse}
	if !isTerminal(s.Phase) && v.networkUp() {
		c.Status = corev1.ConditionTrue
	}
	return c
}

func (v *view) initializedCondition(s *corev1.PodStatus) corev1.PodCondition {
	c := corev1.PodCondition{Type: corev1.PodInitialized, Status: corev1.ConditionTrue}
	if s.Phase == corev1.PodSucceeded {
		c.Reason = "PodCompleted"
		return c
	}
	if v.everInitialized(s) {
		return c
	}
	var incomplete []string
	for i := range v.pod.Spec.InitContainers {
		status := &s.InitContainerStatuses[i]
		done := status.Ready
		if isSidecar(&v.pod.Spec.InitContainers[i]) {
			done = isTrue(status.Started)
		}
		if !done {
			incomplete = append(incomplete, status.Name)
		}
	}
	if len(incomplete) > 0 {
		c.Status, c.Reason = corev1.ConditionFalse, "ContainersNotInitialized"
		c.Message = fmt.Sprintf("containers with incomplete status: %s", incomplete)
	}
	return c
}

// containersReady tells whether all containers that run on are ready.
func (v *view) containersReady(s *corev1.PodStatus) corev1.PodCondition {
	c := corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionFalse}
	switch s.Phase {
	case corev1.PodSucceeded:
		c.Reason = "PodCompleted"
		return c
	case corev1.PodFailed:
		c.Reason = "PodFailed"
		return c
	}
	var unready []string
	for i, status := range s.InitContainerStatuses {
		if isSidecar(&v.pod.Spec.InitContainers[i]) && !status.Ready {
			unready = append(unready, status.Name)
		}
	}
	for i := range v.pod.Spec.Containers {
		if name := v.pod.Spec.Containers[i].Name; !findStatus(s.ContainerStatuses, name).Ready {
			unready = append(unready, name)
		}
	}
	if len(unready) > 0 {
		c.Reason = "ContainersNotReady"
		c.Message = fmt.Sprintf("containers with unready status: %s", unready)
		return c
	}
	c.Status = corev1.ConditionTrue
	return c
}

// podReady is the containers' readiness and that of the gates, which others open in the pod's conditions.
func (v *view) podReady(containers corev1.PodCondition, others []corev1.PodCondition) corev1.PodCondition {
	c := containers
	c.Type = corev1.PodReady
	if c.Status != corev1.ConditionTrue {
		return c
	}
	var shut []string
	for _, gate := range v.pod.Spec.ReadinessGates {
		i := slices.IndexFunc(others, func(o corev1.PodCondition) bool { return o.Type == gate.ConditionType })
		switch {
		case i < 0:
			shut = append(shut, fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist.", gate.ConditionType))
		case others[i].Status != corev1.ConditionTrue:
			shut = append(shut, fmt.Sprintf("the status of pod readiness gate %q is not \"True\", but %v", gate.ConditionType, others[i].Status))
		}
	}
	if len(shut) > 0 {
		c.Status, c.Reason, c.Message = corev1.ConditionFalse, "ReadinessGatesNotReady", strings.Join(shut, ", ")
	}
	return c
}
