package registry

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"skiff/manifests"
	"skiff/store"
)

// Node ports come from upstream's default range (--service-node-port-range).
const (
	firstNodePort = 30000
	lastNodePort  = 32767
	// Below these, the range is left to those who ask for a port or an address by
	// its number, until the rest is full (KEP-3668, KEP-3070).
	firstFreeNodePort  = firstNodePort + 86
	firstFreeAddressAt = 256
)

// Upstream's errors (pkg/registry/core/service/{ip,port}allocator).
var (
	errFull           = errors.New("range is full")
	errAddressTaken   = errors.New("provided IP is already allocated")
	errPortTaken      = errors.New("provided port is already allocated")
	errPortOutOfRange = fmt.Errorf("provided port is not in the valid range. The range of valid ports is %d-%d", firstNodePort, lastNodePort)
)

// serviceAllocator gives services their cluster IPs and node ports. What is
// taken is read off the stored services each time, so that nothing can be lost
// or leak; writes of services wait for one another, so that none gets what
// another is about to store.
type serviceAllocator struct {
	store   *store.Store
	network netip.Prefix
	writing sync.Mutex
}

func newServiceAllocator(s *store.Store, network netip.Prefix) *serviceAllocator {
	return &serviceAllocator{store: s, network: network.Masked()}
}

func (a *serviceAllocator) hooks() hooks {
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

// locked allocates, and keeps other services from doing so until the function it
// returns is called.
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
	taken := a.taken(nil)
	if err := a.giveAddress(s, taken); err != nil {
		return err
	}
	return givePorts(s, taken)
}

func (a *serviceAllocator) update(s, old *corev1.Service) error {
	keepAllocated(s, old)
	settleClusterIPs(s, old)
	if err := settleFamilies(s, old); err != nil {
		return err
	}
	taken := a.taken(old)
	if !needsAddress(old) && needsAddress(s) {
		if err := a.giveAddress(s, taken); err != nil {
			return err
		}
	}
	return givePorts(s, taken)
}

// taken is what services other than one have.
type taken struct {
	addresses map[netip.Addr]bool
	ports     map[int32]bool
}

func (a *serviceAllocator) taken(but *corev1.Service) taken {
	t := taken{addresses: map[netip.Addr]bool{}, ports: map[int32]bool{}}
	a.store.Snapshot("services").Ascend("", store.Key{}, func(obj store.Object) bool {
		s := obj.(*corev1.Service)
		if but != nil && s.UID == but.UID {
			return true
		}
		for _, text := range s.Spec.ClusterIPs {
			if address, err := netip.ParseAddr(text); err == nil {
				t.addresses[address] = true
			}
		}
		for _, port := range s.Spec.Ports {
			t.ports[port.NodePort] = true
		}
		t.ports[s.Spec.HealthCheckNodePort] = true
		return true
	})
	delete(t.ports, 0)
	return t
}

// giveAddress gives the service a cluster IP, or checks the one it asks for.
func (a *serviceAllocator) giveAddress(s *corev1.Service, t taken) error {
	if !needsAddress(s) {
		return nil
	}
	if len(s.Spec.ClusterIPs) > 0 && s.Spec.ClusterIPs[0] != "" {
		if err := a.checkAddress(s.Spec.ClusterIPs[0], t); err != nil {
			reason := fmt.Sprintf("failed to allocate IP %v: %v", s.Spec.ClusterIPs[0], err)
			return invalidService(s, field.Invalid(field.NewPath("spec", "clusterIPs"), s.Spec.ClusterIPs, reason))
		}
		return nil
	}
	address, err := a.freeAddress(t)
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("failed to allocate a serviceIP for Service %q: %w", s.Name, err))
	}
	s.Spec.ClusterIP = address.String()
	s.Spec.ClusterIPs = []string{s.Spec.ClusterIP}
	return nil
}

