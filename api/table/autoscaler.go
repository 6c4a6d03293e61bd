package table

import (
	"fmt"
	"strings"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func autoscalerColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(),
		text("Reference", "What is scaled."),
		text("Targets", "The value of each metric, and the one that it shall have."),
		text("MinPods", "How many pods there shall be at least."),
		text("MaxPods", "How many pods there shall be at most."),
		text("Replicas", "How many pods there were when the autoscaler looked last."),
		ageColumn(),
	}
}

func autoscalerCells(a *autoscalingv2.HorizontalPodAutoscaler, now time.Time) []any {
	least := unset
	if a.Spec.MinReplicas != nil {
		least = fmt.Sprint(*a.Spec.MinReplicas)
	}
	return []any{
		a.Name, a.Spec.ScaleTargetRef.Kind + "/" + a.Spec.ScaleTargetRef.Name, autoscalerTargets(a), least,
		int64(a.Spec.MaxReplicas), int64(a.Status.CurrentReplicas), age(a.CreationTimestamp, now),
	}
}

// maxTargets is how many metrics a cell shows.
const maxTargets = 2

// autoscalerTargets are an autoscaler's metrics as current/target.
func autoscalerTargets(a *autoscalingv2.HorizontalPodAutoscaler) string {
	var all []string
	for i, spec := range a.Spec.Metrics {
		var status autoscalingv2.MetricStatus
		if i < len(a.Status.CurrentMetrics) {
			status = a.Status.CurrentMetrics[i]
		}
		all = append(all, metricTarget(spec, status))
	}
	switch {
	case len(all) == 0:
		return none
	case len(all) > maxTargets:
		return fmt.Sprintf("%s + %d more...", strings.Join(all[:maxTargets], ", "), len(all)-maxTargets)
	}
	return strings.Join(all, ", ")
}

func metricTarget(spec autoscalingv2.MetricSpec, status autoscalingv2.MetricStatus) string {
	switch {
	case spec.External != nil:
		var have *autoscalingv2.MetricValueStatus
		if status.External != nil {
			have = &status.External.Current
		}
		return valueOrAverage(have, spec.External.Target)
	case spec.Object != nil:
		var have *autoscalingv2.MetricValueStatus
		if status.Object != nil {
			have = &status.Object.Current
		}
		return valueOrAverage(have, spec.Object.Target)
	case spec.Pods != nil:
		have := unknown
		if status.Pods != nil {
			have = amount(status.Pods.Current.AverageValue)
		}
		return have + "/" + amount(spec.Pods.Target.AverageValue)
	case spec.Resource != nil:
		var have *autoscalingv2.MetricValueStatus
		if status.Resource != nil {
			have = &status.Resource.Current
		}
		return spec.Resource.Name.String() + ": " + usage(have, spec.Resource.Target)
	case spec.ContainerResource != nil:
		var have *autoscalingv2.MetricValueStatus
		if status.ContainerResource != nil {
			have = &status.ContainerResource.Current
		}
		return spec.ContainerResource.Name.String() + ": " + usage(have, spec.ContainerResource.Target)
	}
	return "<unknown type>"
}

// valueOrAverage is a metric of which there is one value, or one to be divided by the pods.
func valueOrAverage(have *autoscalingv2.MetricValueStatus, want autoscalingv2.MetricTarget) string {
	current := unknown
	if want.AverageValue != nil {
		if have != nil {
			current = amount(have.AverageValue)
		}
		return current + "/" + amount(want.AverageValue) + " (avg)"
	}
	if have != nil {
		current = amount(have.Value)
	}
	return current + "/" + amount(want.Value)
}

// usage is a resource's, on average: an amount, or a share of what is requested.
func usage(have *autoscalingv2.MetricValueStatus, want autoscalingv2.MetricTarget) string {
	current, target := unknown, "<auto>"
	if want.AverageValue != nil {
		if have != nil {
			current = amount(have.AverageValue)
		}
		return current + "/" + amount(want.AverageValue)
	}
	if have != nil && have.AverageUtilization != nil {
		current = fmt.Sprintf("%d%%", *have.AverageUtilization)
	}
	if want.AverageUtilization != nil {
		target = fmt.Sprintf("%d%%", *want.AverageUtilization)
	}
	return current + "/" + target
}

func amount(q *resource.Quantity) string {
	if q == nil {
		return unknown
	}
	return q.String()
}
