package registry

import (
	"errors"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"skiff/manifests/serviceip"
	"skiff/store"
)

var (
	ipAddresses  = schema.GroupResource{Group: networkingv1.GroupName, Resource: "ipaddresses"}
	serviceCIDRs = schema.GroupResource{Group: networkingv1.GroupName, Resource: "servicecidrs"}
)

// Upstream's errors (pkg/registry/core/service/ipallocator).
var (
	errFull         = errors.New("range is full")
	errAddressTaken = errors.New("provided IP is already allocated")
	errNoRange      = errors.New("the provided network does not match the current range")
)

// ranges are those that services get their addresses from, the default one first: of ServiceCIDRs
// that are ready and not being deleted. One that does not lie within the default one's is of no use,
// because pods do not reach its addresses, even if its condition does not say so yet.
func (a *serviceAllocator) ranges() []netip.Prefix {
	reach, limited := a.registry.Services().DefaultRange()
	var ranges []netip.Prefix
	a.store.Snapshot(serviceCIDRs.String()).Ascend("", store.Key{}, func(obj store.Object) bool {
		cidr := obj.(*networkingv1.ServiceCIDR)
		p, ok := serviceip.IPv4(cidr)
		switch {
		case !ok || !serviceip.Ready(cidr) || limited && !serviceip.Within(reach, p):
		case cidr.Name == serviceip.DefaultCIDR:
			ranges = append([]netip.Prefix{p}, ranges...)
		default:
			ranges = append(ranges, p)
		}
		return true
	})
	return ranges
}

// taken reports whether a service has the address, or an IPAddress keeps it for somebody else. The
// IPAddress of a service says nothing: the service may be gone, or be the one that asks.
func (a *serviceAllocator) taken(address netip.Addr) bool {
	if len(a.store.ByIndex("services", IndexClusterIP, address.String())) > 0 {
		return true
	}
	obj, kept := a.store.Get(store.Key{Resource: ipAddresses.String(), Name: address.String()})
	return kept && !serviceip.Managed(obj.(*networkingv1.IPAddress))
}

// giveAddress gives the service a cluster IP, or checks the one it asks for.
func (a *serviceAllocator) giveAddress(s *corev1.Service) error {
	if !needsAddress(s) {
		return nil
	}
	if len(s.Spec.ClusterIPs) > 0 && s.Spec.ClusterIPs[0] != "" {
		if err := a.checkAddress(s.Spec.ClusterIPs[0]); err != nil {
			reason := fmt.Sprintf("failed to allocate IP %v: %v", s.Spec.ClusterIPs[0], err)
			return invalidService(s, field.Invalid(field.NewPath("spec", "clusterIPs"), s.Spec.ClusterIPs, reason))
		}
		return nil
	}
	address, err := a.freeAddress()
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("failed to allocate a serviceIP for Service %q: %w", s.Name, err))
	}
	s.Spec.ClusterIP = address.String()
	s.Spec.ClusterIPs = []string{s.Spec.ClusterIP}
	return nil
}

func (a *serviceAllocator) checkAddress(text string) error {
	address, err := netip.ParseAddr(text)
	if err != nil {
		return fmt.Errorf("failed to parse service IP %q", text)
	}
	for _, p := range a.ranges() {
		if !serviceip.Contains(p, address) {
			continue
		}
		if a.taken(address) {
			return errAddressTaken
		}
		return nil
	}
	return errNoRange
}

// freeAddress is an address of the first range that has one left. The first address of the default
// range, which is the first of all, is for the Service of the API.
func (a *serviceAllocator) freeAddress() (netip.Addr, error) {
	var api netip.Addr
	for i, p := range a.ranges() {
		if i == 0 {
			api, _ = serviceip.At(p, 1)
		}
		address, ok := serviceip.Free(p, a.given[p], func(address netip.Addr) bool { return address == api || a.taken(address) })
		if ok {
			a.given[p] = address
			return address, nil
		}
	}
	return netip.Addr{}, errFull
}
