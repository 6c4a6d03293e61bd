package servicecidrs

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/manifests/serviceip"
)

// reasonUnreachable is the reason for which services get no addresses of a ServiceCIDR that pods would
// not reach: they ask for addresses on their network, which has the default range and no other.
const reasonUnreachable = "Unreachable"

// cidrSnapshot is what one look at a ServiceCIDR saw.
type cidrSnapshot struct {
	cidr *networkingv1.ServiceCIDR
	all  []*networkingv1.ServiceCIDR // cidr included
	used []netip.Addr                // by services; looked at only if cidr is being deleted
	now  metav1.Time
}

// cidrPlan is what is to be done about a ServiceCIDR.
type cidrPlan struct {
	name  string
	cause string // of what is done to the object itself
	// replace makes the default ServiceCIDR anew.
	replace bool
	// protect and release give the finalizer and take it.
	protect, release bool
	condition        *metav1.Condition
}

// String is the plan's steps, one a line, each with its cause.
func (p cidrPlan) String() string {
	var lines []string
	add := func(do bool, format string, args ...any) {
		if do {
			lines = append(lines, fmt.Sprintf(format, args...))
		}
	}
	add(p.replace, "replace ServiceCIDR %s: %s", p.name, p.cause)
	add(p.protect, "protect ServiceCIDR %s: %s", p.name, p.cause)
	add(p.release, "release ServiceCIDR %s: %s", p.name, p.cause)
	if c := p.condition; c != nil {
		lines = append(lines, strings.ReplaceAll(fmt.Sprintf("set ServiceCIDR %s %s=%s %s: %s", p.name, c.Type, c.Status, c.Reason, c.Message), " :", ":"))
	}
	return strings.Join(lines, "\n")
}

func planCIDR(s cidrSnapshot) cidrPlan {
	p := cidrPlan{name: s.cidr.Name}
	if s.cidr.DeletionTimestamp != nil {
		p.end(s)
		return p
	}
	if !slices.Contains(s.cidr.Finalizers, serviceip.Finalizer) {
		p.protect, p.cause = true, "services may get its addresses"
	}
	if reach, ok := s.reach(); ok {
		p.show(s.cidr, judge(s.cidr, reach, s.now))
	}
	return p
}

// end plans for a ServiceCIDR that is being deleted. The default one can not be without, for services
// need it: as upstream's API server does, skiff makes it again.
func (p *cidrPlan) end(s cidrSnapshot) {
	if s.cidr.Name == serviceip.DefaultCIDR {
		p.replace, p.cause = true, "it is being deleted, and services need it"
		return
	}
	if !slices.Contains(s.cidr.Finalizers, serviceip.Finalizer) {
		return // others hold it
	}
	if s.blocked() {
		p.show(s.cidr, metav1.Condition{
			Type: networkingv1.ServiceCIDRConditionReady, Status: metav1.ConditionFalse, Reason: networkingv1.ServiceCIDRReasonTerminating,
			Message: "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR", LastTransitionTime: s.now,
		})
		return
	}
	p.release, p.cause = true, "it is being deleted, and no service has an address of it alone"
}

// blocked reports whether a service has an address that no other ServiceCIDR would contain, were this
// one gone. One that is being deleted itself does not count, or two could wait for neither.
func (s cidrSnapshot) blocked() bool {
	return slices.ContainsFunc(s.used, func(a netip.Addr) bool {
		return contains(s.cidr, a) && !slices.ContainsFunc(s.all, func(other *networkingv1.ServiceCIDR) bool {
			return other.Name != s.cidr.Name && other.DeletionTimestamp == nil && contains(other, a)
		})
	})
}

// reach is the range that pods reach: that of the default ServiceCIDR, and whether there is one.
func (s cidrSnapshot) reach() (netip.Prefix, bool) {
	for _, cidr := range s.all {
		if cidr.Name == serviceip.DefaultCIDR {
			return serviceip.IPv4(cidr)
		}
	}
	return netip.Prefix{}, false
}

// judge is the condition of a ServiceCIDR.
func judge(cidr *networkingv1.ServiceCIDR, reach netip.Prefix, now metav1.Time) metav1.Condition {
	for _, p := range serviceip.Ranges(cidr) {
		if cidr.Name != serviceip.DefaultCIDR && !serviceip.Within(reach, p) {
			return metav1.Condition{
				Type: networkingv1.ServiceCIDRConditionReady, Status: metav1.ConditionFalse, Reason: reasonUnreachable,
				Message:            fmt.Sprintf("Pods reach services only at addresses in %s: %s does not lie in it", reach, p),
				LastTransitionTime: now,
			}
		}
	}
	return serviceip.IsReady(now)
}

// show plans to write a condition, unless it is there.
func (p *cidrPlan) show(cidr *networkingv1.ServiceCIDR, c metav1.Condition) {
	old := meta.FindStatusCondition(cidr.Status.Conditions, c.Type)
	if old == nil || old.Status != c.Status || old.Reason != c.Reason || old.Message != c.Message {
		p.condition = &c
	}
}

func contains(cidr *networkingv1.ServiceCIDR, a netip.Addr) bool {
	return slices.ContainsFunc(serviceip.Ranges(cidr), func(p netip.Prefix) bool { return serviceip.Contains(p, a) })
}
