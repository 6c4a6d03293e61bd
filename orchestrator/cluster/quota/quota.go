// Package quota keeps the status of resource quotas true: what they limit, and
// what is in use. Admission (manifests/admission.ResourceQuota) counts up what
// comes in, with each write; this controller counts anew when a quota changes
// and when something goes.
package quota

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	sums "k8s.io/apiserver/pkg/quota/v1"
	"k8s.io/utils/clock"

	"skiff/manifests"
	"skiff/manifests/quota"
	"skiff/manifests/registry"
	"skiff/orchestrator/controller"
	"skiff/store"
)

// settle is how long after something was charged, or a status was written by
// another, the count is checked. It makes one check of many charges.
const settle = time.Second

// maxCounts is how often a quota is counted at once while it is being charged.
const maxCounts = 3

// Options are what the controller needs.
type Options struct {
	controller.Env

	// Workers is how many quotas are counted at a time.
	Workers int
}

// Controller is the quota controller.
type Controller struct {
	options Options
	clock   clock.PassiveClock
	quotas  registry.Client[*corev1.ResourceQuota]
	pods    registry.Client[*corev1.Pod]
	kinds   []*manifests.Kind
}

// New returns the controller.
func New(o Options) *Controller {
	return &Controller{
		options: o, clock: o.Clock,
		quotas: registry.For[*corev1.ResourceQuota](o.Registry),
		pods:   registry.For[*corev1.Pod](o.Registry),
		kinds:  o.Registry.Kinds(),
	}
}

type key = types.NamespacedName

// Run works until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	loop := controller.Loop[key]{
		Name: "resourcequota", Workers: c.options.Workers, Reconcile: c.reconcile,
		Sources: []controller.Source[key]{c.followQuotas},
		Env:     c.options.Env,
	}
	for _, kind := range c.kinds {
		if quota.Countable(kind) {
			loop.Sources = append(loop.Sources, c.follow(kind, c.options.Feeds.Of(kind.GroupResource().String())))
		}
	}
	definitions := manifests.CustomResourceDefinitions.String()
	loop.Sources = append(loop.Sources,
		controller.FollowEach(c.options.Feeds, definitions, c.followCustom), c.followDefinitions(c.options.Feeds.Of(definitions)))
	return loop.Run(ctx)
}

// followQuotas has a quota counted when it is new or its specification changes.
// A status that was written without it is checked later.
func (c *Controller) followQuotas(ctx context.Context, queue controller.Queue[key]) (func(), error) {
	return c.options.Feeds.Of("resourcequotas").Subscribe(ctx, func(e store.Event) {
		now, ok := e.Object.(*corev1.ResourceQuota)
		if !ok || e.Type == watch.Deleted {
			return
		}
		before, changed := e.Previous.(*corev1.ResourceQuota)
		if changed && apiequality.Semantic.DeepEqual(now.Spec, before.Spec) && quota.Current(now, quota.Kinds(c.options.Registry.Store())) {
			queue.AddAfter(controller.NameOf(now), settle)
			return
		}
		queue.Add(controller.NameOf(now))
	})
}

// follow has the quotas of a namespace counted that count a kind when objects of
// it go or come to use something else. What is new was charged already.
func (c *Controller) follow(kind *manifests.Kind, feed *controller.Feed) controller.Source[key] {
	return func(ctx context.Context, queue controller.Queue[key]) (func(), error) {
		return feed.Subscribe(ctx, func(e store.Event) {
			c.eachQuota(e.Object.GetNamespace(), kind, func(q *corev1.ResourceQuota) {
				switch {
				case e.Type == watch.Added:
					queue.AddAfter(controller.NameOf(q), settle)
				case e.Type == watch.Deleted || c.differs(q, kind, e):
					queue.Add(controller.NameOf(q))
				}
			})
		})
	}
}

// eachQuota calls fn with the quotas of a namespace that count a kind.
func (c *Controller) eachQuota(namespace string, kind *manifests.Kind, fn func(*corev1.ResourceQuota)) {
	c.options.Registry.Store().Snapshot("resourcequotas").Ascend(namespace, store.Key{}, func(obj store.Object) bool {
		if q := obj.(*corev1.ResourceQuota); quota.Counts(q, kind) {
			fn(q)
		}
		return true
	})
}

// differs says whether a change of an object matters to a quota.
func (c *Controller) differs(q *corev1.ResourceQuota, kind *manifests.Kind, e store.Event) bool {
	if e.Object.GetDeletionTimestamp() != nil && e.Previous.GetDeletionTimestamp() == nil {
		return true // it may become overdue
	}
	if quota.Covers(q, kind, e.Object) != quota.Covers(q, kind, e.Previous) {
		return true
	}
	now := c.clock.Now()
	return !sums.Equals(quota.Usage(kind, e.Object, now), quota.Usage(kind, e.Previous, now))
}

// errBusy ends a count that charges overtake each time.
var errBusy = errors.New("the quota is being charged")

func (c *Controller) reconcile(ctx context.Context, k key) (time.Duration, error) {
	counts := 0
	_, err := c.quotas.UpdateStatus(ctx, k.Namespace, k.Name, func(q *corev1.ResourceQuota) error {
		// A charge that comes in after the count makes the update begin anew, for it
		// is a change of the quota too.
		if counts++; counts > maxCounts {
			return errBusy
		}
		q.Status = quota.Status(c.options.Registry.Store(), q, quota.Kinds(c.options.Registry.Store()), c.clock.Now())
		return nil
	})
	switch {
	case apierrors.IsNotFound(err):
		return 0, nil
	case errors.Is(err, errBusy):
		return settle, nil // who charges counts anew too, before anything is refused
	}
	if err != nil {
		return 0, fmt.Errorf("writing the status of resource quota %s: %w", k, err)
	}
	return c.nextOverdue(k.Namespace), nil
}

// nextOverdue is the time until a pod that is being deleted counts no more
// though it is still there, 0 if there is none such.
func (c *Controller) nextOverdue(namespace string) time.Duration {
	var next time.Duration
	now := c.clock.Now()
	for _, pod := range c.pods.List(namespace, nil) {
		at, deleted := quota.Overdue(pod)
		if left := at.Sub(now) + time.Millisecond; deleted && left > 0 && (next == 0 || left < next) {
			next = left
		}
	}
	return next
}
