// Package deployment rolls a Deployment's template out: it makes a ReplicaSet of
// each template and shifts pods from the old ones to the current.
//
// One look takes one step: it makes a set, changes sizes, or cleans up. What
// that brings about (the sets' own status, their pods' readiness) has the
// Deployment looked at again. As with ReplicaSets there are no expectations: a
// look begins with all that earlier looks have written.
package deployment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"skiff/manifests/podfacts"
	"skiff/manifests/registry"
	"skiff/orchestrator/controller"
	"skiff/orchestrator/workload"
)

// Component is the controller's name in events.
const Component = "deployment-controller"

var gvk = appsv1.SchemeGroupVersion.WithKind("Deployment")

// Deployments reads Deployments and writes their status; a registry.Client is one.
type Deployments interface {
	Get(namespace, name string) (*appsv1.Deployment, error)
	List(namespace string, s labels.Selector) []*appsv1.Deployment
	Update(ctx context.Context, namespace, name string, change func(*appsv1.Deployment) error) (*appsv1.Deployment, error)
	UpdateStatus(ctx context.Context, namespace, name string, change func(*appsv1.Deployment) error) (*appsv1.Deployment, error)
}

// Sets reads and writes ReplicaSets; a registry.Client is one.
type Sets interface {
	Get(namespace, name string) (*appsv1.ReplicaSet, error)
	ByIndex(index, value string) []*appsv1.ReplicaSet
	Create(ctx context.Context, rs *appsv1.ReplicaSet) (*appsv1.ReplicaSet, error)
	Update(ctx context.Context, namespace, name string, change func(*appsv1.ReplicaSet) error) (*appsv1.ReplicaSet, error)
	Delete(ctx context.Context, namespace, name string, o metav1.DeleteOptions) error
}

// Pods reads pods; a registry.Client is one.
type Pods interface {
	ByIndex(index, value string) []*corev1.Pod
}

// Options are what the controller needs.
type Options struct {
	controller.Env

	Deployments Deployments
	Sets        Sets
	Pods        Pods
	// Workers is how many Deployments are looked at a time.
	Workers int
}

// Controller reconciles Deployments.
type Controller struct {
	deployments Deployments
	sets        Sets
	pods        Pods
	recorder    controller.Recorder
	options     Options
	logger      *slog.Logger
}

// New returns the controller of Deployments.
func New(o Options) *Controller {
	return &Controller{
		deployments: o.Deployments, sets: o.Sets, pods: o.Pods, recorder: o.Recorder(Component), options: o,
		logger: o.Logger.With("controller", "deployment"),
	}
}

// Run reconciles until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	loop := controller.Loop[types.NamespacedName]{
		Name: "deployment", Workers: c.options.Workers, Reconcile: c.reconcile,
		Sources: []controller.Source[types.NamespacedName]{
			controller.Own(c.options.Feeds.Of("deployments.apps")),
			controller.Follow(c.options.Feeds.Of("replicasets.apps"), c.concerns),
			controller.Follow(c.options.Feeds.Of("pods"), c.awaits),
		},
		Env: c.options.Env,
	}
	return loop.Run(ctx)
}

// reconcile looks at one Deployment: observe, plan, execute, and show what came
// of it.
func (c *Controller) reconcile(ctx context.Context, key types.NamespacedName) (time.Duration, error) {
	d, err := c.deployments.Get(key.Namespace, key.Name)
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading Deployment %s: %w", key, err)
	}
	p, err := c.plan(d)
	for err == nil && p.claims() {
		if err = workload.AdoptAndRelease(ctx, c.sets, workload.OwnerIn(c.deployments, d, gvk), p.adopt, p.release); err == nil {
			p, err = c.plan(d)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("Deployment %s: %w", key, err)
	}
	o, failure := c.execute(ctx, d, p)
	after, err := c.report(ctx, d, o)
	if err = errors.Join(failure, err); err != nil {
		return 0, fmt.Errorf("Deployment %s: %w", key, err)
	}
	return after, nil
}