func (a *serviceAllocator) checkAddress(text string, t taken) error {
	address, err := netip.ParseAddr(text)
	if err != nil {
		return fmt.Errorf("failed to parse service IP %q", text)
	}
	if !a.network.Contains(address) || address == a.network.Addr() {
		return fmt.Errorf("the provided IP (%v) is not in the valid range. The range of valid IPs is %s", address, a.network)
	}
	if t.addresses[address] {
		return errAddressTaken
	}
	return nil
}

// freeAddress is the lowest free address, of those that are not left for
// services that ask for a certain one while there are others.
func (a *serviceAllocator) freeAddress(t taken) (netip.Addr, error) {
	var reserved netip.Addr
	// The first address names the network, the second is for the service
	// "kubernetes", the last is the broadcast address.
	address := a.network.Addr().Next().Next()
	for i := 2; a.network.Contains(address.Next()); i, address = i+1, address.Next() {
		if t.addresses[address] {
			continue
		}
		if i >= firstFreeAddressAt {
			return address, nil
		}
		if !reserved.IsValid() {
			reserved = address
		}
	}
	if reserved.IsValid() {
		return reserved, nil
	}
	return netip.Addr{}, errFull
}

// givePorts gives the service the node ports its type asks for, or checks those
// it asks for itself.
func givePorts(s *corev1.Service, t taken) error {
	if !needsPorts(s) {
		return nil
	}
	// Ports of one number, for several protocols, get one node port.
	byPort := map[int32]int32{}
	for i := range s.Spec.Ports {
		port := &s.Spec.Ports[i]
		if port.NodePort == 0 {
			continue
		}
		if err := checkPort(port.NodePort, t); err != nil {
			at := field.NewPath("spec", "ports").Index(i).Child("nodePort")
			return invalidService(s, field.Invalid(at, port.NodePort, err.Error()))
		}
		byPort[port.Port] = port.NodePort
	}
	for i := range s.Spec.Ports {
		port := &s.Spec.Ports[i]
		if port.NodePort != 0 || !allocatesPorts(s) {
			continue
		}
		if byPort[port.Port] == 0 {
			free, err := freePort(s, t)
			if err != nil {
				return apierrors.NewInternalError(fmt.Errorf("failed to allocate a nodePort: %w", err))
			}
			byPort[port.Port] = free
		}
		port.NodePort = byPort[port.Port]
	}
	return giveHealthCheckPort(s, t)
}

func giveHealthCheckPort(s *corev1.Service, t taken) error {
	if !needsHealthCheckPort(s) {
		return nil
	}
	if port := s.Spec.HealthCheckNodePort; port != 0 {
		if err := checkPort(port, t); err != nil {
			return apierrors.NewInternalError(fmt.Errorf("failed to allocate requested HealthCheck NodePort %v: %w", port, err))
		}
		return nil
	}
	port, err := freePort(s, t)
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("failed to allocate a HealthCheck NodePort: %w", err))
	}
	s.Spec.HealthCheckNodePort = port
	return nil
}

func checkPort(port int32, t taken) error {
	switch {
	case port < firstNodePort || port > lastNodePort:
		return errPortOutOfRange
	case t.ports[port]:
		return errPortTaken
	}
	return nil
}

// freePort is the lowest free node port that the service does not have itself.
func freePort(s *corev1.Service, t taken) (int32, error) {
	own := map[int32]bool{s.Spec.HealthCheckNodePort: true}
	for _, port := range s.Spec.Ports {
		own[port.NodePort] = true
	}
	free := func(from, to int32) int32 {
		for port := from; port <= to; port++ {
			if !t.ports[port] && !own[port] {
				return port
			}
		}
		return 0
	}
	if port := free(firstFreeNodePort, lastNodePort); port != 0 {
		return port, nil
	}
	if port := free(firstNodePort, firstFreeNodePort-1); port != 0 {
		return port, nil
	}
	return 0, errFull
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
