// Package servicecidrs keeps, for the address of each service, the IPAddress that says whose it is,
// and says of each ServiceCIDR whether services may get its addresses. The rules are those of
// upstream's service-cidr-controller and ipallocator-repair-controller
// (k8s.io/kubernetes/pkg/controller/servicecidrs and pkg/registry/core/service/ipallocator/controller).
package servicecidrs

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"skiff/manifests/registry"
	"skiff/manifests/serviceip"
	"skiff/orchestrator/controller"
)

// Options are what the controller needs.
type Options struct {
	controller.Env

	// Workers is how many addresses are looked at a time.
	Workers int
}

// Controller reconciles IPAddresses and ServiceCIDRs.
type Controller struct {
	options   Options
	registry  *registry.Registry
	clock     clock.Clock
	services  registry.Client[*corev1.Service]
	addresses registry.Client[*networkingv1.IPAddress]
	cidrs     registry.Client[*networkingv1.ServiceCIDR]
}

// New returns the controller.
func New(o Options) *Controller {
	return &Controller{
		options: o, registry: o.Registry, clock: o.Clock,
		services:  registry.For[*corev1.Service](o.Registry),
		addresses: registry.For[*networkingv1.IPAddress](o.Registry),
		cidrs:     registry.For[*networkingv1.ServiceCIDR](o.Registry),
	}
}

// Run reconciles until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	services, ipAddresses := c.options.Feeds.Of("services"), c.options.Feeds.Of("ipaddresses.networking.k8s.io")
	addresses := controller.Loop[netip.Addr]{
		Name: "service-addresses", Workers: c.options.Workers, Reconcile: c.reconcileAddress,
		Sources: []controller.Source[netip.Addr]{
			controller.Follow(services, changedAddresses), controller.Follow(ipAddresses, ownAddress),
		},
		Env: c.options.Env,
	}
	cidrs := controller.Loop[types.NamespacedName]{
		Name: "servicecidrs", Reconcile: c.reconcileCIDR,
		Sources: []controller.Source[types.NamespacedName]{
			controller.Follow(c.options.Feeds.Of("servicecidrs.networking.k8s.io"), c.concernsAll),
			controller.Follow(services, blocks(c, changedAddresses)), controller.Follow(ipAddresses, blocks(c, ownAddress)),
		},
		Env: c.options.Env,
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return addresses.Run(ctx) })
	group.Go(func() error { return cidrs.Run(ctx) })
	return group.Wait()
}

// changedAddresses adds the addresses that a service has, or had, unless it has what it had.
func changedAddresses(now, before *corev1.Service, add func(netip.Addr)) {
	var has, had []netip.Addr
	if now != nil {
		has = serviceip.Of(now)
	}
	if before != nil {
		had = serviceip.Of(before)
	}
	if now != nil && before != nil && now.UID == before.UID && slices.Equal(has, had) {
		return
	}
	for _, a := range append(has, had...) {
		add(a)
	}
}

func ownAddress(now, before *networkingv1.IPAddress, add func(netip.Addr)) {
	if now == nil {
		now = before
	}
	if a, err := netip.ParseAddr(now.Name); err == nil {
		add(a)
	}
}

// concernsAll adds a ServiceCIDR that has changed, and all others if they may have to do with what
// has: what is in reach, or what else contains an address.
func (c *Controller) concernsAll(now, before *networkingv1.ServiceCIDR, add func(types.NamespacedName)) {
	if now != nil {
		add(controller.NameOf(now))
	}
	if now != nil && before != nil && slices.Equal(now.Spec.CIDRs, before.Spec.CIDRs) &&
		(now.DeletionTimestamp == nil) == (before.DeletionTimestamp == nil) {
		return
	}
	for _, other := range c.cidrs.List("", nil) {
		add(controller.NameOf(other))
	}
}

// blocks makes of the addresses that a change concerns the ServiceCIDRs that may wait for them.
func blocks[T any](c *Controller, addresses func(now, before T, add func(netip.Addr))) func(now, before T, add func(types.NamespacedName)) {
	return func(now, before T, add func(types.NamespacedName)) {
		var waiting []*networkingv1.ServiceCIDR
		for _, cidr := range c.cidrs.List("", nil) {
			if cidr.DeletionTimestamp != nil {
				waiting = append(waiting, cidr)
			}
		}
		if len(waiting) == 0 {
			return
		}
		addresses(now, before, func(a netip.Addr) {
			for _, cidr := range waiting {
				if contains(cidr, a) {
					add(controller.NameOf(cidr))
				}
			}
		})
	}
}

