package autoscaling

import (
	"errors"
	"fmt"
	"math"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// wanted is what one metric wants.
type wanted struct {
	replicas int32
	name     string
	status   autoscalingv2.MetricStatus
}

// calculate works out what a metric wants.
func calculate(s snapshot, spec autoscalingv2.MetricSpec) (wanted, error) {
	switch {
	case spec.Resource != nil:
		name := spec.Resource.Name
		w, value, err := ofResource(s, name, spec.Resource.Target, "")
		w.status = autoscalingv2.MetricStatus{Type: spec.Type, Resource: &autoscalingv2.ResourceMetricStatus{Name: name, Current: value}}
		return w, err
	case spec.ContainerResource != nil:
		name, container := spec.ContainerResource.Name, spec.ContainerResource.Container
		w, value, err := ofResource(s, name, spec.ContainerResource.Target, container)
		w.status = autoscalingv2.MetricStatus{Type: spec.Type, ContainerResource: &autoscalingv2.ContainerResourceMetricStatus{Name: name, Container: container, Current: value}}
		return w, err
	}
	return wanted{}, errNoSuchMetric(s, spec)
}

// errNoSuchMetric says why a metric that is not about resources is not known: skiff serves
// metrics.k8s.io alone. The words are those of a cluster without the other two APIs.
func errNoSuchMetric(s snapshot, spec autoscalingv2.MetricSpec) error {
	const custom = "unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered"
	switch {
	case spec.Pods != nil:
		return fmt.Errorf("unable to get metric %s: %s", spec.Pods.Metric.Name, custom)
	case spec.Object != nil:
		of := spec.Object.DescribedObject
		return fmt.Errorf("unable to get metric %s: %s on %s %s/%s", spec.Object.Metric.Name, of.Kind, s.autoscaler.Namespace, of.Name, custom)
	case spec.External != nil:
		return fmt.Errorf("unable to get external metric %s/%s/%s: unable to fetch metrics from external metrics API: no external metrics API (external.metrics.k8s.io) registered",
			s.autoscaler.Namespace, spec.External.Metric.Name, metav1.FormatLabelSelector(spec.External.Metric.Selector))
	}
	return fmt.Errorf("unknown metric source type %q", spec.Type)
}

// failureOf is the reason that events and the condition give when a metric is not known.
func failureOf(spec autoscalingv2.MetricSpec) string {
	switch spec.Type {
	case autoscalingv2.ObjectMetricSourceType, autoscalingv2.PodsMetricSourceType, autoscalingv2.ResourceMetricSourceType,
		autoscalingv2.ContainerResourceMetricSourceType, autoscalingv2.ExternalMetricSourceType:
		return "FailedGet" + string(spec.Type) + "Metric"
	}
	return "InvalidMetricSourceType"
}

// metricTitle is what a metric is called where it is not known.
func metricTitle(spec autoscalingv2.MetricSpec) string {
	switch {
	case spec.Resource != nil:
		return string(spec.Resource.Name) + " resource metric value"
	case spec.ContainerResource != nil:
		return spec.ContainerResource.Container + " container metric value"
	case spec.External != nil:
		return spec.External.Metric.Name + " external metric value"
	case spec.Pods != nil:
		return "pods metric value"
	}
	return "object metric value"
}

// ofResource is what the use of a resource wants, by all containers of each pod or by one.
func ofResource(s snapshot, name corev1.ResourceName, to autoscalingv2.MetricTarget, container string) (wanted, autoscalingv2.MetricValueStatus, error) {
	format := resource.DecimalSI
	if name == corev1.ResourceMemory {
		format = resource.BinarySI
	}
	u, err := usageOf(s, name, container)
	switch {
	case err == nil && to.AverageValue != nil:
		n, average, err := u.towardsValue(to.AverageValue.MilliValue())
		if err != nil {
			return wanted{}, autoscalingv2.MetricValueStatus{}, fmt.Errorf("failed to get %s usage: %w", name, err)
		}
		return wanted{replicas: n, name: string(name) + " resource"}, autoscalingv2.MetricValueStatus{AverageValue: resource.NewMilliQuantity(average, format)}, nil
	case err == nil && to.AverageUtilization != nil:
		n, share, average, err := u.towardsShare(*to.AverageUtilization)
		if err != nil {
			return wanted{}, autoscalingv2.MetricValueStatus{}, fmt.Errorf("failed to get %s utilization: %w", name, err)
		}
		title := string(name) + " resource utilization (percentage of request)"
		if container != "" {
			title = string(name) + " container resource utilization (percentage of request)"
		}
		return wanted{replicas: n, name: title}, autoscalingv2.MetricValueStatus{AverageUtilization: &share, AverageValue: resource.NewMilliQuantity(average, format)}, nil
	case err != nil && to.AverageValue != nil:
		err = fmt.Errorf("failed to get %s usage: %w", name, err)
	case err != nil && to.AverageUtilization != nil:
		err = fmt.Errorf("failed to get %s utilization: %w", name, err)
	default:
		err = errors.New("invalid resource metric source: neither an average utilization target nor an average value (usage) target was set")
	}
	return wanted{}, autoscalingv2.MetricValueStatus{}, err
}

// towardsValue is how many replicas there shall be for pods to use a value on average, which is in
// thousandths, and what they use.
func (u podUsage) towardsValue(target int64) (replicas int32, average int64, err error) {
	ratio := func(values map[string]int64) (float64, int64) {
		have := sum(values) / int64(len(values))
		return float64(have) / float64(target), have
	}
	_, average = ratio(u.values)
	n, err := u.towards(func(values map[string]int64) (float64, error) { r, _ := ratio(values); return r, nil }, func(string) int64 { return target })
	return n, average, err
}

// towardsShare is the same for a share, in percent, of what pods request.
func (u podUsage) towardsShare(target int32) (replicas, share int32, average int64, err error) {
	requests, err := u.requests()
	if err != nil {
		return 0, 0, 0, err
	}
	shareOf := func(values map[string]int64) (int32, error) {
		var requested int64
		for pod := range values {
			requested += requests[pod]
		}
		if requested == 0 {
			return 0, errors.New("no metrics returned matched known pods")
		}
		return int32(sum(values) * 100 / requested), nil
	}
	if share, err = shareOf(u.values); err != nil {
		return 0, 0, 0, err
	}
	ratio := func(values map[string]int64) (float64, error) {
		have, err := shareOf(values)
		return float64(have) / float64(target), err
	}
	// A pod of which nothing is known is taken to use all that it requests, or its target if that is
	// more.
	fallback := func(pod string) int64 { return requests[pod] * int64(max(100, target)) / 100 }
	n, err := u.towards(ratio, fallback)
	return n, share, sum(u.values) / int64(len(u.values)), err
}

// towards is how many replicas bring the ratio of use and target to one. Where some pods are not ready
// or not known they are taken to use nothing when more are wanted, and those that are not known as
// much as fallback says when fewer are: the change is never larger than it would be if they were
// known, and never in the other direction.
func (u podUsage) towards(ratio func(map[string]int64) (float64, error), fallback func(pod string) int64) (int32, error) {
	before, err := ratio(u.values)
	if err != nil {
		return 0, err
	}
	unready := len(u.unready) > 0 && before > 1
	if !unready && len(u.missing) == 0 {
		if u.tolerated(before) {
			return u.current, nil
		}
		return ceil(before * float64(u.ready)), nil
	}
	values := make(map[string]int64, len(u.values)+len(u.missing)+len(u.unready))
	for pod, v := range u.values {
		values[pod] = v
	}
	for _, pod := range u.missing {
		switch {
		case before < 1:
			values[pod] = fallback(pod)
		case before > 1:
			values[pod] = 0
		}
	}
	if unready {
		for _, pod := range u.unready {
			values[pod] = 0
		}
	}
	after, err := ratio(values)
	if err != nil {
		return 0, err
	}
	n := ceil(after * float64(len(values)))
	if u.tolerated(after) || before < 1 && after > 1 || before > 1 && after < 1 || after < 1 && n > u.current || after > 1 && n < u.current {
		return u.current, nil
	}
	return n, nil
}

// ceil rounds up to a number of replicas.
func ceil(f float64) int32 { return int32(min(math.Ceil(f), math.MaxInt32)) }

func sum(values map[string]int64) (total int64) {
	for _, v := range values {
		total += v
	}
	return total
}
