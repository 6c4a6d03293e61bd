package table

import (
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

// nodeLost is the reason of a pod whose node is gone (pkg/util/node: NodeUnreachablePodReason).
const nodeLost = "NodeLost"

func podColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(),
		text("Ready", "How many of the pod's containers are ready."),
		text("Status", "What state the pod is in, taken together from its containers."),
		text("Restarts", "How often the pod's containers were restarted, and when the last time was."),
		ageColumn(),
		wide(text("IP", "The pod's address.")),
		wide(text("Node", "The node the pod is bound to.")),
		wide(text("Nominated Node", "The node on which pods of lower priority make room for the pod.")),
		wide(text("Readiness Gates", "How many of the pod's readiness gates are open.")),
	}
}

func podCells(p *corev1.Pod, now time.Time) []any {
	s := summarize(p)
	return []any{
		p.Name, fmt.Sprintf("%d/%d", s.ready, s.containers), s.reason, s.restartsText(now), age(p.CreationTimestamp, now),
		or(firstIP(p), none), or(p.Spec.NodeName, none), or(p.Status.NominatedNodeName, none), readinessGates(p),
	}
}

// conditions tell clients which rows are of pods that have run to their end.
func conditions(obj runtime.Object) []metav1.TableRowCondition {
	p, ok := obj.(*corev1.Pod)
	if !ok {
		return nil
	}
	completed := metav1.TableRowCondition{Type: metav1.RowCompleted, Status: metav1.ConditionTrue}
	switch p.Status.Phase {
	case corev1.PodSucceeded:
		completed.Reason, completed.Message = string(corev1.PodSucceeded), "The pod has completed successfully."
	case corev1.PodFailed:
		completed.Reason, completed.Message = string(corev1.PodFailed), "The pod failed."
	default:
		return nil
	}
	return []metav1.TableRowCondition{completed}
}

// summary is a pod's state in a few words.
type summary struct {
	reason            string
	ready, containers int
	restarts          restarts
	sidecarRestarts   restarts
}

// restarts counts restarts and remembers the end of the run before the latest one.
type restarts struct {
	count int
	last  metav1.Time
}

func (r *restarts) add(s *corev1.ContainerStatus) {
	r.count += int(s.RestartCount)
	if t := s.LastTerminationState.Terminated; t != nil && r.last.Before(&t.FinishedAt) {
		r.last = t.FinishedAt
	}
}

func (s *summary) restartsText(now time.Time) string {
	if s.restarts.count == 0 || s.restarts.last.IsZero() {
		return strconv.Itoa(s.restarts.count)
	}
	return fmt.Sprintf("%d (%s ago)", s.restarts.count, age(s.restarts.last, now))
}

// summarize looks at the pod itself, then its init containers, then its containers: the later, if they have begun, know
// better.
func summarize(p *corev1.Pod) summary {
	s := summary{reason: or(p.Status.Reason, string(p.Status.Phase)), containers: len(p.Spec.Containers)}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonSchedulingGated {
			s.reason = corev1.PodReasonSchedulingGated
		}
	}
	sidecars := sidecarsOf(p)
	s.containers += len(sidecars)
	initializing := s.lookAtInit(p, sidecars)
	if !initializing || hasCondition(p, corev1.PodInitialized) {
		s.lookAtContainers(p)
	}
	if p.DeletionTimestamp != nil {
		s.lookAtDeletion(p)
	}
	return s
}

// sidecarsOf are the names of the init containers that run as long as the pod does.
func sidecarsOf(p *corev1.Pod) map[string]bool {
	var sidecars map[string]bool
	for i := range p.Spec.InitContainers {
		c := &p.Spec.InitContainers[i]
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			if sidecars == nil {
				sidecars = map[string]bool{}
			}
			sidecars[c.Name] = true
		}
	}
	return sidecars
}

