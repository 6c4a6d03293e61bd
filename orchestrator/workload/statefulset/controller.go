// Package statefulset keeps a StatefulSet's pods, each with a name, a place in
// the order and storage of its own.
//
// It needs no memory of what it has ordered: a look at a set begins with all that
// earlier looks have written (see package replicas).
package statefulset

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"skiff/manifests/registry"
	"skiff/orchestrator/controller"
	"skiff/orchestrator/workload"
	"skiff/orchestrator/workload/revision"
)

// Component is the source of the controller's events.
const Component = "statefulset-controller"

// Pods reads and writes pods; a registry.Client is one.
type Pods interface {
	ByIndex(index, value string) []*corev1.Pod
	Create(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error)
	Update(ctx context.Context, namespace, name string, change func(*corev1.Pod) error) (*corev1.Pod, error)
	Delete(ctx context.Context, namespace, name string, o metav1.DeleteOptions) error
}

// Claims reads and writes persistent volume claims; a registry.Client is one.
type Claims interface {
	List(namespace string, s labels.Selector) []*corev1.PersistentVolumeClaim
	Create(ctx context.Context, claim *corev1.PersistentVolumeClaim) (*corev1.PersistentVolumeClaim, error)
	Update(ctx context.Context, namespace, name string, change func(*corev1.PersistentVolumeClaim) error) (*corev1.PersistentVolumeClaim, error)
}

// Sets reads the sets and writes their status; a registry.Client is one.
type Sets interface {
	Get(namespace, name string) (*appsv1.StatefulSet, error)
	List(namespace string, s labels.Selector) []*appsv1.StatefulSet
	UpdateStatus(ctx context.Context, namespace, name string, change func(*appsv1.StatefulSet) error) (*appsv1.StatefulSet, error)
}

// Options are what the controller needs.
type Options struct {
	controller.Env

	Sets      Sets
	Pods      Pods
	Claims    Claims
	Revisions revision.Revisions
	// Workers is how many sets are looked at a time.
	Workers int
}

// Controller reconciles StatefulSets.
type Controller struct {
	sets         Sets
	pods         Pods
	volumeClaims Claims
	revisions    revision.Revisions
	recorder     controller.Recorder
	options      Options
	logger       *slog.Logger
}

// New returns the controller of StatefulSets.
func New(o Options) *Controller {
	return &Controller{
		sets: o.Sets, pods: o.Pods, volumeClaims: o.Claims, revisions: o.Revisions, recorder: o.Recorder(Component), options: o,
		logger: o.Logger.With("controller", "statefulset"),
	}
}

// Run reconciles until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	loop := controller.Loop[types.NamespacedName]{
		Name: "statefulset", Workers: c.options.Workers, Reconcile: c.reconcile,
		Sources: []controller.Source[types.NamespacedName]{
			controller.Own(c.options.Feeds.Of("statefulsets.apps")),
			controller.Follow(c.options.Feeds.Of("pods"), c.podConcerns),
			controller.Follow(c.options.Feeds.Of("persistentvolumeclaims"), c.claimConcerns),
		},
		Env: c.options.Env,
	}
	return loop.Run(ctx)
}

// reconcile looks at one set: observe, plan, execute, and show what came of it.
func (c *Controller) reconcile(ctx context.Context, key types.NamespacedName) (time.Duration, error) {
	set, err := c.sets.Get(key.Namespace, key.Name)
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading StatefulSet %s: %w", key, err)
	}
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil || selector.Empty() {
		return 0, err // to take over all pods of a namespace can not be meant
	}
	history := revision.History{Collisions: ptr.Deref(set.Status.CollisionCount, 0)}
	if set.DeletionTimestamp == nil {
		if history, err = c.record(ctx, set, selector); err != nil {
			return 0, fmt.Errorf("StatefulSet %s: %w", key, err)
		}
	}
	failure := c.work(ctx, set, selector, history)
	after, err := c.report(ctx, c.observe(set, selector, history), history.Collisions)
	if trimmed := c.trim(ctx, set, history); err == nil {
		err = trimmed
	}
	return after, errors.Join(failure, err)
}

func (c *Controller) record(ctx context.Context, set *appsv1.StatefulSet, selector labels.Selector) (revision.History, error) {
	return revision.Record(ctx, c.revisions, revision.Owner{
		Owner: workload.OwnerIn(c.sets, set, gvk), Selector: selector, Template: &set.Spec.Template, HashLabel: "controller.kubernetes.io/hash",
		Collisions: ptr.Deref(set.Status.CollisionCount, 0),
	})
}

