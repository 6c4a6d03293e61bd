package registry

import (
	"net/netip"
	"sync"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"skiff/manifests"
	"skiff/manifests/serviceip"
	"skiff/store"
)

// serviceAllocator gives services their cluster IPs and node ports. What is taken is read off the
// stored objects each time, so that nothing can be lost or leak. Whatever
// gives or keeps an address or a port waits for the others, so that none gets what another is about
// to store.
type serviceAllocator struct {
	registry *Registry
	store    *store.Store
	writing  sync.Mutex
	// given is the address that each range gave last, from which the search for the next one goes on.
	given map[netip.Prefix]netip.Addr
}

func newServiceAllocator(r *Registry) *serviceAllocator {
	return &serviceAllocator{registry: r, store: r.Store(), given: map[netip.Prefix]netip.Addr{}}
}

// serviceHooks are those of services.
func (a *serviceAllocator) serviceHooks() hooks {
	return hooks{
		beginCreate: func(obj store.Object) (func(), error) {
			return a.locked(func() error { return a.create(obj.(*corev1.Service)) })
		},
		beginUpdate: func(obj, old store.Object, subresource string) (func(), error) {
			if subresource != manifests.SubresourceNone {
				return nothing, nil
			}
			return a.locked(func() error { return a.update(obj.(*corev1.Service), old.(*corev1.Service)) })
		},
	}
}

// addressHooks are those of IPAddresses: one that keeps an address for somebody else can not be made
// when a service has the address.
func (a *serviceAllocator) addressHooks() hooks {
	return hooks{beginCreate: func(obj store.Object) (func(), error) {
		address := obj.(*networkingv1.IPAddress)
		if serviceip.Managed(address) {
			return nothing, nil
		}
		return a.locked(func() error {
			if len(a.store.ByIndex("services", IndexClusterIP, address.Name)) > 0 {
				return apierrors.NewAlreadyExists(ipAddresses, address.Name)
			}
			return nil
		})
	}}
}

// rangeHooks are those of ServiceCIDRs: the deletion of one begins when all services that were to
// get an address of it are stored, so that whoever sees that it is being deleted sees them too.
func (a *serviceAllocator) rangeHooks() hooks {
	return hooks{delete: func(d *deletion) bool {
		d.during = func() func() { a.writing.Lock(); return a.writing.Unlock }
		return false
	}}
}

// locked allocates, and keeps others from doing so until the function it returns is called.
func (a *serviceAllocator) locked(allocate func() error) (func(), error) {
	a.writing.Lock()
	if err := allocate(); err != nil {
		a.writing.Unlock()
		return nil, err
	}
	return a.writing.Unlock, nil
}

func (a *serviceAllocator) create(s *corev1.Service) error {
	if s.Spec.ClusterIP != "" && len(s.Spec.ClusterIPs) == 0 {
		s.Spec.ClusterIPs = []string{s.Spec.ClusterIP}
	}
	if err := settleFamilies(s, nil); err != nil {
		return err
	}
	if err := a.giveAddress(s); err != nil {
		return err
	}
	return a.givePorts(s, nil)
}

func (a *serviceAllocator) update(s, old *corev1.Service) error {
	keepAllocated(s, old)
	settleClusterIPs(s, old)
	if err := settleFamilies(s, old); err != nil {
		return err
	}
	if !needsAddress(old) && needsAddress(s) {
		if err := a.giveAddress(s); err != nil {
			return err
		}
	}
	return a.givePorts(s, old)
}

func invalidService(s *corev1.Service, errs ...*field.Error) error {
	return apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Service").GroupKind(), s.Name, errs)
}

func headless(s *corev1.Service) bool {
	return s.Spec.ClusterIP == corev1.ClusterIPNone ||
		len(s.Spec.ClusterIPs) > 0 && s.Spec.ClusterIPs[0] == corev1.ClusterIPNone
}

func needsAddress(s *corev1.Service) bool {
	return s.Spec.Type != corev1.ServiceTypeExternalName && !headless(s)
}

// needsPorts says that the type has node ports, asked for or allocated.
func needsPorts(s *corev1.Service) bool {
	return s.Spec.Type == corev1.ServiceTypeNodePort || s.Spec.Type == corev1.ServiceTypeLoadBalancer
}

func allocatesPorts(s *corev1.Service) bool {
	return s.Spec.Type == corev1.ServiceTypeNodePort ||
		s.Spec.Type == corev1.ServiceTypeLoadBalancer && ptr.Deref(s.Spec.AllocateLoadBalancerNodePorts, true)
}

func needsHealthCheckPort(s *corev1.Service) bool {
	return s.Spec.Type == corev1.ServiceTypeLoadBalancer &&
		s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}