// lookAtInit goes through the init containers up to the first that isn't done, and tells whether there is one.
func (s *summary) lookAtInit(p *corev1.Pod, sidecars map[string]bool) (initializing bool) {
	for i := range p.Status.InitContainerStatuses {
		c := &p.Status.InitContainerStatuses[i]
		s.restarts.add(c)
		if sidecars[c.Name] {
			s.sidecarRestarts.add(c)
		}
		switch ended, waits := c.State.Terminated, c.State.Waiting; {
		case ended != nil && ended.ExitCode == 0:
			continue
		case sidecars[c.Name] && c.Started != nil && *c.Started:
			if c.Ready {
				s.ready++
			}
			continue
		case ended != nil:
			s.reason = "Init:" + endReason(ended)
		case waits != nil && waits.Reason != "" && waits.Reason != "PodInitializing":
			s.reason = "Init:" + waits.Reason
		default:
			s.reason = fmt.Sprintf("Init:%d/%d", i, len(p.Spec.InitContainers))
		}
		return true
	}
	return false
}

// lookAtContainers goes through the containers, from last to first: of several reasons the first container's counts.
// Restarts of init containers are of no more interest, other than those of sidecars.
func (s *summary) lookAtContainers(p *corev1.Pod) {
	s.restarts = s.sidecarRestarts
	running, failure := false, ""
	for i := len(p.Status.ContainerStatuses) - 1; i >= 0; i-- {
		c := &p.Status.ContainerStatuses[i]
		s.restarts.add(c)
		switch ended, waits := c.State.Terminated, c.State.Waiting; {
		case waits != nil && waits.Reason != "":
			s.reason = waits.Reason
		case ended != nil:
			s.reason = endReason(ended)
			if ended.ExitCode != 0 {
				failure = s.reason
			}
		case c.Ready && c.State.Running != nil:
			running = true
			s.ready++
		}
	}
	if s.reason == "Completed" {
		s.reason = partlyCompleted(p, running, failure)
	}
}

// partlyCompleted is the reason of a pod one of whose containers has completed.
func partlyCompleted(p *corev1.Pod, running bool, failure string) string {
	switch {
	case running && hasCondition(p, corev1.PodReady):
		return "Running"
	case failure != "":
		return failure
	case running:
		return "NotReady"
	}
	return "Completed"
}

// lookAtDeletion changes the reason of a pod that is being deleted and hasn't ended.
func (s *summary) lookAtDeletion(p *corev1.Pod) {
	switch phase := p.Status.Phase; {
	case p.Status.Reason == nodeLost:
		s.reason = string(corev1.PodUnknown)
	case phase != corev1.PodSucceeded && phase != corev1.PodFailed:
		s.reason = "Terminating"
	}
}

// endReason is why a container has ended.
func endReason(t *corev1.ContainerStateTerminated) string {
	switch {
	case t.Reason != "":
		return t.Reason
	case t.Signal != 0:
		return fmt.Sprintf("Signal:%d", t.Signal)
	}
	return fmt.Sprintf("ExitCode:%d", t.ExitCode)
}

// hasCondition tells whether a condition of the pod is true.
func hasCondition(p *corev1.Pod, t corev1.PodConditionType) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == t {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func firstIP(p *corev1.Pod) string {
	if len(p.Status.PodIPs) == 0 {
		return p.Status.PodIP // upstream's conversion makes one of the other
	}
	return p.Status.PodIPs[0].IP
}

func readinessGates(p *corev1.Pod) string {
	if len(p.Spec.ReadinessGates) == 0 {
		return none
	}
	open := 0
	for _, gate := range p.Spec.ReadinessGates {
		if hasCondition(p, gate.ConditionType) {
			open++
		}
	}
	return fmt.Sprintf("%d/%d", open, len(p.Spec.ReadinessGates))
}

func podTemplateColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(),
		text("Containers", "The names of the template's containers."),
		text("Images", "The images of the template's containers."),
		text("Pod Labels", "The labels of pods made of the template."),
	}
}

func podTemplateCells(t *corev1.PodTemplate, _ time.Time) []any {
	names, images := namesAndImages(t.Template.Spec.Containers)
	return []any{t.Name, names, images, labels.FormatLabels(t.Template.Labels)}
}
