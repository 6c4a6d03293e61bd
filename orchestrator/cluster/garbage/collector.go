// Package garbage collects objects whose owners are gone, and carries out what
// the deletion of an owner asks for its dependents: to go after it (background),
// before it (foreground), or to stay (orphan).
//
// There is no graph in memory: the store's index of owner references is the
// graph, always as new as the objects. A change of an object puts the keys of
// those it concerns in the queue, and a look at a key decides from what the
// store says then.
package garbage

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"skiff/manifests"
	"skiff/orchestrator/controller"
	"skiff/store"
)

// Component is the source of the collector's events.
const Component = "garbage-collector-controller"

// Options are what the collector needs.
type Options struct {
	controller.Env

	// Workers is how many objects are looked at a time.
	Workers int
}

// Collector is the garbage collector.
type Collector struct {
	options  Options
	graph    *graph
	recorder controller.Recorder
	logger   *slog.Logger
}

// New returns a collector of all kinds that the registry serves.
func New(o Options) *Collector {
	return &Collector{
		options: o, recorder: o.Recorder(Component),
		graph:  newGraph(o.Registry),
		logger: o.Logger.With("controller", "garbage"),
	}
}

// Run collects until ctx ends.
func (c *Collector) Run(ctx context.Context) error {
	var queue controller.Queue[key]
	loop := controller.Loop[key]{
		Name: "garbage", Workers: c.options.Workers,
		Reconcile: func(ctx context.Context, k key) (time.Duration, error) { return 0, c.reconcile(ctx, k, queue.Add) },
		Sources: []controller.Source[key]{func(_ context.Context, q controller.Queue[key]) (func(), error) {
			queue = q
			return func() {}, nil
		}},
		Env: c.options.Env,
	}
	for _, kind := range c.graph.kinds {
		resource := kind.GroupResource().String()
		loop.Sources = append(loop.Sources, c.follow(resource, c.options.Feeds.Of(resource)))
	}
	loop.Sources = append(loop.Sources, controller.FollowEach(c.options.Feeds, manifests.CustomResourceDefinitions.String(), c.follow))
	return loop.Run(ctx)
}

// reconcile looks at one object.
func (c *Collector) reconcile(ctx context.Context, k key, add func(key)) error {
	o := c.graph.observe(k)
	if o.object != nil && o.unknown != nil {
		// No retry will change it, another change of the object may.
		c.logger.Info("object is not collected", "object", k.Key.String(), "cause", o.unknown)
	}
	p := makePlan(o)
	if steps := p.String(); steps != "" {
		c.logger.Debug("plan", "object", k.String(), "steps", steps)
	}
	return c.execute(ctx, o, p, add)
}

func (c *Collector) follow(resource string, feed *controller.Feed) controller.Source[key] {
	return func(ctx context.Context, q controller.Queue[key]) (func(), error) {
		return feed.Subscribe(ctx, func(e store.Event) {
			if e.Type == watch.Deleted {
				c.gone(keyOf(resource, e.Object), e.Object, q.Add)
			} else {
				c.changed(keyOf(resource, e.Object), e.Object, e.Previous, q.Add)
			}
		})
	}
}

// gone has the dependents of an object looked at, and the owners that may have
// waited for it.
func (c *Collector) gone(k key, o store.Object, add func(key)) {
	add(k)
	c.lookAtWaiting(o, o.GetOwnerReferences(), add)
}

// changed has an object looked at if there may be something to do about it. What
// its owners are now is asked here, so that the many objects whose owners are
// well are not put in the queue. An owner that goes later has its dependents
// looked at itself.
func (c *Collector) changed(k key, now, before store.Object, add func(key)) {
	if orphansDependents(now) || waitsForDependents(now) {
		add(k)
	}
	refs := now.GetOwnerReferences()
	if before == nil {
		if len(refs) > 0 {
			c.check(k, now, add)
		}
		return
	}
	old := before.GetOwnerReferences()
	if apiequality.Semantic.DeepEqual(refs, old) {
		return
	}
	c.check(k, now, add)
	c.lookAtWaiting(now, old, add) // it may block them no more
}

func (c *Collector) check(k key, o store.Object, add func(key)) {
	found := c.graph.owners(o)
	if len(found.dangling)+len(found.waiting) > 0 || found.unknown != nil {
		add(k)
	}
	if len(found.dangling) > 0 || found.unknown != nil {
		c.reportInvalid(o)
	}
}

// lookAtWaiting has those owners looked at that wait for their dependents.
func (c *Collector) lookAtWaiting(o store.Object, refs []metav1.OwnerReference, add func(key)) {
	for _, ref := range refs {
		owner, kind, err := c.graph.owner(o, ref)
		if err == nil && owner != nil && waitsForDependents(owner) {
			add(keyOf(kind.GroupResource().String(), owner))
		}
	}
}

// reportInvalid says of an owner in another namespace that it is none.
func (c *Collector) reportInvalid(o store.Object) {
	for _, ref := range o.GetOwnerReferences() {
		if !c.graph.elsewhere(o, ref) {
			continue
		}
		owner := fmt.Sprintf("[%s/%s, namespace: %s, name: %s, uid: %s]", ref.APIVersion, ref.Kind, o.GetNamespace(), ref.Name, ref.UID)
		c.recorder.Event(o, corev1.EventTypeWarning, "OwnerRefInvalidNamespace",
			"ownerRef %s does not exist in namespace %q", owner, o.GetNamespace())
	}
}
