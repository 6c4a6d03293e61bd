// Package podgc removes pods that nobody else will: those that ended, when there
// are too many of them, those whose node is gone, and those that were deleted
// before they had a node.
package podgc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"skiff/manifests/podfacts"
	"skiff/manifests/registry"
	"skiff/orchestrator/controller"
)

// Upstream's figures (k8s.io/kubernetes pkg/controller/podgc and the
// controller manager's flags).
const (
	// DefaultThreshold is how many ended pods are kept.
	DefaultThreshold = 12500
	// period is the time between two looks.
	period = 20 * time.Second
	// quarantine is how long a node must have been missing before its pods go.
	quarantine = 40 * time.Second
)

// Options are what the controller needs.
type Options struct {
	controller.Env

	// Threshold is how many ended pods are kept; 0 for DefaultThreshold, negative
	// for all.
	Threshold int
}

// Collector removes pods.
type Collector struct {
	options Options
	clock   clock.Clock
	logger  *slog.Logger
	pods    registry.Client[*corev1.Pod]
	nodes   registry.Client[*corev1.Node]
	// missing is since when a node that pods name has been known not to exist.
	missing map[string]time.Time
}

// New returns the controller.
func New(o Options) *Collector {
	if o.Threshold == 0 {
		o.Threshold = DefaultThreshold
	}
	return &Collector{
		options: o, clock: o.Clock, logger: o.Logger.With("controller", "podgc"),
		pods: registry.For[*corev1.Pod](o.Registry), nodes: registry.For[*corev1.Node](o.Registry),
		missing: map[string]time.Time{},
	}
}

// all is the one key of the loop.
type all struct{}

func (all) String() string { return "all pods" }

// Run collects until ctx ends.
func (c *Collector) Run(ctx context.Context) error {
	loop := controller.Loop[all]{
		Name: "podgc",
		Reconcile: func(ctx context.Context, _ all) (time.Duration, error) {
			return period, c.reconcile(ctx)
		},
		Sources: []controller.Source[all]{func(_ context.Context, q controller.Queue[all]) (func(), error) {
			q.Add(all{})
			return func() {}, nil
		}},
		// A failure waits for the next look like everything else here.
		MinBackoff: period, MaxBackoff: period,
		Env: c.options.Env,
	}
	return loop.Run(ctx)
}

func (c *Collector) reconcile(ctx context.Context) error {
	p := makePlan(snapshot{
		pods:      c.pods.List("", nil),
		nodes:     c.nodes.List("", nil),
		missing:   c.missing,
		threshold: c.options.Threshold,
		now:       c.clock.Now(),
	})
	c.missing = p.missing
	var errs []error
	for _, r := range p.remove {
		c.logger.Info("removing pod", "pod", r.pod.Namespace+"/"+r.pod.Name, "cause", r.cause)
		if err := c.remove(ctx, r); err != nil {
			errs = append(errs, fmt.Errorf("removing pod %s/%s: %w", r.pod.Namespace, r.pod.Name, err))
		}
	}
	return errors.Join(errs...)
}

// remove ends a pod, which nobody is left to do, and takes it away at once.
func (c *Collector) remove(ctx context.Context, r removal) error {
	err := controller.Remove(ctx, c.pods, r.pod, new(int64), func(p *corev1.Pod) error {
		node, err := c.nodes.Get("", p.Spec.NodeName)
		if apierrors.IsNotFound(err) {
			node, err = nil, nil
		}
		if err != nil {
			return err
		}
		if !r.holds(p, node) {
			return controller.ErrOvertaken
		}
		fail(p, r.condition, metav1.NewTime(c.clock.Now()))
		return nil
	})
	if apierrors.IsNotFound(err) || errors.Is(err, controller.ErrOvertaken) {
		return nil // it is gone, or is not to go any more
	}
	return err
}

// fail puts a pod that has not ended into phase Failed, so that its controller
// learns how it ended.
func fail(p *corev1.Pod, condition *corev1.PodCondition, now metav1.Time) {
	if podfacts.Terminal(p) {
		return
	}
	p.Status.Phase = corev1.PodFailed
	p.Status.ObservedGeneration = p.Generation
	if condition == nil {
		return
	}
	set := *condition
	set.LastTransitionTime, set.ObservedGeneration = now, p.Generation
	for i := range p.Status.Conditions {
		if p.Status.Conditions[i].Type == set.Type {
			p.Status.Conditions[i] = set
			return
		}
	}
	p.Status.Conditions = append(p.Status.Conditions, set)
}
