// Package endpointslices keeps the EndpointSlices of Services that select pods: where each of them
// leads, by the ports that its pods have.
//
// The rules are those of upstream's controller (k8s.io/endpointslice). What that one remembers of its
// own writes, for its cache may be behind them, is of no use here: a look sees all that earlier looks
// have written.
package endpointslices

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

// ManagedBy is the value of the label endpointslice.kubernetes.io/managed-by on the slices that this
// controller keeps. It is upstream's: clients look for it.
const ManagedBy = "endpointslice-controller.k8s.io"

// Options are what the controller needs.
type Options struct {
	controller.Env

	// Workers is how many Services are looked at a time.
	Workers int
}

// Controller keeps the slices of Services.
type Controller struct {
	services registry.Client[*corev1.Service]
	slices   registry.Client[*discoveryv1.EndpointSlice]
	pods     registry.Client[*corev1.Pod]
	nodes    registry.Client[*corev1.Node]
	options  Options
	logger   *slog.Logger
}

// New returns the controller.
func New(o Options) *Controller {
	return &Controller{
		services: registry.For[*corev1.Service](o.Registry), slices: registry.For[*discoveryv1.EndpointSlice](o.Registry),
		pods: registry.For[*corev1.Pod](o.Registry), nodes: registry.For[*corev1.Node](o.Registry),
		options: o, logger: o.Logger.With("controller", "endpointslice"),
	}
}

type key = types.NamespacedName

// Run reconciles until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	feeds := c.options.Feeds
	loop := controller.Loop[key]{
		Name: "endpointslice", Workers: c.options.Workers, Reconcile: c.reconcile,
		Sources: []controller.Source[key]{
			controller.Own(feeds.Of("services")),
			controller.Follow(feeds.Of("pods"), c.concerns),
			controller.Follow(feeds.Of("endpointslices.discovery.k8s.io"), servicesOf),
			controller.Follow(feeds.Of("nodes"), c.nodeConcerns),
		},
		Env: c.options.Env,
	}
	return loop.Run(ctx)
}

// concerns adds the Services that a change of a pod concerns.
func (c *Controller) concerns(now, before *corev1.Pod, add func(key)) {
	backends.Concerns(c.services, now, before, add)
}

// nodeConcerns adds the Services of the pods on a node that came, went or moved to another zone.
func (c *Controller) nodeConcerns(now, before *corev1.Node, add func(key)) {
	node := now
	if node == nil {
		node = before
	}
	if now != nil && before != nil && zoneOf(now) == zoneOf(before) {
		return
	}
	for _, pod := range c.pods.ByIndex(registry.IndexNode, node.Name) {
		backends.Selecting(c.services, pod, add)
	}
}

// servicesOf adds the Services whose slice a slice is, or was.
func servicesOf(now, before *discoveryv1.EndpointSlice, add func(key)) {
	backends.ServicesOf(ManagedBy, now, before, add)
}

// reconcile looks at one Service: observe, plan, execute. The slices of one that is gone are its
// dependents, which the garbage collector removes.
func (c *Controller) reconcile(ctx context.Context, k key) (time.Duration, error) {
	s, err := c.services.Get(k.Namespace, k.Name)
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading Service %s: %w", k, err)
	}
	steps := makePlan(c.observe(s))
	if len(steps) > 0 && c.logger.Enabled(ctx, slog.LevelDebug) {
		c.logger.Debug("plan", "service", k.String(), "steps", backends.Text(steps))
	}
	if err := backends.Execute(ctx, c.slices, steps); err != nil {
		return 0, fmt.Errorf("endpoint slices of Service %s: %w", k, err)
	}
	return 0, nil
}

// observe reads what the slices of a Service depend on.
func (c *Controller) observe(service *corev1.Service) snapshot {
	s := snapshot{service: service, zones: map[string]string{}}
	if backends.LeadsToPods(service) {
		s.pods = backends.Selected(c.pods, service)
	}
	for _, pod := range s.pods {
		if _, known := s.zones[pod.Spec.NodeName]; known {
			continue
		}
		if node, err := c.nodes.Get("", pod.Spec.NodeName); err == nil {
			s.zones[pod.Spec.NodeName] = zoneOf(node)
		}
	}
	s.slices = backends.Kept(c.slices, ManagedBy, service.Namespace, service.Name)
	return s
}

func zoneOf(n *corev1.Node) string { return n.Labels[corev1.LabelTopologyZone] }
