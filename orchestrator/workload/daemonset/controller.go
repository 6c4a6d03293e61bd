// Package daemonset keeps one pod of each DaemonSet on every node that the set
// asks for. The pods are pinned to their nodes by affinity, and get there by way
// of the scheduler, which knows whether there is room.
//
// It needs no memory of what it has ordered: a look at a set begins with all that
// earlier looks have written (see package replicas).
package daemonset

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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
const Component = "daemonset-controller"

var gvk = appsv1.SchemeGroupVersion.WithKind("DaemonSet")

// Pods reads and writes pods; a registry.Client is one.
type Pods interface {
	ByIndex(index, value string) []*corev1.Pod
	Create(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error)
	Update(ctx context.Context, namespace, name string, change func(*corev1.Pod) error) (*corev1.Pod, error)
	Delete(ctx context.Context, namespace, name string, o metav1.DeleteOptions) error
}

// Nodes reads nodes; a registry.Client is one.
type Nodes interface {
	List(namespace string, s labels.Selector) []*corev1.Node
}

// Sets reads the sets and writes their status; a registry.Client is one.
type Sets interface {
	Get(namespace, name string) (*appsv1.DaemonSet, error)
	List(namespace string, s labels.Selector) []*appsv1.DaemonSet
	UpdateStatus(ctx context.Context, namespace, name string, change func(*appsv1.DaemonSet) error) (*appsv1.DaemonSet, error)
}

// Options are what the controller needs.
type Options struct {
	controller.Env

	Sets      Sets
	Pods      Pods
	Nodes     Nodes
	Revisions revision.Revisions
	// Workers is how many sets are looked at a time.
	Workers int
}

// Controller reconciles DaemonSets.
type Controller struct {
	sets      Sets
	pods      Pods
	nodes     Nodes
	revisions revision.Revisions
	recorder  controller.Recorder
	options   Options
	logger    *slog.Logger
	backoffs  backoffs
}

// New returns the controller of DaemonSets.
func New(o Options) *Controller {
	return &Controller{
		sets: o.Sets, pods: o.Pods, nodes: o.Nodes, revisions: o.Revisions, recorder: o.Recorder(Component), options: o,
		logger: o.Logger.With("controller", "daemonset"),
	}
}

// Run reconciles until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	loop := controller.Loop[types.NamespacedName]{
		Name: "daemonset", Workers: c.options.Workers, Reconcile: c.reconcile,
		Sources: []controller.Source[types.NamespacedName]{
			controller.Follow(c.options.Feeds.Of("daemonsets.apps"), c.setConcerns),
			controller.Follow(c.options.Feeds.Of("pods"), c.podConcerns),
			controller.Follow(c.options.Feeds.Of("nodes"), c.nodeConcerns),
			controller.Follow(c.options.Feeds.Of("controllerrevisions.apps"), c.revisionConcerns),
		},
		Env: c.options.Env,
	}
	return loop.Run(ctx)
}

// reconcile looks at one set: observe, plan, execute, and show what came of it.
func (c *Controller) reconcile(ctx context.Context, key types.NamespacedName) (time.Duration, error) {
	set, err := c.sets.Get(key.Namespace, key.Name)
	if apierrors.IsNotFound(err) || err == nil && set.DeletionTimestamp != nil {
		c.backoffs.forget(key)
		return 0, nil // what is left of it is the garbage collector's
	}
	if err != nil {
		return 0, fmt.Errorf("reading DaemonSet %s: %w", key, err)
	}
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil || selector.Empty() {
		return 0, err // to take over all pods of a namespace can not be meant
	}
	history, err := c.record(ctx, set, selector)
	if err != nil {
		return 0, fmt.Errorf("DaemonSet %s: %w", key, err)
	}
	retry, failure := c.work(ctx, set, selector, history)
	after, err := c.report(ctx, c.observe(set, selector, history), history.Collisions)
	if failure == nil {
		failure = c.trim(ctx, set, history)
	}
	if after == 0 || retry > 0 && retry < after {
		after = retry
	}
	return after, errors.Join(failure, err)
}

