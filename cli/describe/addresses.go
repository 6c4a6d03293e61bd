package describe

import (
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
)

func serviceCIDR(p *page, o *networkingv1.ServiceCIDR) error {
	p.field("Name", o.Name)
	p.labelled(o)
	p.field("CIDRs", strings.Join(o.Spec.CIDRs, ", "))
	if len(o.Status.Conditions) > 0 {
		p.title("Status")
		p.title("Conditions")
		p.in(func() {
			p.line("Type\tStatus\tLastTransitionTime\tReason\tMessage")
			p.line("----\t------\t------------------\t------\t-------")
			for _, c := range o.Status.Conditions {
				p.line("%v\t%v\t%s\t%v\t%v", c.Type, c.Status, stamp(c.LastTransitionTime.Time), c.Reason, c.Message)
			}
		})
	}
	p.events(o, "ServiceCIDR")
	return nil
}

func ipAddress(p *page, o *networkingv1.IPAddress) error {
	p.field("Name", o.Name)
	p.labelled(o)
	if ref := o.Spec.ParentRef; ref != nil {
		p.title("Parent Reference")
		p.in(func() {
			p.field("Group", ref.Group)
			p.field("Resource", ref.Resource)
			p.field("Namespace", ref.Namespace)
			p.field("Name", ref.Name)
		})
	}
	p.events(o, "IPAddress")
	return nil
}
