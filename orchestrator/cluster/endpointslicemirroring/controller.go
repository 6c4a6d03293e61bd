// Package endpointslicemirroring copies the Endpoints that somebody keeps for a Service without a
// selector into EndpointSlices, which is where everybody reads.
//
// The rules are those of upstream's controller (k8s.io/kubernetes/pkg/controller/endpointslicemirroring).
package endpointslicemirroring

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"skiff/manifests/registry"
	"skiff/orchestrator/cluster/backends"
	"skiff/orchestrator/controller"
)

const (
	// ManagedBy is the value of the label endpointslice.kubernetes.io/managed-by on mirrored slices:
	// upstream's.
	ManagedBy = "endpointslicemirroring-controller.k8s.io"
	// Component is the controller's name in events.
	Component = "endpoint-slice-mirroring-controller"
)

// Options are what the controller needs.
type Options struct {
	controller.Env

	// Workers is how many Endpoints are looked at a time.
	Workers int
}

// Controller mirrors Endpoints.
type Controller struct {
	services  registry.Client[*corev1.Service]
	endpoints registry.Client[*corev1.Endpoints]
	slices    registry.Client[*discoveryv1.EndpointSlice]
	recorder  controller.Recorder
	options   Options
	logger    *slog.Logger
}

// New returns the controller.
func New(o Options) *Controller {
	return &Controller{
		services: registry.For[*corev1.Service](o.Registry), endpoints: registry.For[*corev1.Endpoints](o.Registry),
		slices: registry.For[*discoveryv1.EndpointSlice](o.Registry), recorder: o.Recorder(Component),
		options: o, logger: o.Logger.With("controller", "endpointslicemirroring"),
	}
}

type key = types.NamespacedName

// Run reconciles until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	feeds := c.options.Feeds
	loop := controller.Loop[key]{
		Name: "endpointslicemirroring", Workers: c.options.Workers, Reconcile: c.reconcile,
		Sources: []controller.Source[key]{
			controller.Follow(feeds.Of("endpoints"), c.mirrored),
			controller.Follow(feeds.Of("services"), adopted),
			controller.Follow(feeds.Of("endpointslices.discovery.k8s.io"), mirrors),
		},
		Env: c.options.Env,
	}
	return loop.Run(ctx)
}

// mirrored adds Endpoints that may have to be mirrored or might have been: most belong to Services
// that select their pods.
func (c *Controller) mirrored(now, before *corev1.Endpoints, add func(key)) {
	for _, e := range []*corev1.Endpoints{now, before} {
		if e == nil || !mirrorable(e) {
			continue
		}
		if s, err := c.services.Get(e.Namespace, e.Name); err != nil || len(s.Spec.Selector) == 0 {
			add(controller.NameOf(e))
		}
	}
}

// adopted adds the name of a Service that is new or gone, or whose selector came or went.
func adopted(now, before *corev1.Service, add func(key)) {
	switch {
	case now == nil:
		add(controller.NameOf(before))
	case before == nil || (len(now.Spec.Selector) == 0) != (len(before.Spec.Selector) == 0):
		add(controller.NameOf(now))
	}
}

// mirrors adds the Service that a mirrored slice names, or named.
func mirrors(now, before *discoveryv1.EndpointSlice, add func(key)) {
	backends.ServicesOf(ManagedBy, now, before, add)
}

// reconcile looks at the Endpoints of one name: observe, plan, execute.
func (c *Controller) reconcile(ctx context.Context, k key) (time.Duration, error) {
	s, err := c.observe(k)
	if err != nil {
		return 0, err
	}
	p := makePlan(s)
	if len(p.steps) > 0 && c.logger.Enabled(ctx, slog.LevelDebug) {
		c.logger.Debug("plan", "endpoints", k.String(), "steps", backends.Text(p.steps))
	}
	if p.skipped > 0 {
		c.recorder.Event(s.endpoints, corev1.EventTypeWarning, "TooManyAddressesToMirror",
			"A max of %d addresses can be mirrored to EndpointSlices per Endpoints subset. %d addresses were skipped", capacity, p.skipped)
	}
	if err := backends.Execute(ctx, c.slices, p.steps); err != nil {
		return 0, fmt.Errorf("mirroring Endpoints %s: %w", k, err)
	}
	return 0, nil
}

// observe reads what the mirrored slices depend on.
func (c *Controller) observe(k key) (snapshot, error) {
	var s snapshot
	endpoints, err := c.endpoints.Get(k.Namespace, k.Name)
	switch {
	case err == nil:
		s.endpoints = endpoints
	case !apierrors.IsNotFound(err):
		return s, fmt.Errorf("reading Endpoints %s: %w", k, err)
	}
	service, err := c.services.Get(k.Namespace, k.Name)
	switch {
	case err == nil:
		s.service = service
	case !apierrors.IsNotFound(err):
		return s, fmt.Errorf("reading Service %s: %w", k, err)
	}
	s.slices = backends.Kept(c.slices, ManagedBy, k.Namespace, k.Name)
	return s, nil
}
