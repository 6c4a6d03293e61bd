// Package replicas keeps as many pods running as a ReplicationController or a
// ReplicaSet asks for.
//
// # Why there are no expectations
//
// Upstream's controller remembers which creations and deletions it has ordered
// and does nothing more for a set until its informer has shown them all: its
// picture of the pods lags behind its own writes, and without that memory it
// would create again what it does not see yet.
//
// Here the picture does not lag. A write has returned when it is committed, and
// what is committed is what the next read of the store gives, its indexes
// included. One set is never looked at by two workers at a time. So a look
// always begins with all that earlier looks at the set have done, and a pod it
// counts as missing is missing. A write that fails half way (the daemon stops,
// the caller is cancelled) either is in the store or is not, and the next look
// sees which. TestNoLookCreatesTwice and the property tests hold this.
package replicas

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

	"skiff/manifests/registry"
	"skiff/orchestrator/controller"
	"skiff/orchestrator/workload"
	"skiff/store"
)

// Pods reads and writes pods; a registry.Client is one.
type Pods interface {
	ByIndex(index, value string) []*corev1.Pod
	Create(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error)
	Update(ctx context.Context, namespace, name string, change func(*corev1.Pod) error) (*corev1.Pod, error)
	Delete(ctx context.Context, namespace, name string, o metav1.DeleteOptions) error
}

// Sets reads the sets and writes their status; a registry.Client is one.
type Sets[T store.Object] interface {
	Get(namespace, name string) (T, error)
	List(namespace string, s labels.Selector) []T
	ByIndex(index, value string) []T
	UpdateStatus(ctx context.Context, namespace, name string, change func(T) error) (T, error)
}

// Options are what a controller needs.
type Options struct {
	controller.Env

	Pods Pods
	// Workers is how many sets are looked at a time.
	Workers int
}

// Controller reconciles the sets of one kind.
type Controller[T store.Object] struct {
	kind     kind[T]
	sets     Sets[T]
	pods     Pods
	recorder controller.Recorder
	options  Options
	logger   *slog.Logger
}

// NewReplicaSets returns the controller of ReplicaSets.
func NewReplicaSets(sets Sets[*appsv1.ReplicaSet], o Options) *Controller[*appsv1.ReplicaSet] {
	return newController(replicaSets(), sets, o)
}

// NewReplicationControllers returns the controller of ReplicationControllers.
func NewReplicationControllers(sets Sets[*corev1.ReplicationController], o Options) *Controller[*corev1.ReplicationController] {
	return newController(replicationControllers(), sets, o)
}

func newController[T store.Object](k kind[T], sets Sets[T], o Options) *Controller[T] {
	return &Controller[T]{
		kind: k, sets: sets, pods: o.Pods, recorder: o.Recorder(k.component), options: o,
		logger: o.Logger.With("controller", k.name),
	}
}

// Run reconciles until ctx ends.
func (c *Controller[T]) Run(ctx context.Context) error {
	loop := controller.Loop[types.NamespacedName]{
		Name: c.kind.name, Workers: c.options.Workers, Reconcile: c.reconcile,
		Sources: []controller.Source[types.NamespacedName]{
			controller.Own(c.options.Feeds.Of(c.kind.resource)),
			controller.Follow(c.options.Feeds.Of("pods"), c.concerns),
		},
		Env: c.options.Env,
	}
	return loop.Run(ctx)
}

// reconcile looks at one set: observe, plan, execute, and show what came of it.
func (c *Controller[T]) reconcile(ctx context.Context, key types.NamespacedName) (time.Duration, error) {
	object, err := c.sets.Get(key.Namespace, key.Name)
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading %s %s: %w", c.kind.name, key, err)
	}
	s, err := c.kind.view(object)
	if err != nil {
		return 0, fmt.Errorf("%s %s: %w", c.kind.name, key, err)
	}
	p := c.plan(s)
	for p.claims() {
		if err := workload.AdoptAndRelease(ctx, c.pods, workload.OwnerIn(c.sets, object, c.kind.gvk), p.adopt, p.release); err != nil {
			return 0, err
		}
		// A pod may have gone before it could be adopted, so count again.
		p = c.plan(s)
	}
	failure := c.scale(ctx, s, p)
	after, err := c.report(ctx, s, failure)
	if failure != nil {
		err = errors.Join(failure.err, err)
	}
	return after, err
}

func (c *Controller[T]) plan(s set) plan {
	p := makePlan(c.observe(s))
	if steps := p.String(); steps != "" {
		c.logger.Debug("plan", "set", controller.NameOf(s.object).String(), "steps", steps)
	}
	return p
}

// report writes the status, if it is another now.
func (c *Controller[T]) report(ctx context.Context, s set, f *failure) (time.Duration, error) {
	status, after := statusOf(c.observe(s), c.kind.reportsTerminating, f)
	if apiequality.Semantic.DeepEqual(status, s.status) {
		return after, nil
	}
	namespace, name := s.object.GetNamespace(), s.object.GetName()
	_, err := c.sets.UpdateStatus(ctx, namespace, name, func(current T) error {
		now, err := c.kind.view(current)
		if err != nil || current.GetUID() != s.object.GetUID() || !apiequality.Semantic.DeepEqual(now.status, s.status) {
			return controller.ErrOvertaken
		}
		c.kind.setStatus(current, status)
		return nil
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return 0, fmt.Errorf("writing the status of %s %s/%s: %w", c.kind.name, namespace, name, err)
	}
	return after, nil
}

// observe reads the pods a set controls or might adopt.
func (c *Controller[T]) observe(s set) snapshot {
	o := snapshot{set: s, now: c.options.Clock.Now(), pods: workload.Candidates(c.pods, s.object, c.controllerOf)}
	if owner := metav1.GetControllerOfNoCopy(s.object); owner != nil {
		for _, sibling := range c.sets.ByIndex(registry.IndexOwner, string(owner.UID)) {
			o.related = append(o.related, c.pods.ByIndex(registry.IndexController, string(sibling.GetUID()))...)
		}
	}
	return o
}

// concerns adds the sets that a change of a pod concerns.
func (c *Controller[T]) concerns(now, before *corev1.Pod, add func(types.NamespacedName)) {
	workload.Concerns(now, before, c.controllerOf, c.adopters, add)
}

// controllerOf names the set of this kind that a pod says controls it.
func (c *Controller[T]) controllerOf(p *corev1.Pod) types.NamespacedName {
	return workload.ControllerOf(p, c.kind.gvk)
}

// adopters adds the sets that select a pod without a controller. With several,
// which is a mistake of whoever made them, the first to come gets it.
func (c *Controller[T]) adopters(p *corev1.Pod, add func(types.NamespacedName)) {
	for _, object := range c.sets.List(p.Namespace, nil) {
		if s, err := c.kind.view(object); err == nil && s.selector.Matches(labels.Set(p.Labels)) {
			add(controller.NameOf(object))
		}
	}
}
