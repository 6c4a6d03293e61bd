// Package endpoints keeps the Endpoints of Services that select pods. They are older than
// EndpointSlices and say the same, up to a thousand addresses.
//
// The rules are those of upstream's controller (k8s.io/kubernetes/pkg/controller/endpoint).
package endpoints

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"skiff/manifests/registry"
	"skiff/orchestrator/cluster/backends"
	"skiff/orchestrator/controller"
)

// The label of the Endpoints that this controller keeps, and its value: upstream's.
const (
	LabelManagedBy = "endpoints.kubernetes.io/managed-by"
	ManagedBy      = "endpoint-controller"
)

// Options are what the controller needs.
type Options struct {
	controller.Env

	// Workers is how many Services are looked at a time.
	Workers int
}

// Controller keeps the Endpoints of Services.
type Controller struct {
	services  registry.Client[*corev1.Service]
	endpoints registry.Client[*corev1.Endpoints]
	pods      registry.Client[*corev1.Pod]
	options   Options
	logger    *slog.Logger
}

// New returns the controller.
func New(o Options) *Controller {
	return &Controller{
		services: registry.For[*corev1.Service](o.Registry), endpoints: registry.For[*corev1.Endpoints](o.Registry),
		pods: registry.For[*corev1.Pod](o.Registry), options: o, logger: o.Logger.With("controller", "endpoints"),
	}
}

type key = types.NamespacedName

// Run reconciles until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	feeds := c.options.Feeds
	loop := controller.Loop[key]{
		Name: "endpoints", Workers: c.options.Workers, Reconcile: c.reconcile,
		Sources: []controller.Source[key]{
			controller.Own(feeds.Of("services")),
			controller.Follow(feeds.Of("pods"), c.concerns),
			controller.Follow(feeds.Of("endpoints"), c.known),
		},
		Env: c.options.Env,
	}
	return loop.Run(ctx)
}

// concerns adds the Services that a change of a pod concerns.
func (c *Controller) concerns(now, before *corev1.Pod, add func(key)) {
	backends.Concerns(c.services, now, before, add)
}

// known adds Endpoints that are this controller's or a Service's. Others are somebody's who has no
// use for a Service: they are looked at no more than upstream does, and so live on.
func (c *Controller) known(now, before *corev1.Endpoints, add func(key)) {
	e := now
	if e == nil {
		e = before
	}
	if _, err := c.services.Get(e.Namespace, e.Name); err == nil || e.Labels[LabelManagedBy] == ManagedBy {
		add(controller.NameOf(e))
	}
}

// reconcile looks at one Service: observe, plan, execute.
func (c *Controller) reconcile(ctx context.Context, k key) (time.Duration, error) {
	s, err := c.observe(k)
	if err != nil {
		return 0, err
	}
	p := makePlan(s)
	if p.verb != "" && c.logger.Enabled(ctx, slog.LevelDebug) {
		c.logger.Debug("plan", "service", k.String(), "steps", p.String())
	}
	if err := c.execute(ctx, k, p); err != nil {
		return 0, fmt.Errorf("%s Endpoints %s: %w", p.verb, k, err)
	}
	return 0, nil
}

// observe reads what the Endpoints of a Service depend on.
func (c *Controller) observe(k key) (snapshot, error) {
	var s snapshot
	service, err := c.services.Get(k.Namespace, k.Name)
	switch {
	case err == nil:
		s.service = service
	case !apierrors.IsNotFound(err):
		return s, fmt.Errorf("reading Service %s: %w", k, err)
	}
	endpoints, err := c.endpoints.Get(k.Namespace, k.Name)
	switch {
	case err == nil:
		s.endpoints = endpoints
	case !apierrors.IsNotFound(err):
		return s, fmt.Errorf("reading Endpoints %s: %w", k, err)
	}
	if s.service != nil && backends.LeadsToPods(s.service) {
		s.pods = backends.Selected(c.pods, s.service)
	}
	return s, nil
}

// execute carries out a plan as long as the Endpoints are what was seen.
func (c *Controller) execute(ctx context.Context, k key, p plan) error {
	switch p.verb {
	case create:
		if _, err := c.endpoints.Create(ctx, p.want); !backends.NamespaceGone(err) {
			return backends.Overtaken(err)
		}
	case update:
		_, err := c.endpoints.Update(ctx, k.Namespace, k.Name, func(current *corev1.Endpoints) error {
			if current.UID != p.seen.UID || current.ResourceVersion != p.seen.ResourceVersion {
				return controller.ErrOvertaken
			}
			current.Labels, current.Annotations, current.Subsets = p.want.Labels, p.want.Annotations, p.want.Subsets
			return nil
		})
		return backends.Overtaken(err)
	case remove:
		if err := c.endpoints.Delete(ctx, k.Namespace, k.Name, controller.AsSeen(p.seen)); !apierrors.IsNotFound(err) {
			return backends.Overtaken(err)
		}
	}
	return nil
}
