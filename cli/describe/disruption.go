package describe

import (
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func disruptionBudget(p *page, o *policyv1.PodDisruptionBudget) error {
	p.field("Name", o.Name)
	p.field("Namespace", o.Namespace)
	switch {
	case o.Spec.MinAvailable != nil:
		p.field("Min available", o.Spec.MinAvailable.String())
	case o.Spec.MaxUnavailable != nil:
		p.field("Max unavailable", o.Spec.MaxUnavailable.String())
	}
	selector := unset
	if o.Spec.Selector != nil {
		selector = metav1.FormatLabelSelector(o.Spec.Selector)
	}
	p.field("Selector", selector)
	p.title("Status")
	p.at(2, func() {
		p.field("Allowed disruptions", o.Status.DisruptionsAllowed)
		p.field("Current", o.Status.CurrentHealthy)
		p.field("Desired", o.Status.DesiredHealthy)
		p.field("Total", o.Status.ExpectedPods)
	})
	p.events(o, "PodDisruptionBudget")
	return nil
}
