package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"

	"skiff/manifests/serviceip"
	"skiff/store"
)

// Numbers of the addresses, in the default range, of the services that every cluster has.
const (
	// APIServiceNumber is that of default/kubernetes, which clients take for granted
	// (k8s.io/kubernetes/pkg/controlplane/controller/kubernetesservice).
	APIServiceNumber = 1
	// DNSServiceNumber is that of kube-system/kube-dns, as kubeadm has it.
	DNSServiceNumber = 10
)

// Services carries out what is done to the addresses of all services at once, which no request can.
type Services struct{ registry *Registry }

// Services returns the acts on services.
func (r *Registry) Services() Services { return Services{r} }

// Move is a service's change of address. To is not valid if the range had no address left for it:
// then the service keeps the one that is out of range.
type Move struct {
	Service  *corev1.Service // as it is stored now, read-only
	From, To netip.Addr
}

// SetRange makes the ServiceCIDR "kubernetes" have the IPv4 range, no other one, and be ready: it is
// changed, made, or, if it is being deleted, made anew. Each service whose cluster IP does not lie in
// the range gets one that does and that avoid, unless nil, does not name: default/kubernetes the
// range's first, kube-system/kube-dns its tenth, all others any. All of that is one transaction, and
// services that are created meanwhile wait for it. If all is as it should be nothing is written.
func (s Services) SetRange(ctx context.Context, to netip.Prefix, avoid func(netip.Addr) bool) ([]Move, error) {
	to = to.Masked()
	if _, ok := serviceip.At(to, APIServiceNumber); !ok {
		return nil, fmt.Errorf("setting the range of services: %s is not an IPv4 range with addresses for services", to)
	}
	s.registry.allocator.writing.Lock()
	defer s.registry.allocator.writing.Unlock()
	for {
		p := planRenumbering(s.observe(to, avoid))
		moves, err := s.carryOut(ctx, p)
		if raced(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("setting the range of services to %s: %w", to, err)
		}
		return moves, nil
	}
}

// RestoreRange makes the ServiceCIDR "kubernetes" anew, with the range that it has, if it is being
// deleted. It moves no services.
func (s Services) RestoreRange(ctx context.Context) error {
	s.registry.allocator.writing.Lock()
	defer s.registry.allocator.writing.Unlock()
	c, ok := s.defaultCIDR()
	if !ok || c.DeletionTimestamp == nil {
		return nil
	}
	to, ok := serviceip.IPv4(c)
	if !ok {
		return fmt.Errorf("restoring the range of services: ServiceCIDR %s names no IPv4 range", c.Name)
	}
	for {
		now, _ := s.defaultCIDR()
		_, err := s.carryOut(ctx, planRenumbering(rangeSnapshot{to: to, cidr: now}))
		if raced(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("restoring the range of services to %s: %w", to, err)
		}
		return nil
	}
}

// DefaultRange is the range of the ServiceCIDR "kubernetes", and whether there is one.
func (s Services) DefaultRange() (netip.Prefix, bool) {
	c, ok := s.defaultCIDR()
	if !ok {
		return netip.Prefix{}, false
	}
	return serviceip.IPv4(c)
}

func (s Services) defaultCIDR() (*networkingv1.ServiceCIDR, bool) {
	obj, ok := s.registry.options.Store.Get(store.Key{Resource: serviceCIDRs.String(), Name: serviceip.DefaultCIDR})
	if !ok {
		return nil, false
	}
	return obj.(*networkingv1.ServiceCIDR), true
}

// rangeSnapshot is what SetRange decides on.
type rangeSnapshot struct {
	to       netip.Prefix
	cidr     *networkingv1.ServiceCIDR // the default one, nil if there is none
	services []*corev1.Service
	// kept reports whether an address is kept for somebody else, or is to be avoided.
	kept func(netip.Addr) bool
}

func (s Services) observe(to netip.Prefix, avoid func(netip.Addr) bool) rangeSnapshot {
	st := s.registry.options.Store
	seen := rangeSnapshot{to: to, kept: func(address netip.Addr) bool {
		obj, kept := st.Get(store.Key{Resource: ipAddresses.String(), Name: address.String()})
		return kept && !serviceip.Managed(obj.(*networkingv1.IPAddress)) || avoid != nil && avoid(address)
	}}
	seen.cidr, _ = s.defaultCIDR()
	st.Snapshot("services").Ascend("", store.Key{}, func(obj store.Object) bool {
		seen.services = append(seen.services, obj.(*corev1.Service))
		return true
	})
	return seen
}

// renumbering is what is to be done.
type renumbering struct {
	to netip.Prefix
	// cause is why the ServiceCIDR is to be written, "" if it is as it should be, and seen what is to be
	// changed. If anew is set the one that was seen goes first.
	cause string
	seen  *networkingv1.ServiceCIDR
	anew  bool
	moves []Move // of services as they were seen
	stuck []Move
}

// String is the plan's steps, one a line, each with its cause.
func (p renumbering) String() string {
	var lines []string
	if p.cause != "" {
		lines = append(lines, fmt.Sprintf("set ServiceCIDR %s to %s: %s", serviceip.DefaultCIDR, p.to, p.cause))
	}
	for _, m := range p.moves {
		lines = append(lines, fmt.Sprintf("move Service %s from %s to %s: it is out of range", nameOf(m.Service), m.From, m.To))
	}
	for _, m := range p.stuck {
		lines = append(lines, fmt.Sprintf("leave Service %s at %s: the range is full", nameOf(m.Service), m.From))
	}
	return strings.Join(lines, "\n")
}

