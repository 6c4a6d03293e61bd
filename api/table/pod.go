package table

import (
	"cmp"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"skiff/manifests/podfacts"
)

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
	s := podfacts.Summarize(p)
	return []any{
		p.Name, fmt.Sprintf("%d/%d", s.Ready, s.Containers), s.Status, restarts(s, now), age(p.CreationTimestamp, now),
		cmp.Or(firstIP(p), none), cmp.Or(p.Spec.NodeName, none), cmp.Or(p.Status.NominatedNodeName, none), readinessGates(p),
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

func restarts(s podfacts.Summary, now time.Time) string {
	if s.Restarts == 0 || s.LastRestart.IsZero() {
		return strconv.Itoa(s.Restarts)
	}
	return fmt.Sprintf("%d (%s ago)", s.Restarts, age(s.LastRestart, now))
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
		if podfacts.ConditionTrue(p, gate.ConditionType) {
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