func (c *Controller) plan(d *appsv1.Deployment) (plan, error) {
	s, err := c.observe(d)
	if err != nil {
		return plan{}, err
	}
	p, err := makePlan(s)
	if steps := p.String(); steps != "" {
		c.logger.Debug("plan", "deployment", controller.NameOf(d).String(), "steps", steps)
	}
	return p, err
}

// report writes the status and the current revision, if they are others now.
func (c *Controller) report(ctx context.Context, d *appsv1.Deployment, o outcome) (time.Duration, error) {
	s, err := c.observe(d)
	if err != nil {
		return 0, err
	}
	r := s.rollout()
	status, after := statusOf(r, o, s.now)
	revision := d.Annotations[RevisionAnnotation]
	if r.current != nil {
		revision = r.current.Annotations[RevisionAnnotation]
	}
	if revision == d.Annotations[RevisionAnnotation] && apiequality.Semantic.DeepEqual(status, d.Status) {
		return after, nil
	}
	_, err = c.deployments.UpdateStatus(ctx, d.Namespace, d.Name, func(now *appsv1.Deployment) error {
		if now.UID != d.UID || now.Annotations[RevisionAnnotation] != d.Annotations[RevisionAnnotation] ||
			!apiequality.Semantic.DeepEqual(now.Status, d.Status) {
			return controller.ErrOvertaken
		}
		now.Status = status
		if now.Annotations[RevisionAnnotation] != revision {
			if now.Annotations == nil {
				now.Annotations = map[string]string{}
			}
			now.Annotations[RevisionAnnotation] = revision
		}
		return nil
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return 0, fmt.Errorf("writing the status: %w", err)
	}
	return after, nil
}

// observe reads the sets a Deployment controls or might adopt.
func (c *Controller) observe(d *appsv1.Deployment) (snapshot, error) {
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return snapshot{}, fmt.Errorf("selector: %w", err)
	}
	if selector.Empty() {
		selector = labels.Nothing() // to take over all sets of a namespace can not be meant
	}
	s := snapshot{deployment: d, selector: selector, now: c.options.Clock.Now()}
	for _, rs := range c.sets.ByIndex(registry.IndexController, string(d.UID)) {
		if controllerOf(rs) == controller.NameOf(d) {
			s.sets = append(s.sets, rs)
		}
	}
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		s.pods = map[types.UID][]*corev1.Pod{}
		for _, rs := range s.sets {
			s.pods[rs.UID] = c.pods.ByIndex(registry.IndexController, string(rs.UID))
		}
	}
	for _, rs := range c.sets.ByIndex(registry.IndexController, "") {
		if rs.Namespace == d.Namespace {
			s.sets = append(s.sets, rs)
		}
	}
	return s, nil
}

// concerns adds the Deployments that a change of a set concerns.
func (c *Controller) concerns(now, before *appsv1.ReplicaSet, add func(types.NamespacedName)) {
	workload.Concerns(now, before, controllerOf, c.adopters, add)
}

// controllerOf names the Deployment that a set says controls it.
func controllerOf(rs *appsv1.ReplicaSet) types.NamespacedName { return workload.ControllerOf(rs, gvk) }

// adopters adds the Deployments that select a set without a controller.
func (c *Controller) adopters(rs *appsv1.ReplicaSet, add func(types.NamespacedName)) {
	for _, d := range c.deployments.List(rs.Namespace, nil) {
		if s, err := metav1.LabelSelectorAsSelector(d.Spec.Selector); err == nil && !s.Empty() && s.Matches(labels.Set(rs.Labels)) {
			add(controller.NameOf(d))
		}
	}
}

// awaits adds the Deployment that waits for a pod to end before it recreates.
func (c *Controller) awaits(now, before *corev1.Pod, add func(types.NamespacedName)) {
	if before == nil || podfacts.Terminal(before) || now != nil && !podfacts.Terminal(now) {
		return
	}
	ref := metav1.GetControllerOfNoCopy(before)
	if ref == nil || ref.Kind != "ReplicaSet" {
		return
	}
	rs, err := c.sets.Get(before.Namespace, ref.Name)
	if err != nil {
		return
	}
	key := controllerOf(rs)
	if d, err := c.deployments.Get(key.Namespace, key.Name); err == nil && d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		add(key)
	}
}
