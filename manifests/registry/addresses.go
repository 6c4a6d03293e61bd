package registry

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"skiff/manifests"
)

// keepAllocated lets a client leave out what was allocated for its service, so
// that the manifest that made it can be sent again.
func keepAllocated(s, old *corev1.Service) {
	external := corev1.ServiceTypeExternalName
	if old.Spec.Type != external && s.Spec.Type != external {
		if s.Spec.ClusterIP == "" {
			s.Spec.ClusterIP = old.Spec.ClusterIP
		}
		if len(s.Spec.ClusterIPs) == 0 {
			s.Spec.ClusterIPs = slices.Clone(old.Spec.ClusterIPs)
		}
	}
	if allocatesPorts(old) && allocatesPorts(s) {
		keepNodePorts(s, old)
	}
	if needsHealthCheckPort(old) && needsHealthCheckPort(s) && s.Spec.HealthCheckNodePort == 0 {
		s.Spec.HealthCheckNodePort = old.Spec.HealthCheckNodePort
	}
}

// keepNodePorts restores node ports by the name of their port, unless the client
// has given them to another one.
func keepNodePorts(s, old *corev1.Service) {
	had := map[string]int32{}
	for _, port := range old.Spec.Ports {
		had[port.Name] = port.NodePort
	}
	for i := range s.Spec.Ports {
		port := &s.Spec.Ports[i]
		given := slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.NodePort == had[port.Name] })
		if port.NodePort == 0 && !given {
			port.NodePort = had[port.Name]
		}
	}
}

// settleClusterIPs brings clusterIPs in line with clusterIP for clients that
// know only the latter.
func settleClusterIPs(s, old *corev1.Service) {
	same := s.Spec.ClusterIP == old.Spec.ClusterIP
	if same && len(s.Spec.ClusterIPs) == 0 {
		s.Spec.ClusterIPs = slices.Clone(old.Spec.ClusterIPs)
	}
	if same || !slices.Equal(s.Spec.ClusterIPs, old.Spec.ClusterIPs) {
		return
	}
	s.Spec.ClusterIPs = nil
	if s.Spec.ClusterIP != "" {
		s.Spec.ClusterIPs = []string{s.Spec.ClusterIP}
	}
}

// settleFamilies sets ipFamilies and ipFamilyPolicy for a network that has IPv4
// only. old is nil on create.
func settleFamilies(s, old *corev1.Service) error {
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		return nil
	}
	selectorless := s.Spec.ClusterIP == corev1.ClusterIPNone && len(s.Spec.Selector) == 0
	if s.Spec.IPFamilyPolicy == nil {
		s.Spec.IPFamilyPolicy = defaultFamilyPolicy(old, selectorless)
	}
	if errs := manifests.ValidateServiceAddresses(s, old); len(errs) > 0 {
		return invalidService(s, errs...)
	}
	if errs := inferFamilies(s, old); len(errs) > 0 {
		return invalidService(s, errs...)
	}
	if selectorless {
		settleSelectorless(s)
		return nil
	}
	if errs := refuseOtherFamilies(s); len(errs) > 0 {
		return invalidService(s, errs...)
	}
	if len(s.Spec.IPFamilies) == 0 {
		s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
	}
	return nil
}

func defaultFamilyPolicy(old *corev1.Service, selectorless bool) *corev1.IPFamilyPolicy {
	switch {
	case old != nil && old.Spec.IPFamilyPolicy != nil:
		return ptr.To(*old.Spec.IPFamilyPolicy)
	case selectorless:
		// Nobody knows of what families its endpoints will be.
		return ptr.To(corev1.IPFamilyPolicyRequireDualStack)
	default:
		return ptr.To(corev1.IPFamilyPolicySingleStack)
	}
}

// inferFamilies takes families that are not named from the addresses that are,
// and refuses what contradicts the policy.
func inferFamilies(s, old *corev1.Service) field.ErrorList {
	single := *s.Spec.IPFamilyPolicy == corev1.IPFamilyPolicySingleStack
	if old != nil && single {
		reduceToSingle(s, old)
	}
	errs := contradictions(s, old, single)
	for i, text := range s.Spec.ClusterIPs {
		address, err := netip.ParseAddr(text)
		if err != nil || i < len(s.Spec.IPFamilies) {
			continue
		}
		if address.Is4() {
			s.Spec.IPFamilies = append(s.Spec.IPFamilies, corev1.IPv4Protocol)
			continue
		}
		at := field.NewPath("spec", "clusterIPs").Index(i)
		errs = append(errs, field.Invalid(at, s.Spec.ClusterIPs, string(corev1.IPv6Protocol)+" is not configured on this cluster"))
	}
	return errs
}

// reduceToSingle drops the second family and address when that the policy is
// SingleStack now is all that changed about them.
func reduceToSingle(s, old *corev1.Service) {
	if len(s.Spec.ClusterIPs) > 1 && slices.Equal(s.Spec.ClusterIPs, old.Spec.ClusterIPs) {
		s.Spec.ClusterIPs = s.Spec.ClusterIPs[:1]
	}
	if len(s.Spec.IPFamilies) > 1 && slices.Equal(s.Spec.IPFamilies, old.Spec.IPFamilies) {
		s.Spec.IPFamilies = s.Spec.IPFamilies[:1]
	}
}

func contradictions(s, old *corev1.Service, single bool) field.ErrorList {
	var errs field.ErrorList
	refuse := func(when bool, reason string) {
		if when {
			errs = append(errs, field.Invalid(field.NewPath("spec", "ipFamilyPolicy"), s.Spec.IPFamilyPolicy, reason))
		}
	}
	addresses, families := len(s.Spec.ClusterIPs), len(s.Spec.IPFamilies)
	refuse(single && addresses == 2, "must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs are specified")
	refuse(single && families == 2, "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified")
	if old != nil && !single {
		refuse(addresses > 0 && addresses < len(old.Spec.ClusterIPs), "must be 'SingleStack' to release the secondary cluster IP")
		refuse(families > 0 && families < len(old.Spec.IPFamilies), "must be 'SingleStack' to release the secondary IP family")
	}
	return errs
}

// settleSelectorless gives a headless service without a selector the families
// its policy asks for, whatever the network has: its endpoints are not skiff's.
func settleSelectorless(s *corev1.Service) {
	if len(s.Spec.IPFamilies) == 0 {
		s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
	}
	if len(s.Spec.IPFamilies) > 1 || *s.Spec.IPFamilyPolicy == corev1.IPFamilyPolicySingleStack {
		return
	}
	other := corev1.IPv6Protocol
	if s.Spec.IPFamilies[0] == corev1.IPv6Protocol {
		other = corev1.IPv4Protocol
	}
	s.Spec.IPFamilies = append(s.Spec.IPFamilies, other)
}

func refuseOtherFamilies(s *corev1.Service) field.ErrorList {
	var errs field.ErrorList
	if *s.Spec.IPFamilyPolicy == corev1.IPFamilyPolicyRequireDualStack {
		errs = append(errs, field.Invalid(field.NewPath("spec", "ipFamilyPolicy"), s.Spec.IPFamilyPolicy,
			"this cluster is not configured for dual-stack services"))
	}
	for i, family := range s.Spec.IPFamilies {
		if family != corev1.IPv4Protocol {
			errs = append(errs, field.Invalid(field.NewPath("spec", "ipFamilies").Index(i), family, "not configured on this cluster"))
		}
	}
	return errs
}
