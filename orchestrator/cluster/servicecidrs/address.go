package servicecidrs

import (
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/manifests/serviceip"
)

// addressSnapshot is what one look at an address saw.
type addressSnapshot struct {
	address netip.Addr
	// services have the address. There is no more than one, unless somebody has written into the
	// database.
	services []*corev1.Service
	stored   *networkingv1.IPAddress // nil: there is none
}

// step is what is done to an IPAddress.
type step string

const (
	nothing step = ""
	create  step = "create"
	remove  step = "delete"
	label   step = "label"
)

// addressPlan is what is to be done about an address.
type addressPlan struct {
	do      step
	cause   string
	address netip.Addr
	service *corev1.Service         // whom it belongs to, for create
	seen    *networkingv1.IPAddress // what is changed
}

// String is the plan's step with its cause.
func (p addressPlan) String() string {
	if p.do == nothing {
		return ""
	}
	return fmt.Sprintf("%s IPAddress %s: %s", p.do, p.address, p.cause)
}

func planAddress(s addressSnapshot) addressPlan {
	p := addressPlan{address: s.address, seen: s.stored}
	decide := func(do step, format string, args ...any) addressPlan {
		p.do, p.cause = do, fmt.Sprintf(format, args...)
		return p
	}
	if len(s.services) == 0 {
		if s.stored != nil && s.stored.DeletionTimestamp == nil && serviceip.Managed(s.stored) {
			return decide(remove, "no service has it")
		}
		return p
	}
	p.service = s.services[0]
	name := p.service.Namespace + "/" + p.service.Name
	switch {
	case s.stored == nil:
		return decide(create, "Service %s has it", name)
	case s.stored.DeletionTimestamp != nil:
		return p // it is made again when it is gone
	case !refersTo(s.stored, p.service):
		return decide(remove, "it refers to %s, but Service %s has it", referred(s.stored), name)
	}
	for key, value := range labelsOf(s.address) {
		if s.stored.Labels[key] != value {
			return decide(label, "it follows Service %s", name)
		}
	}
	return p
}

// addressOf is the IPAddress of a service.
func addressOf(address netip.Addr, s *corev1.Service) *networkingv1.IPAddress {
	return &networkingv1.IPAddress{
		ObjectMeta: metav1.ObjectMeta{Name: address.String(), Labels: labelsOf(address)},
		Spec:       networkingv1.IPAddressSpec{ParentRef: parentOf(s)},
	}
}

func labelsOf(address netip.Addr) map[string]string {
	family := corev1.IPv6Protocol
	if address.Is4() {
		family = corev1.IPv4Protocol
	}
	return map[string]string{networkingv1.LabelIPAddressFamily: string(family), networkingv1.LabelManagedBy: serviceip.Manager}
}

func parentOf(s *corev1.Service) *networkingv1.ParentReference {
	return &networkingv1.ParentReference{Resource: "services", Namespace: s.Namespace, Name: s.Name}
}

func refersTo(a *networkingv1.IPAddress, s *corev1.Service) bool {
	return a.Spec.ParentRef != nil && *a.Spec.ParentRef == *parentOf(s)
}

func referred(a *networkingv1.IPAddress) string {
	ref := a.Spec.ParentRef
	if ref == nil {
		return "nothing"
	}
	resource := metav1.GroupResource{Group: ref.Group, Resource: ref.Resource}
	return strings.TrimSuffix(ref.Resource+"."+resource.Group, ".") + " " + strings.TrimPrefix(ref.Namespace+"/"+ref.Name, "/")
}
