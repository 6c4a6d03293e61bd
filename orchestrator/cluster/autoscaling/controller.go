// Package autoscaling scales what HorizontalPodAutoscalers name by what its pods use.
// https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/
package autoscaling

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"

	"skiff/manifests/registry"
	"skiff/orchestrator/controller"
)

// Component is the controller's name in events: upstream's.
const Component = "horizontal-pod-autoscaler"

// Period is how often autoscalers are looked at unless an option says otherwise: upstream's
// --horizontal-pod-autoscaler-sync-period.
const Period = 15 * time.Second

// Meter measures pods. It leaves out those of which it knows nothing.
type Meter interface {
	Pods(ctx context.Context, pods []*corev1.Pod) ([]metricsv1beta1.PodMetrics, error)
}

// Options are what the controller needs.
type Options struct {
	controller.Env

	// Meter may be nil: then nothing is known of any pod.
	Meter Meter
	// Period is how often an autoscaler is looked at; Period unless set.
	Period time.Duration
	// Workers is how many autoscalers are looked at at a time.
	Workers int
}

// Controller reconciles HorizontalPodAutoscalers.
type Controller struct {
	autoscalers registry.Client[*autoscalingv2.HorizontalPodAutoscaler]
	pods        registry.Client[*corev1.Pod]
	recorder    controller.Recorder
	options     Options

	mu        sync.Mutex
	histories map[types.NamespacedName]history
}

// New returns the controller.
func New(o Options) *Controller {
	o.Period = cmp.Or(o.Period, Period)
	return &Controller{
		autoscalers: registry.For[*autoscalingv2.HorizontalPodAutoscaler](o.Registry), pods: registry.For[*corev1.Pod](o.Registry),
		recorder: o.Recorder(Component), options: o, histories: map[types.NamespacedName]history{},
	}
}

// Run reconciles until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	loop := controller.Loop[types.NamespacedName]{
		Name: "horizontalpodautoscaling", Workers: c.options.Workers, Reconcile: c.reconcile,
		Sources: []controller.Source[types.NamespacedName]{
			controller.Follow(c.options.Feeds.Of("horizontalpodautoscalers.autoscaling"), changed),
		},
		Env: c.options.Env,
	}
	return loop.Run(ctx)
}

// changed adds autoscalers that are new, gone or want something else. A status is the controller's own
// to write: what it says is measured anew in its time.
func changed(now, before *autoscalingv2.HorizontalPodAutoscaler, add func(types.NamespacedName)) {
	switch {
	case now == nil:
		add(controller.NameOf(before))
	case before == nil || now.UID != before.UID || now.Generation != before.Generation:
		add(controller.NameOf(now))
	}
}

// reconcile looks at one autoscaler, and again in its time.
func (c *Controller) reconcile(ctx context.Context, key types.NamespacedName) (time.Duration, error) {
	a, err := c.autoscalers.Get(key.Namespace, key.Name)
	if apierrors.IsNotFound(err) {
		c.remember(key, nil)
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading HorizontalPodAutoscaler %s: %w", key, err)
	}
	s := c.observe(ctx, a)
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	p := makePlan(s)
	if p.rescale {
		c.options.Logger.Debug("autoscaler", "autoscaler", key, "plan", p.String())
	}
	if err := c.execute(ctx, s, &p); err != nil {
		return 0, fmt.Errorf("HorizontalPodAutoscaler %s: %w", key, err)
	}
	return c.options.Period, nil
}

// observe takes a snapshot. Pods are measured only if the number of replicas depends on it.
func (c *Controller) observe(ctx context.Context, a *autoscalingv2.HorizontalPodAutoscaler) snapshot {
	s := snapshot{autoscaler: a, now: c.options.Clock.Now(), history: c.recall(controller.NameOf(a), a.UID)}
	if s.target, s.targetErr = c.findTarget(a); s.targetErr != nil {
		return s
	}
	if !s.dependsOnMetrics() {
		return s
	}
	if s.selector, s.selectorErr = parseSelector(s.target.selector); s.selectorErr != nil {
		return s
	}
	s.pods = c.pods.List(a.Namespace, s.selector)
	s.rivals = c.rivals(a, s.pods)
	if len(s.rivals) > 0 {
		return s
	}
	if c.options.Meter != nil && needsUsage(a) {
		s.usage, s.usageErr = c.options.Meter.Pods(ctx, s.pods)
	}
	s.now = c.options.Clock.Now() // measuring takes a moment
	return s
}

// needsUsage reports whether a metric of an autoscaler is about what pods use.
func needsUsage(a *autoscalingv2.HorizontalPodAutoscaler) bool {
	for _, m := range a.Spec.Metrics {
		if m.Resource != nil || m.ContainerResource != nil {
			return true
		}
	}
	return false
}

// execute scales the target, tells what was found and writes the status.
func (c *Controller) execute(ctx context.Context, s snapshot, p *plan) error {
	if p.rescale {
		if err := c.rescale(ctx, s, p); err != nil {
			return err
		}
	}
	for _, e := range p.warnings {
		c.recorder.Event(s.autoscaler, corev1.EventTypeWarning, e.reason, "%s", e.message)
	}
	c.remember(controller.NameOf(s.autoscaler), &p.history)
	if apiequality.Semantic.DeepEqual(p.status, s.autoscaler.Status) {
		return nil
	}
	_, err := c.autoscalers.UpdateStatus(ctx, s.autoscaler.Namespace, s.autoscaler.Name, func(now *autoscalingv2.HorizontalPodAutoscaler) error {
		if now.UID == s.autoscaler.UID {
			now.Status = p.status
		}
		return nil
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("writing the status: %w", err)
	}
	return nil
}

// rescale sets the target's replicas. What another has set meanwhile stays: it is looked at anew. A
// target that refuses is told in the status.
func (c *Controller) rescale(ctx context.Context, s snapshot, p *plan) error {
	err := c.setReplicas(ctx, s.target, p.replicas)
	switch {
	case err == nil:
		p.rescaled(s)
		c.recorder.Event(s.autoscaler, corev1.EventTypeNormal, "SuccessfulRescale", "New size: %d; reason: %s", p.replicas, p.reason)
		c.options.Logger.Info("rescaled", "autoscaler", controller.NameOf(s.autoscaler), "from", s.target.want, "to", p.replicas, "reason", p.reason)
		return nil
	case ctx.Err() != nil || isOvertaken(err):
		return err
	}
	p.refused(s, err)
	c.recorder.Event(s.autoscaler, corev1.EventTypeWarning, "FailedRescale", "New size: %d; reason: %s; error: %v", p.replicas, p.reason, err)
	return nil
}

// recall is what is remembered of an autoscaler: nothing, if it is another of the same name.
func (c *Controller) recall(key types.NamespacedName, uid types.UID) history {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.histories[key]; h.of == uid {
		return h
	}
	return history{of: uid}
}

func (c *Controller) remember(key types.NamespacedName, h *history) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h == nil {
		delete(c.histories, key)
		return
	}
	c.histories[key] = *h
}