func (c *Controller) record(ctx context.Context, set *appsv1.DaemonSet, selector labels.Selector) (revision.History, error) {
	h, err := revision.Record(ctx, c.revisions, revision.Owner{
		Owner: workload.OwnerIn(c.sets, set, gvk), Selector: selector, Template: &set.Spec.Template, HashLabel: appsv1.ControllerRevisionHashLabelKey,
		Collisions: ptr.Deref(set.Status.CollisionCount, 0),
	})
	if err != nil || len(h.Equals) == 0 {
		return h, err
	}
	hashes := map[string]bool{}
	for _, r := range h.Equals {
		hashes[hashOf(r)] = true
	}
	if err := c.relabel(ctx, c.observe(set, selector, h), hashes); err != nil {
		return h, err
	}
	h.Older = slices.DeleteFunc(h.Older, func(r *appsv1.ControllerRevision) bool { return slices.Contains(h.Equals, r) })
	return h, revision.Delete(ctx, c.revisions, h.Equals)
}

// hashOf is what the pods of a revision bear.
func hashOf(r *appsv1.ControllerRevision) string {
	if hash, ok := r.Labels[appsv1.ControllerRevisionHashLabelKey]; ok {
		return hash
	}
	return r.Name
}

// work makes a plan and carries it out. It returns the time until a failed pod may
// be replaced, 0 if none has to wait.
func (c *Controller) work(ctx context.Context, set *appsv1.DaemonSet, selector labels.Selector, h revision.History) (time.Duration, error) {
	for {
		s := c.observe(set, selector, h)
		p, err := makePlan(s)
		if err != nil {
			return 0, fmt.Errorf("DaemonSet %s/%s: %w", set.Namespace, set.Name, err)
		}
		if steps := p.String(); steps != "" {
			c.logger.Debug("plan", "set", controller.NameOf(set).String(), "steps", steps)
		}
		if !p.claims() {
			return p.after, c.execute(ctx, s, p)
		}
		if err := workload.AdoptAndRelease(ctx, c.pods, workload.OwnerIn(c.sets, s.set, gvk), p.adopt, p.release); err != nil {
			return 0, err
		}
	}
}

// observe reads what there is of a set.
func (c *Controller) observe(set *appsv1.DaemonSet, selector labels.Selector, h revision.History) *snapshot {
	s := &snapshot{
		set: set, selector: selector, nodes: c.nodes.List("", nil), hash: hashOf(h.Update),
		retry: c.backoffs.until(set), now: c.options.Clock.Now(),
	}
	s.pods = workload.Candidates(c.pods, set, func(p *corev1.Pod) types.NamespacedName { return controllerOf(p) })
	return s
}

// report writes the status, if it is another now.
func (c *Controller) report(ctx context.Context, s *snapshot, collisions int32) (time.Duration, error) {
	status, after := statusOf(s, collisions)
	if apiequality.Semantic.DeepEqual(status, s.set.Status) {
		return after, nil
	}
	_, err := c.sets.UpdateStatus(ctx, s.set.Namespace, s.set.Name, func(current *appsv1.DaemonSet) error {
		seen := s.set.Status
		seen.Conditions, status.Conditions = current.Status.Conditions, current.Status.Conditions // they are not the controller's
		if current.UID != s.set.UID || !apiequality.Semantic.DeepEqual(current.Status, seen) {
			return controller.ErrOvertaken
		}
		current.Status = status
		return nil
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return 0, fmt.Errorf("writing the status of DaemonSet %s/%s: %w", s.set.Namespace, s.set.Name, err)
	}
	return after, nil
}

// trim deletes the oldest revisions beyond the set's limit that no pod is of.
func (c *Controller) trim(ctx context.Context, set *appsv1.DaemonSet, h revision.History) error {
	live := map[string]bool{}
	for _, p := range c.pods.ByIndex(registry.IndexController, string(set.UID)) {
		live[revision.PodLabel(p)] = true
	}
	limit := int(ptr.Deref(set.Spec.RevisionHistoryLimit, 10))
	return revision.Delete(ctx, c.revisions, revision.Surplus(h.Older, limit, func(r *appsv1.ControllerRevision) bool { return live[hashOf(r)] }, true))
}