// work makes a plan and carries it out.
func (c *Controller) work(ctx context.Context, set *appsv1.StatefulSet, selector labels.Selector, h revision.History) error {
	for {
		s := c.observe(set, selector, h)
		p, err := makePlan(s)
		if err != nil {
			return fmt.Errorf("StatefulSet %s/%s: %w", set.Namespace, set.Name, err)
		}
		if steps := p.String(); steps != "" {
			c.logger.Debug("plan", "set", controller.NameOf(set).String(), "steps", steps)
		}
		if !p.claims() {
			return c.execute(ctx, s, p)
		}
		if err := workload.AdoptAndRelease(ctx, c.pods, workload.OwnerIn(c.sets, s.set, gvk), p.adopt, p.release); err != nil {
			return err
		}
	}
}

// observe reads what there is of a set.
func (c *Controller) observe(set *appsv1.StatefulSet, selector labels.Selector, h revision.History) *snapshot {
	s := &snapshot{
		set: set, selector: selector, update: h.Update, current: h.Named(set.Status.CurrentRevision),
		claims: map[string]*corev1.PersistentVolumeClaim{}, now: c.options.Clock.Now(),
	}
	if s.current == nil {
		s.current = s.update
	}
	s.pods = workload.Candidates(c.pods, set, controllerOf)
	if len(set.Spec.VolumeClaimTemplates) > 0 {
		for _, claim := range c.volumeClaims.List(set.Namespace, nil) {
			s.claims[claim.Name] = claim
		}
	}
	return s
}

// report writes the status, if it is another now.
func (c *Controller) report(ctx context.Context, s *snapshot, collisions int32) (time.Duration, error) {
	status, after := statusOf(s, collisions)
	if apiequality.Semantic.DeepEqual(status, s.set.Status) {
		return after, nil
	}
	_, err := c.sets.UpdateStatus(ctx, s.set.Namespace, s.set.Name, func(current *appsv1.StatefulSet) error {
		seen := s.set.Status
		seen.Conditions, status.Conditions = current.Status.Conditions, current.Status.Conditions // they are not the controller's
		if current.UID != s.set.UID || !apiequality.Semantic.DeepEqual(current.Status, seen) {
			return controller.ErrOvertaken
		}
		current.Status = status
		return nil
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return 0, fmt.Errorf("writing the status of StatefulSet %s/%s: %w", s.set.Namespace, s.set.Name, err)
	}
	return after, nil
}

// trim deletes the oldest revisions beyond the set's limit that no pod is of.
func (c *Controller) trim(ctx context.Context, set *appsv1.StatefulSet, h revision.History) error {
	limit := int(ptr.Deref(set.Spec.RevisionHistoryLimit, 10))
	if h.Update == nil || limit < 0 {
		return nil
	}
	current, err := c.sets.Get(set.Namespace, set.Name)
	if err != nil {
		return nil //nolint:nilerr // it is gone, and its revisions are the garbage collector's
	}
	live := map[string]bool{current.Status.CurrentRevision: true, current.Status.UpdateRevision: true}
	for _, p := range c.pods.ByIndex(registry.IndexController, string(set.UID)) {
		live[revision.PodLabel(p)] = true
	}
	return revision.Delete(ctx, c.revisions, revision.Surplus(h.Older, limit, func(r *appsv1.ControllerRevision) bool { return live[r.Name] }, false))
}

// podConcerns adds the sets that a change of a pod concerns.
func (c *Controller) podConcerns(now, before *corev1.Pod, add func(types.NamespacedName)) {
	var none types.NamespacedName
	is, was := controllerOf(now), controllerOf(before)
	if was != none && was != is {
		add(was)
	}
	switch {
	case is != none:
		add(is)
	case now == nil && was == none:
		c.byName(before, add) // it may have stood in the way
	case now == nil || metav1.GetControllerOfNoCopy(now) != nil:
	case before == nil || was != none || !reflect.DeepEqual(now.Labels, before.Labels):
		c.byName(now, add)
	}
}

// byName adds the sets that a pod would be a member of by its name.
func (c *Controller) byName(p *corev1.Pod, add func(types.NamespacedName)) {
	for _, set := range c.sets.List(p.Namespace, nil) {
		if _, member := ordinalOf(set, p.Name); member {
			add(controller.NameOf(set))
		}
	}
}

// controllerOf names the StatefulSet that a pod says controls it, none if p is nil.
func controllerOf(p *corev1.Pod) (none types.NamespacedName) {
	if p == nil {
		return none
	}
	return workload.ControllerOf(p, gvk)
}

// claimConcerns adds the sets whose pods would look for a claim that comes or
// goes, or changes owners.
func (c *Controller) claimConcerns(now, before *corev1.PersistentVolumeClaim, add func(types.NamespacedName)) {
	if now != nil && before != nil && apiequality.Semantic.DeepEqual(now.OwnerReferences, before.OwnerReferences) &&
		(now.DeletionTimestamp == nil) == (before.DeletionTimestamp == nil) {
		return
	}
	claim := now
	if claim == nil {
		claim = before
	}
	for _, set := range c.sets.List(claim.Namespace, nil) {
		if mayUse(set, claim.Name) {
			add(controller.NameOf(set))
		}
	}
}
