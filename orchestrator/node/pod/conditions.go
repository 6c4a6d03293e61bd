package pod

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"skiff/manifests/podfacts"
)

// ownConditions are the conditions that the node agent writes. Others belong to somebody else.
var ownConditions = []corev1.PodConditionType{
	corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled,
	corev1.AllContainersRestarting, corev1.PodResizePending, corev1.PodResizeInProgress,
}

// conditions are the pod's conditions, given the rest of its new status
// (k8s.io/kubernetes/pkg/kubelet/status/generate.go).
func (v *View) conditions(s *corev1.PodStatus) []corev1.PodCondition {
	old := v.Pod.Status.Conditions
	var out []corev1.PodCondition
	for _, c := range old {
		if !slices.Contains(ownConditions, c.Type) {
			out = append(out, c)
		}
	}
	ready := v.containersReady(s)
	own := []corev1.PodCondition{
		v.readyToStart(s), v.initializedCondition(s), v.podReady(ready, out), ready,
		{Type: corev1.PodScheduled, Status: corev1.ConditionTrue},
	}
	if RestartsAll(&v.Pod.Spec) {
		own = append(own, v.restartingAll(s.Phase))
	}
	for _, c := range own {
		c.ObservedGeneration = v.Pod.Generation
		c.LastTransitionTime = transition(old, c, APITime(v.Now))
		out = append(out, c)
	}
	return append(out, v.resizeConditions(s)...)
}

// transition is when the condition got its present status.
func transition(old []corev1.PodCondition, c corev1.PodCondition, now metav1.Time) metav1.Time {
	for _, before := range old {
		if before.Type == c.Type && before.Status == c.Status && !before.LastTransitionTime.IsZero() {
			return before.LastTransitionTime
		}
	}
	return now
}

// readyToStart reports whether the pod has its network.
func (v *View) readyToStart(s *corev1.PodStatus) corev1.PodCondition {
	c := corev1.PodCondition{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionFalse}
	if !isTerminal(s.Phase) && v.networkUp() {
		c.Status = corev1.ConditionTrue
	}
	return c
}

func (v *View) initializedCondition(s *corev1.PodStatus) corev1.PodCondition {
	c := corev1.PodCondition{Type: corev1.PodInitialized, Status: corev1.ConditionTrue}
	if s.Phase == corev1.PodSucceeded {
		c.Reason = "PodCompleted"
		return c
	}
	if v.everInitialized(s) {
		return c
	}
	var incomplete []string
	for i := range v.Pod.Spec.InitContainers {
		status := &s.InitContainerStatuses[i]
		done := status.Ready
		if podfacts.IsSidecar(&v.Pod.Spec.InitContainers[i]) {
			done = ptr.Deref(status.Started, false)
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

// containersReady reports whether all regular containers and sidecars are ready.
func (v *View) containersReady(s *corev1.PodStatus) corev1.PodCondition {
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
		if podfacts.IsSidecar(&v.Pod.Spec.InitContainers[i]) && !status.Ready {
			unready = append(unready, status.Name)
		}
	}
	for i := range v.Pod.Spec.Containers {
		if name := v.Pod.Spec.Containers[i].Name; !FindStatus(s.ContainerStatuses, name).Ready {
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

// podReady reports whether the containers are ready and the conditions of all readiness gates are
// true.
func (v *View) podReady(containers corev1.PodCondition, others []corev1.PodCondition) corev1.PodCondition {
	c := containers
	c.Type = corev1.PodReady
	if c.Status != corev1.ConditionTrue {
		return c
	}
	var shut []string
	for _, gate := range v.Pod.Spec.ReadinessGates {
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
