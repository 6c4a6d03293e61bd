package registry

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"skiff/store"
)

// Node ports come from upstream's default range (--service-node-port-range).
const (
	firstNodePort = 30000
	lastNodePort  = 32767
	// Below this one, the range is left to those who ask for a port by its number, until the rest is
	// full (KEP-3668).
	firstFreeNodePort = firstNodePort + 86
)

// Upstream's errors (pkg/registry/core/service/portallocator).
var (
	errPortTaken      = errors.New("provided port is already allocated")
	errPortOutOfRange = fmt.Errorf("provided port is not in the valid range. The range of valid ports is %d-%d", firstNodePort, lastNodePort)
)

// portsTaken says of each node port, counted from the first, whether it is taken.
type portsTaken [lastNodePort - firstNodePort + 1]bool

func (t *portsTaken) has(port int32) bool { return t[port-firstNodePort] }

func (t *portsTaken) add(port int32) {
	if port >= firstNodePort && port <= lastNodePort {
		t[port-firstNodePort] = true
	}
}

// portsTaken are those of all services, but for one if it is not nil. Unlike addresses they are read
// off all services together: the search for a free one looks at most of those that are taken.
func (a *serviceAllocator) portsTaken(but *corev1.Service) *portsTaken {
	t := &portsTaken{}
	a.store.Snapshot("services").Ascend("", store.Key{}, func(obj store.Object) bool {
		s := obj.(*corev1.Service)
		if but != nil && s.UID == but.UID {
			return true
		}
		for i := range s.Spec.Ports {
			t.add(s.Spec.Ports[i].NodePort)
		}
		t.add(s.Spec.HealthCheckNodePort)
		return true
	})
	return t
}

// givePorts gives the service the node ports its type asks for, or checks those
// it asks for itself. old is nil on create.
func (a *serviceAllocator) givePorts(s, old *corev1.Service) error {
	if !needsPorts(s) {
		return nil
	}
	t := a.portsTaken(old)
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

func giveHealthCheckPort(s *corev1.Service, t *portsTaken) error {
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

func checkPort(port int32, t *portsTaken) error {
	switch {
	case port < firstNodePort || port > lastNodePort:
		return errPortOutOfRange
	case t.has(port):
		return errPortTaken
	}
	return nil
}

// freePort is the lowest free node port that the service does not have itself.
func freePort(s *corev1.Service, t *portsTaken) (int32, error) {
	own := map[int32]bool{s.Spec.HealthCheckNodePort: true}
	for _, port := range s.Spec.Ports {
		own[port.NodePort] = true
	}
	free := func(from, to int32) int32 {
		for port := from; port <= to; port++ {
			if !t.has(port) && !own[port] {
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
