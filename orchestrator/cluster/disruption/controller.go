// Package disruption keeps the status of PodDisruptionBudgets, by which
// evictions are granted or refused, and takes back from pods the note of an
// eviction that never came.
package disruption

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"golang.org/x/sync/errgroup"

	"skiff/manifests/registry"
	"skiff/orchestrator/controller"
)

// Component is the controller's name in events: upstream's controllermanager.
const Component = "controllermanager"

// Options are what the controller needs.
type Options struct {
	controller.Env

	// Workers is how many budgets are looked at a time.
	Workers int
}

// Controller reconciles PodDisruptionBudgets.
type Controller struct {
	registry *registry.Registry
	budgets  registry.Client[*policyv1.PodDisruptionBudget]
	pods     registry.Client[*corev1.Pod]
	recorder controller.Recorder
	options  Options
}

// New returns the controller.
func New(o Options) *Controller {
	return &Controller{
		registry: o.Registry, budgets: registry.For[*policyv1.PodDisruptionBudget](o.Registry), pods: registry.For[*corev1.Pod](o.Registry),
		recorder: o.Recorder(Component), options: o,
	}
}

// Run reconciles until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	budgets := controller.Loop[types.NamespacedName]{
		Name: "disruption", Workers: c.options.Workers, Reconcile: c.reconcile,
		Sources: []controller.Source[types.NamespacedName]{
			controller.Own(c.options.Feeds.Of("poddisruptionbudgets.policy")),
			controller.Follow(c.options.Feeds.Of("pods"), c.concerns),
		},
		Env: c.options.Env,
	}
	stale := controller.Loop[types.NamespacedName]{
		Name: "disruption-stale-pods", Reconcile: c.forget,
		Sources: []controller.Source[types.NamespacedName]{controller.Follow(c.options.Feeds.Of("pods"), disruptedOnly)},
		Env:     c.options.Env,
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return budgets.Run(ctx) })
	group.Go(func() error { return stale.Run(ctx) })
	return group.Wait()
}

// concerns adds the budgets that select a pod, or did.
func (c *Controller) concerns(now, before *corev1.Pod, add func(types.NamespacedName)) {
	namespace := ""
	for _, pod := range []*corev1.Pod{now, before} {
		if pod != nil {
			namespace = pod.Namespace
		}
	}
	for _, b := range c.budgets.List(namespace, nil) {
		selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
		if err != nil {
			continue
		}
		if now != nil && selector.Matches(labels.Set(now.Labels)) || before != nil && selector.Matches(labels.Set(before.Labels)) {
			add(controller.NameOf(b))
		}
	}
}

// reconcile looks at one budget.
func (c *Controller) reconcile(ctx context.Context, key types.NamespacedName) (time.Duration, error) {
	b, err := c.budgets.Get(key.Namespace, key.Name)
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading PodDisruptionBudget %s: %w", key, err)
	}
	s, err := c.observe(b)
	if err != nil {
		return 0, fmt.Errorf("PodDisruptionBudget %s: %w", key, err)
	}
	o, failure := judge(s)
	c.tell(s, o, failure)
	if failure != nil {
		o.status = failed(b, failure, s.now)
	} else {
		next := &policyv1.PodDisruptionBudget{Status: o.status}
		registry.SetDisruptionAllowed(next, metav1.NewTime(s.now))
		o.status = next.Status
	}
	if err := c.write(ctx, b, o.status); err != nil {
		return 0, fmt.Errorf("writing the status of PodDisruptionBudget %s: %w", key, err)
	}
	return o.after, nil
}

func (c *Controller) observe(b *policyv1.PodDisruptionBudget) (snapshot, error) {
	s := snapshot{budget: b, now: c.options.Clock.Now()}
	selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
	if err != nil {
		return s, fmt.Errorf("selector: %w", err)
	}
	s.pods = c.pods.List(b.Namespace, selector)
	s.scales, s.unmanaged, s.scaleError = c.scales(s.pods)
	return s, nil
}

// tell records events about what was found.
func (c *Controller) tell(s snapshot, o outcome, failure error) {
	if len(s.pods) == 0 {
		c.recorder.Event(s.budget, corev1.EventTypeNormal, "NoPods", "No matching pods found")
	}
	if failure != nil {
		c.recorder.Event(s.budget, corev1.EventTypeWarning, "CalculateExpectedPodCountFailed",
			"Failed to calculate the number of expected pods: %v", failure)
	}
	if failure == nil && o.scaled && len(s.unmanaged) > 0 {
		c.recorder.Event(s.budget, corev1.EventTypeWarning, "UnmanagedPods", "Pods selected by this PodDisruptionBudget (selector: %v) were found "+
			"to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. "+
			"To account for these pods please set \".spec.minAvailable\" field of the PDB to an integer value.", s.budget.Spec.Selector)
	}
	for _, pod := range o.overdue {
		c.recorder.Event(pod, corev1.EventTypeWarning, "NotDeleted", "Pod was expected by PDB %s/%s to be deleted but it wasn't",
			s.budget.Namespace, s.budget.Name)
	}
}

// failed is the status of a budget that can not be worked out: nothing may be
// evicted at its expense.
func failed(b *policyv1.PodDisruptionBudget, why error, now time.Time) policyv1.PodDisruptionBudgetStatus {
	status := *b.Status.DeepCopy()
	status.DisruptionsAllowed = 0
	meta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionFalse, Reason: policyv1.SyncFailedReason, Message: why.Error(),
		ObservedGeneration: status.ObservedGeneration, LastTransitionTime: metav1.NewTime(now),
	})
	return status
}

// write stores a status that was worked out from b. If the budget has changed
// meanwhile, an eviction was granted for example, it is worked out again: that
// change has put it in the queue.
func (c *Controller) write(ctx context.Context, b *policyv1.PodDisruptionBudget, status policyv1.PodDisruptionBudgetStatus) error {
	if apiequality.Semantic.DeepEqual(status, b.Status) {
		return nil
	}
	_, err := c.budgets.UpdateStatus(ctx, b.Namespace, b.Name, func(now *policyv1.PodDisruptionBudget) error {
		if now.ResourceVersion == b.ResourceVersion {
			now.Status = status
		}
		return nil
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
