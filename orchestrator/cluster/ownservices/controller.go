// Package ownservices keeps the endpoints of Services behind which skiff itself stands: its API, which
// is default/kubernetes, and its DNS. No pod is behind them, so nobody else would say where they lead.
//
// The form is that in which upstream's API server publishes itself
// (k8s.io/kubernetes/pkg/controlplane/reconcilers): Endpoints that are not to be mirrored, and one
// EndpointSlice of the Service's name.
package ownservices

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"skiff/manifests/registry"
	"skiff/orchestrator/cluster/backends"
	"skiff/orchestrator/controller"
	"skiff/store"
)

// Port is a port of a Service, by its name there.
type Port struct {
	Name     string
	Protocol corev1.Protocol
}

// Backend is where a Service of skiff's own leads.
type Backend struct {
	// Service names it.
	Service types.NamespacedName
	// Ports are those of the Service. All of them lead to the port of the backend's address.
	Ports []Port

	mu      sync.Mutex
	address netip.AddrPort
	told    bool   // Set has been called
	changed func() // nil while the controller does not run
}

// API is behind the Service by which every cluster's API is known.
func API() *Backend {
	return &Backend{
		Service: types.NamespacedName{Namespace: "default", Name: "kubernetes"},
		Ports:   []Port{{"https", corev1.ProtocolTCP}},
	}
}

// DNS is behind the Service by which every cluster's DNS is known.
func DNS() *Backend {
	return &Backend{
		Service: types.NamespacedName{Namespace: "kube-system", Name: "kube-dns"},
		Ports:   []Port{{"dns", corev1.ProtocolUDP}, {"dns-tcp", corev1.ProtocolTCP}},
	}
}

// Set says where the Service leads from now on. The zero AddrPort says that it is not known: then the
// Service has no endpoints. Before the first Set it keeps those that an earlier daemon has given it.
// Endpoints can not be loopback or link-local addresses: it must be one at
// which pods reach skiff. Set may be called at any time, and never waits.
func (b *Backend) Set(at netip.AddrPort) {
	at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.told && b.address == at {
		return
	}
	b.address, b.told = at, true
	if b.changed != nil {
		b.changed()
	}
}

func (b *Backend) at() (at netip.AddrPort, told bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.address, b.told
}

// source puts the Service in a queue whenever its backend moves.
func (b *Backend) source(_ context.Context, queue controller.Queue[key]) (detach func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.changed = func() { queue.Add(b.Service) }
	b.changed()
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.changed = nil
	}, nil
}

// Options are what the controller needs.
type Options struct {
	controller.Env

	// Backends are what the Services lead to, one for each.
	Backends []*Backend
}

// Controller keeps the endpoints of skiff's own Services.
type Controller struct {
	backends  map[key]*Backend
	services  registry.Client[*corev1.Service]
	endpoints registry.Client[*corev1.Endpoints]
	slices    registry.Client[*discoveryv1.EndpointSlice]
	options   Options
	logger    *slog.Logger
}

// New returns the controller.
func New(o Options) *Controller {
	c := &Controller{
		backends: map[key]*Backend{}, services: registry.For[*corev1.Service](o.Registry),
		endpoints: registry.For[*corev1.Endpoints](o.Registry), slices: registry.For[*discoveryv1.EndpointSlice](o.Registry),
		options: o, logger: o.Logger.With("controller", "ownservices"),
	}
	for _, b := range o.Backends {
		c.backends[b.Service] = b
	}
	return c
}

type key = types.NamespacedName

// Run reconciles until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	loop := controller.Loop[key]{Name: "ownservices", Reconcile: c.reconcile, Env: c.options.Env}
	for _, b := range c.options.Backends {
		loop.Sources = append(loop.Sources, b.source)
	}
	for _, resource := range []string{"services", "endpoints", "endpointslices.discovery.k8s.io"} {
		loop.Sources = append(loop.Sources, c.named(c.options.Feeds.Of(resource)))
	}
	return loop.Run(ctx)
}

// named makes a source of the objects that have the name of one of the Services: the Service, its
// Endpoints and its slice have the same.
func (c *Controller) named(feed *controller.Feed) controller.Source[key] {
	return func(ctx context.Context, queue controller.Queue[key]) (func(), error) {
		return feed.Subscribe(ctx, func(e store.Event) {
			if name := controller.NameOf(e.Object); c.backends[name] != nil {
				queue.Add(name)
			}
		})
	}
}

// reconcile looks at one Service: observe, plan, execute.
func (c *Controller) reconcile(ctx context.Context, k key) (time.Duration, error) {
	s, err := c.observe(k)
	if err != nil {
		return 0, err
	}
	p := makePlan(s)
	if text := p.String(); text != "" {
		c.logger.Debug("plan", "service", k.String(), "steps", text)
	}
	if err := c.execute(ctx, k, p); err != nil {
		return 0, fmt.Errorf("endpoints of Service %s: %w", k, backends.Overtaken(err))
	}
	return 0, nil
}

func (c *Controller) observe(k key) (snapshot, error) {
	s := snapshot{backend: c.backends[k]}
	s.at, s.told = s.backend.at()
	var errs [3]error
	s.service, errs[0] = found(c.services.Get(k.Namespace, k.Name))
	s.endpoints, errs[1] = found(c.endpoints.Get(k.Namespace, k.Name))
	s.slice, errs[2] = found(c.slices.Get(k.Namespace, k.Name))
	for _, err := range errs {
		if err != nil {
			return s, fmt.Errorf("reading the endpoints of Service %s: %w", k, err)
		}
	}
	return s, nil
}

// found makes nil of what there is none of.
func found[T any](o *T, err error) (*T, error) {
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return o, err
}

// execute carries out the steps as long as the objects are what was seen.
func (c *Controller) execute(ctx context.Context, k key, p plan) error {
	switch p.endpoints.verb {
	case create:
		if _, err := c.endpoints.Create(ctx, p.endpoints.want); err != nil {
			return fmt.Errorf("creating Endpoints: %w", err)
		}
	case update:
		_, err := c.endpoints.Update(ctx, k.Namespace, k.Name, func(e *corev1.Endpoints) error {
			if e.ResourceVersion != p.endpoints.seen.ResourceVersion {
				return controller.ErrOvertaken
			}
			e.Labels, e.Subsets = p.endpoints.want.Labels, p.endpoints.want.Subsets
			return nil
		})
		if err != nil {
			return fmt.Errorf("updating Endpoints: %w", err)
		}
	}
	switch p.slice.verb {
	case create:
		if _, err := c.slices.Create(ctx, p.slice.want); err != nil {
			return fmt.Errorf("creating the slice: %w", err)
		}
	case update:
		_, err := c.slices.Update(ctx, k.Namespace, k.Name, func(s *discoveryv1.EndpointSlice) error {
			if s.ResourceVersion != p.slice.seen.ResourceVersion {
				return controller.ErrOvertaken
			}
			s.Labels, s.Ports, s.Endpoints = p.slice.want.Labels, p.slice.want.Ports, p.slice.want.Endpoints
			return nil
		})
		if err != nil {
			return fmt.Errorf("updating the slice: %w", err)
		}
	case remove:
		if err := c.slices.Delete(ctx, k.Namespace, k.Name, controller.AsSeen(p.slice.seen)); err != nil {
			return fmt.Errorf("deleting the slice: %w", err)
		}
	}
	return nil
}
