package describe

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"skiff/cli/client"
)

func namespace(p *page, o *corev1.Namespace) error {
	p.field("Name", o.Name)
	p.labelled(o)
	p.field("Status", o.Status.Phase)
	if len(o.Status.Conditions) > 0 {
		p.title("Conditions")
		p.in(func() {
			p.line("Type\tStatus\tLastTransitionTime\tReason\tMessage")
			p.line("----\t------\t------------------\t------\t-------")
			for _, c := range o.Status.Conditions {
				p.line("%v\t%v\t%s\t%v\t%v", c.Type, c.Status, stamp(c.LastTransitionTime.Time), c.Reason, c.Message)
			}
		})
	}
	p.ref.Namespace = o.Name
	if quotas, err := listOf[corev1.ResourceQuota](p, "", "ResourceQuota", client.ListOptions{}); err == nil {
		p.text("\n")
		p.quotas(quotas)
	}
	if limits, err := listOf[corev1.LimitRange](p, "", "LimitRange", client.ListOptions{}); err == nil {
		p.text("\n")
		p.limitRanges(limits)
	}
	return nil
}

func (s *sheet) quotas(all []corev1.ResourceQuota) {
	if len(all) == 0 {
		s.line("No resource quota.")
		return
	}
	s.line("Resource Quotas")
	slices.SortFunc(all, func(a, b corev1.ResourceQuota) int { return strings.Compare(a.Name, b.Name) })
	for i := range all {
		s.in(func() {
			s.field("Name", all[i].Name)
			s.scopes(all[i].Spec.Scopes, "* ")
			s.line("Resource\tUsed\tHard")
			s.line("--------\t---\t---")
			s.used(&all[i])
		})
	}
}

func quota(p *page, o *corev1.ResourceQuota) error {
	p.field("Name", o.Name)
	p.field("Namespace", o.Namespace)
	p.scopes(o.Spec.Scopes, " * ")
	p.line("Resource\tUsed\tHard")
	p.line("--------\t----\t----")
	p.used(o)
	return nil
}

// scopeMeaning says which pods a quota's scope counts.
var scopeMeaning = map[corev1.ResourceQuotaScope]string{
	corev1.ResourceQuotaScopeTerminating:    "Matches all pods that have an active deadline. These pods have a limited lifespan on a node before being actively terminated by the system.",
	corev1.ResourceQuotaScopeNotTerminating: "Matches all pods that do not have an active deadline. These pods usually include long running pods whose container command is not expected to terminate.",
	corev1.ResourceQuotaScopeBestEffort:     "Matches all pods that do not have resource requirements set. These pods have a best effort quality of service.",
	corev1.ResourceQuotaScopeNotBestEffort:  "Matches all pods that have at least one resource requirement set. These pods have a burstable or guaranteed quality of service.",
}

func (s *sheet) scopes(all []corev1.ResourceQuotaScope, bullet string) {
	if len(all) == 0 {
		return
	}
	names := make([]string, len(all))
	for i, scope := range all {
		names[i] = string(scope)
	}
	slices.Sort(names)
	s.field("Scopes", strings.Join(names, ", "))
	for _, n := range names {
		if text := scopeMeaning[corev1.ResourceQuotaScope(n)]; text != "" {
			s.line("%s%s", bullet, text)
		}
	}
}

func (s *sheet) used(o *corev1.ResourceQuota) {
	for _, name := range slices.Sorted(maps.Keys(o.Status.Hard)) {
		hard, used := o.Status.Hard[name], o.Status.Used[name]
		if hard.Format != used.Format {
			used = *resource.NewQuantity(used.Value(), hard.Format)
		}
		s.line("%s\t%s\t%s", name, used.String(), hard.String())
	}
}

const limitColumns = "Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio"
const limitRulers = "----\t--------\t---\t---\t---------------\t-------------\t-----------------------"

func (s *sheet) limitRanges(all []corev1.LimitRange) {
	if len(all) == 0 {
		s.line("No LimitRange resource.")
		return
	}
	s.line("Resource Limits")
	s.line(" " + limitColumns)
	s.line(" " + limitRulers)
	for _, l := range all {
		s.limits(l.Spec.Limits, " ")
	}
}

func limitRange(p *page, o *corev1.LimitRange) error {
	p.field("Name", o.Name)
	p.field("Namespace", o.Namespace)
	p.line(limitColumns)
	p.line(limitRulers)
	p.limits(o.Spec.Limits, "")
	return nil
}

func (s *sheet) limits(all []corev1.LimitRangeItem, indent string) {
	for _, item := range all {
		lists := []corev1.ResourceList{item.Min, item.Max, item.DefaultRequest, item.Default, item.MaxLimitRequestRatio}
		names := map[corev1.ResourceName]bool{}
		for _, l := range lists {
			for name := range l {
				names[name] = true
			}
		}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			row := []string{indent + string(item.Type), string(name)}
			for _, l := range lists {
				cell := "-"
				if q, ok := l[name]; ok {
					cell = q.String()
				}
				row = append(row, cell)
			}
			s.line("%s", strings.Join(row, "\t"))
		}
	}
}