func nameOf(s *corev1.Service) string { return s.Namespace + "/" + s.Name }

func planRenumbering(s rangeSnapshot) renumbering {
	p := renumbering{to: s.to, seen: s.cidr}
	switch c := s.cidr; {
	case c == nil:
		p.cause = "there is none"
	case c.DeletionTimestamp != nil:
		p.cause, p.anew = "it is being deleted", true
	case !slices.Equal(c.Spec.CIDRs, []string{s.to.String()}):
		p.cause = "it is " + strings.Join(c.Spec.CIDRs, ", ")
	case !serviceip.Ready(c):
		p.cause = "it is not ready"
	}
	taken := map[netip.Addr]bool{}
	var out []*corev1.Service
	for _, service := range s.services {
		for _, address := range serviceip.Of(service) {
			taken[address] = true
			if address.Is4() && !serviceip.Contains(s.to, address) {
				out = append(out, service)
			}
		}
	}
	// Those with an address of their own choose first.
	slices.SortStableFunc(out, func(a, b *corev1.Service) int { return cmp.Compare(choosesLate(a), choosesLate(b)) })
	var last netip.Addr
	for _, service := range out {
		m := Move{Service: service, From: serviceip.Of(service)[0]}
		to, ok := place(s, service, last, func(a netip.Addr) bool { return taken[a] || s.kept(a) })
		if !ok {
			p.stuck = append(p.stuck, m)
			continue
		}
		if wellKnown(service) == 0 {
			last = to
		}
		taken[to], m.To = true, to
		p.moves = append(p.moves, m)
	}
	return p
}

// place is the address that a service gets: that of its number if it has one that is free, or else
// the next free one after the last that was given.
func place(s rangeSnapshot, service *corev1.Service, last netip.Addr, taken func(netip.Addr) bool) (netip.Addr, bool) {
	if n := wellKnown(service); n > 0 {
		if a, ok := serviceip.At(s.to, n); ok && !taken(a) {
			return a, true
		}
	}
	return serviceip.Free(s.to, last, taken)
}

// wellKnown is the number of a service's address in its range, 0 if any will do.
func wellKnown(s *corev1.Service) uint64 {
	switch nameOf(s) {
	case "default/kubernetes":
		return APIServiceNumber
	case "kube-system/kube-dns":
		return DNSServiceNumber
	}
	return 0
}

func choosesLate(s *corev1.Service) int {
	if wellKnown(s) > 0 {
		return 0
	}
	return 1
}

// carryOut stores what the plan says. It fails with an error of the store when another writer came
// first.
func (s Services) carryOut(ctx context.Context, p renumbering) ([]Move, error) {
	var changes []store.Change
	for _, m := range p.moves {
		change, err := moved(m)
		if err != nil {
			return nil, err
		}
		changes = append(changes, change)
	}
	if p.cause != "" {
		change, err := s.rangeChange(ctx, p)
		if err != nil {
			return nil, err
		}
		changes = append(changes, change)
	}
	stored, err := s.registry.options.Store.Commit(ctx, changes...)
	if err != nil {
		return nil, err
	}
	for i := range p.moves {
		p.moves[i].Service = stored[i].(*corev1.Service)
	}
	return append(p.moves, p.stuck...), nil
}

func moved(m Move) (store.Change, error) {
	revision, err := revisionOf(m.Service)
	if err != nil {
		return store.Change{}, err
	}
	s := m.Service.DeepCopy()
	s.Spec.ClusterIP, s.Spec.ClusterIPs = m.To.String(), []string{m.To.String()}
	return store.Change{Key: store.Key{Resource: "services", Namespace: s.Namespace, Name: s.Name}, Expect: revision, Object: s}, nil
}

// rangeChange is the change that sets the ServiceCIDR. One that is being deleted can not come to life
// again: it is removed here. Nobody who waits for an address sees that there is none.
func (s Services) rangeChange(ctx context.Context, p renumbering) (store.Change, error) {
	change := store.Change{Key: store.Key{Resource: serviceCIDRs.String(), Name: serviceip.DefaultCIDR}}
	now := metav1.NewTime(s.registry.options.Clock.Now()).Rfc3339Copy()
	c := &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{
		Name: serviceip.DefaultCIDR, UID: uuid.NewUUID(), CreationTimestamp: now, Finalizers: []string{serviceip.Finalizer},
	}}
	if p.seen != nil {
		revision, err := revisionOf(p.seen)
		if err != nil {
			return change, err
		}
		change.Expect = revision
	}
	switch {
	case p.anew:
		if _, err := s.registry.options.Store.Commit(ctx, change); err != nil && !errors.Is(err, store.ErrNotFound) {
			return change, err
		}
		change.Expect = 0
	case p.seen != nil:
		c = p.seen.DeepCopy()
	}
	c.Spec.CIDRs = []string{p.to.String()}
	meta.SetStatusCondition(&c.Status.Conditions, serviceip.IsReady(now))
	change.Object = c
	return change, nil
}