// reconcileAddress looks at one address: observe, plan, execute.
func (c *Controller) reconcileAddress(ctx context.Context, address netip.Addr) (time.Duration, error) {
	s := addressSnapshot{address: address, services: c.services.ByIndex(registry.IndexClusterIP, address.String())}
	stored, err := c.addresses.Get("", address.String())
	switch {
	case err == nil:
		s.stored = stored
	case !apierrors.IsNotFound(err):
		return 0, fmt.Errorf("reading IPAddress %s: %w", address, err)
	}
	if err := c.followService(ctx, planAddress(s)); err != nil {
		return 0, fmt.Errorf("IPAddress %s: %w", address, err)
	}
	return 0, nil
}

// followService carries a plan out. Whoever comes between, a service or an IPAddress of the name, has
// put the address into the queue again.
func (c *Controller) followService(ctx context.Context, p addressPlan) error {
	var err error
	switch p.do {
	case create:
		_, err = c.addresses.Create(ctx, addressOf(p.address, p.service))
	case remove:
		err = c.addresses.Delete(ctx, "", p.seen.Name, controller.AsSeen(p.seen))
	case label:
		_, err = c.addresses.Update(ctx, "", p.seen.Name, func(now *networkingv1.IPAddress) error {
			if now.ResourceVersion != p.seen.ResourceVersion {
				return controller.ErrOvertaken
			}
			if now.Labels == nil {
				now.Labels = map[string]string{}
			}
			for key, value := range labelsOf(p.address) {
				now.Labels[key] = value
			}
			return nil
		})
	}
	if apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) {
		return controller.ErrOvertaken
	}
	return err
}

// reconcileCIDR looks at one ServiceCIDR: observe, plan, execute.
func (c *Controller) reconcileCIDR(ctx context.Context, key types.NamespacedName) (time.Duration, error) {
	s := cidrSnapshot{all: c.cidrs.List("", nil), now: metav1.NewTime(c.clock.Now())}
	i := slices.IndexFunc(s.all, func(cidr *networkingv1.ServiceCIDR) bool { return cidr.Name == key.Name })
	if i < 0 {
		return 0, nil
	}
	s.cidr = s.all[i]
	if s.cidr.DeletionTimestamp != nil {
		s.used = c.used()
	}
	if err := c.settle(ctx, s.cidr, planCIDR(s)); err != nil {
		return 0, fmt.Errorf("ServiceCIDR %s: %w", key.Name, err)
	}
	return 0, nil
}

// used are the addresses that services have, those included that are gone but whose IPAddress is
// not.
func (c *Controller) used() []netip.Addr {
	var used []netip.Addr
	for _, s := range c.services.List("", nil) {
		used = append(used, serviceip.Of(s)...)
	}
	for _, a := range c.addresses.List("", nil) {
		if address, err := netip.ParseAddr(a.Name); err == nil && serviceip.Managed(a) {
			used = append(used, address)
		}
	}
	return used
}

// settle carries a plan out, as long as the ServiceCIDR is what was seen.
func (c *Controller) settle(ctx context.Context, seen *networkingv1.ServiceCIDR, p cidrPlan) error {
	if p.replace {
		return c.registry.Services().RestoreRange(ctx)
	}
	version := seen.ResourceVersion
	change := func(do func(*networkingv1.ServiceCIDR)) func(*networkingv1.ServiceCIDR) error {
		return func(now *networkingv1.ServiceCIDR) error {
			if now.UID != seen.UID || now.ResourceVersion != version {
				return controller.ErrOvertaken
			}
			do(now)
			return nil
		}
	}
	var err error
	if p.protect || p.release {
		var stored *networkingv1.ServiceCIDR
		stored, err = c.cidrs.Update(ctx, "", seen.Name, change(func(now *networkingv1.ServiceCIDR) {
			now.Finalizers = slices.DeleteFunc(now.Finalizers, func(f string) bool { return f == serviceip.Finalizer })
			if p.protect {
				now.Finalizers = append(now.Finalizers, serviceip.Finalizer)
			}
		}))
		if err == nil {
			version = stored.ResourceVersion
		}
	}
	if err == nil && p.condition != nil {
		_, err = c.cidrs.UpdateStatus(ctx, "", seen.Name, change(func(now *networkingv1.ServiceCIDR) {
			meta.SetStatusCondition(&now.Status.Conditions, *p.condition)
		}))
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
