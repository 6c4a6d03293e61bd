package table

import (
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// replicaColumns are the columns of a controller of like pods.
func replicaColumns() []metav1.TableColumnDefinition {
	columns := []metav1.TableColumnDefinition{
		nameColumn(),
		number("Desired", "How many pods there shall be."),
		number("Current", "How many pods there are."),
		number("Ready", "How many of the pods are ready."),
		ageColumn(),
	}
	return append(append(columns, templateColumns()...), selectorColumn())
}

func replicationControllerColumns() []metav1.TableColumnDefinition { return replicaColumns() }

func replicationControllerCells(c *corev1.ReplicationController, now time.Time) []any {
	var names, images string
	if c.Spec.Template != nil {
		names, images = namesAndImages(c.Spec.Template.Spec.Containers)
	}
	return []any{
		c.Name, count(c.Spec.Replicas), int64(c.Status.Replicas), int64(c.Status.ReadyReplicas), age(c.CreationTimestamp, now),
		names, images, labels.FormatLabels(c.Spec.Selector),
	}
}

func replicaSetColumns() []metav1.TableColumnDefinition { return replicaColumns() }

func replicaSetCells(r *appsv1.ReplicaSet, now time.Time) []any {
	names, images := namesAndImages(r.Spec.Template.Spec.Containers)
	return []any{
		r.Name, count(r.Spec.Replicas), int64(r.Status.Replicas), int64(r.Status.ReadyReplicas), age(r.CreationTimestamp, now),
		names, images, metav1.FormatLabelSelector(r.Spec.Selector),
	}
}

// count is a number of replicas as a cell.
func count(replicas *int32) int64 { return int64(ptr.Deref(replicas, 0)) }

func deploymentColumns() []metav1.TableColumnDefinition {
	columns := []metav1.TableColumnDefinition{
		nameColumn(),
		text("Ready", "How many of the desired pods are ready."),
		text("Up-to-date", "How many pods are made of the current template."),
		text("Available", "How many pods have been ready for long enough."),
		ageColumn(),
	}
	return append(append(columns, templateColumns()...), selectorColumn())
}

func deploymentCells(d *appsv1.Deployment, now time.Time) []any {
	selector := "<invalid>"
	if s, err := metav1.LabelSelectorAsSelector(d.Spec.Selector); err == nil {
		selector = s.String()
	}
	names, images := namesAndImages(d.Spec.Template.Spec.Containers)
	return []any{
		d.Name, fmt.Sprintf("%d/%d", d.Status.ReadyReplicas, count(d.Spec.Replicas)),
		int64(d.Status.UpdatedReplicas), int64(d.Status.AvailableReplicas), age(d.CreationTimestamp, now),
		names, images, selector,
	}
}

func statefulSetColumns() []metav1.TableColumnDefinition {
	columns := []metav1.TableColumnDefinition{
		nameColumn(), text("Ready", "How many of the desired pods are ready."), ageColumn(),
	}
	return append(columns, templateColumns()...)
}

func statefulSetCells(s *appsv1.StatefulSet, now time.Time) []any {
	names, images := namesAndImages(s.Spec.Template.Spec.Containers)
	ready := fmt.Sprintf("%d/%d", s.Status.ReadyReplicas, count(s.Spec.Replicas))
	return []any{s.Name, ready, age(s.CreationTimestamp, now), names, images}
}

func daemonSetColumns() []metav1.TableColumnDefinition {
	columns := []metav1.TableColumnDefinition{
		nameColumn(),
		number("Desired", "How many nodes shall run a pod."),
		number("Current", "How many of these nodes run a pod."),
		number("Ready", "How many of these nodes have a pod that is ready."),
		number("Up-to-date", "How many of these nodes run a pod made of the current template."),
		number("Available", "How many of these nodes have a pod that has been ready for long enough."),
		text("Node Selector", "The labels of the nodes that shall run a pod."),
		ageColumn(),
	}
	return append(append(columns, templateColumns()...), selectorColumn())
}

func daemonSetCells(d *appsv1.DaemonSet, now time.Time) []any {
	names, images := namesAndImages(d.Spec.Template.Spec.Containers)
	s := &d.Status
	return []any{
		d.Name, int64(s.DesiredNumberScheduled), int64(s.CurrentNumberScheduled), int64(s.NumberReady),
		int64(s.UpdatedNumberScheduled), int64(s.NumberAvailable), labels.FormatLabels(d.Spec.Template.Spec.NodeSelector),
		age(d.CreationTimestamp, now), names, images, metav1.FormatLabelSelector(d.Spec.Selector),
	}
}

func controllerRevisionColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(),
		text("Controller", "The object this is a revision of."),
		text("Revision", "The revision's number."),
		ageColumn(),
	}
}

func controllerRevisionCells(r *appsv1.ControllerRevision, now time.Time) []any {
	controller := none
	if ref := metav1.GetControllerOf(r); ref != nil {
		controller = kindAndName(ref)
	}
	return []any{r.Name, controller, r.Revision, age(r.CreationTimestamp, now)}
}

// kindAndName is a reference in the way of kubectl's arguments: statefulset.apps/web.
func kindAndName(ref *metav1.OwnerReference) string {
	kind := schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind).GroupKind()
	if kind.Empty() {
		return ref.Name
	}
	return strings.ToLower(kind.String()) + "/" + ref.Name
}

func disruptionBudgetColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(),
		text("Min Available", "How many pods must stay available."),
		text("Max Unavailable", "How many pods may be unavailable."),
		number("Allowed Disruptions", "How many pods may be evicted now."),
		ageColumn(),
	}
}

func disruptionBudgetCells(b *policyv1.PodDisruptionBudget, now time.Time) []any {
	bound := func(v *intstr.IntOrString) string {
		if v == nil {
			return "N/A"
		}
		return v.String()
	}
	return []any{
		b.Name, bound(b.Spec.MinAvailable), bound(b.Spec.MaxUnavailable), int64(b.Status.DisruptionsAllowed),
		age(b.CreationTimestamp, now),
	}
}

func scaleColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		text("Name", "The name of the object that is scaled."),
		number("Desired", "How many pods there shall be."),
		number("Available", "How many pods there are."),
		ageColumn(),
	}
}

func scaleCells(s *autoscalingv1.Scale, now time.Time) []any {
	return []any{s.Name, int64(s.Spec.Replicas), int64(s.Status.Replicas), age(s.CreationTimestamp, now)}
}
