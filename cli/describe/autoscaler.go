package describe

import (
	"fmt"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
)

func autoscaler(p *page, o *autoscalingv2.HorizontalPodAutoscaler) error {
	p.meta(o)
	p.field("CreationTimestamp", stamp(o.CreationTimestamp.Time))
	p.field("Reference", o.Spec.ScaleTargetRef.Kind+"/"+o.Spec.ScaleTargetRef.Name)
	p.field("Metrics", "( current / target )")
	p.in(func() {
		for i, m := range o.Spec.Metrics {
			var now autoscalingv2.MetricStatus
			if i < len(o.Status.CurrentMetrics) {
				now = o.Status.CurrentMetrics[i]
			}
			p.metric(m, now)
		}
	})
	optional(p.sheet, "Min replicas", o.Spec.MinReplicas, "%d")
	p.field("Max replicas", o.Spec.MaxReplicas)
	if b := o.Spec.Behavior; b != nil {
		p.title("Behavior")
		p.in(func() {
			p.scalingRules("Scale Up", b.ScaleUp)
			p.scalingRules("Scale Down", b.ScaleDown)
		})
	}
	p.field(o.Spec.ScaleTargetRef.Kind+" pods", fmt.Sprintf("%d current / %d desired", o.Status.CurrentReplicas, o.Status.DesiredReplicas))
	if len(o.Status.Conditions) > 0 {
		p.title("Conditions")
		p.in(func() {
			p.line("Type\tStatus\tReason\tMessage")
			p.line("----\t------\t------\t-------")
			for _, c := range o.Status.Conditions {
				p.line("%v\t%v\t%v\t%v", c.Type, c.Status, c.Reason, c.Message)
			}
		})
	}
	p.events(o, "HorizontalPodAutoscaler")
	return nil
}

// metric writes one metric: what it is, its value, and the one that it shall have.
func (p *page) metric(m autoscalingv2.MetricSpec, now autoscalingv2.MetricStatus) {
	switch {
	case m.External != nil:
		var have *autoscalingv2.MetricValueStatus
		if now.External != nil {
			have = &now.External.Current
		}
		p.valueOrAverage(fmt.Sprintf("%q", m.External.Metric.Name), have, m.External.Target)
	case m.Object != nil:
		var have *autoscalingv2.MetricValueStatus
		if now.Object != nil {
			have = &now.Object.Current
		}
		of := m.Object.DescribedObject
		p.valueOrAverage(fmt.Sprintf("\"%s\" on %s/%s", m.Object.Metric.Name, of.Kind, of.Name), have, m.Object.Target)
	case m.Pods != nil:
		have := unknown
		if now.Pods != nil {
			have = quantity(now.Pods.Current.AverageValue)
		}
		p.line("%q on pods:\t%s / %s", m.Pods.Metric.Name, have, quantity(m.Pods.Target.AverageValue))
	case m.Resource != nil:
		var have *autoscalingv2.MetricValueStatus
		if now.Resource != nil {
			have = &now.Resource.Current
		}
		p.usage(fmt.Sprintf("resource %s on pods", m.Resource.Name), have, m.Resource.Target)
	case m.ContainerResource != nil:
		var have *autoscalingv2.MetricValueStatus
		if now.ContainerResource != nil {
			have = &now.ContainerResource.Current
		}
		p.usage(fmt.Sprintf("resource %s of container \"%s\" on pods", m.ContainerResource.Name, m.ContainerResource.Container), have, m.ContainerResource.Target)
	default:
		p.line("<unknown metric type %q>", string(m.Type))
	}
}

const unknown = "<unknown>"

func quantity(q *resource.Quantity) string {
	if q == nil {
		return unknown
	}
	return q.String()
}

// valueOrAverage writes a metric of which there is one value, or one to be divided by the pods.
func (p *page) valueOrAverage(what string, have *autoscalingv2.MetricValueStatus, want autoscalingv2.MetricTarget) {
	current := unknown
	if want.AverageValue != nil {
		if have != nil {
			current = quantity(have.AverageValue)
		}
		p.line("%s (target average value):\t%s / %s", what, current, quantity(want.AverageValue))
		return
	}
	if have != nil {
		current = quantity(have.Value)
	}
	p.line("%s (target value):\t%s / %s", what, current, quantity(want.Value))
}

// usage writes what pods use of a resource on average: an amount, or a share of what they request.
func (p *page) usage(what string, have *autoscalingv2.MetricValueStatus, want autoscalingv2.MetricTarget) {
	current, target := unknown, "<auto>"
	if want.AverageValue != nil {
		if have != nil {
			current = quantity(have.AverageValue)
		}
		p.line("%s:\t%s / %s", what, current, quantity(want.AverageValue))
		return
	}
	if have != nil && have.AverageUtilization != nil {
		current = fmt.Sprintf("%d%% (%s)", *have.AverageUtilization, quantity(have.AverageValue))
	}
	if want.AverageUtilization != nil {
		target = fmt.Sprintf("%d%%", *want.AverageUtilization)
	}
	p.line("%s  (as a percentage of request):\t%s / %s", what, current, target)
}

func (p *page) scalingRules(direction string, r *autoscalingv2.HPAScalingRules) {
	if r == nil {
		return
	}
	p.title(direction)
	p.in(func() {
		if r.StabilizationWindowSeconds != nil {
			p.line("Stabilization Window: %d seconds", *r.StabilizationWindowSeconds)
		}
		if len(r.Policies) == 0 {
			return
		}
		how := autoscalingv2.MaxChangePolicySelect
		if r.SelectPolicy != nil {
			how = *r.SelectPolicy
		}
		p.line("Select Policy: %s", how)
		p.line("Policies:")
		p.in(func() {
			for _, policy := range r.Policies {
				p.line("- Type: %s\tValue: %d\tPeriod: %d seconds", policy.Type, policy.Value, policy.PeriodSeconds)
			}
		})
	})
}
