// Package definitions looks after CustomResourceDefinitions: it accepts their names and says that
// they are served, removes the objects of those that are deleted, and lets go of schemas that nobody
// uses any more. Upstream has a controller for each condition (k8s.io/apiextensions-apiserver
// pkg/controller).
package definitions

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/orchestrator/controller"
	"skiff/store"
)

const (
	// idle is how long schemas are kept that nobody uses, and sweep how often that is looked at.
	idle  = 5 * time.Minute
	sweep = time.Minute
)

// Options are what the controller needs.
type Options struct {
	controller.Env
}

// Controller looks after definitions.
type Controller struct {
	options Options
	crds    registry.Client[*extv1.CustomResourceDefinition]
	logger  *slog.Logger
}

// New returns the controller.
func New(o Options) *Controller {
	return &Controller{
		options: o, crds: registry.For[*extv1.CustomResourceDefinition](o.Registry),
		logger: o.Logger.With("controller", "definitions"),
	}
}

// Run works until ctx ends. One definition is looked at at a time: names are accepted one after the
// other.
func (c *Controller) Run(ctx context.Context) error {
	definitions := manifests.CustomResourceDefinitions.String()
	loop := controller.Loop[string]{
		Name: "definitions", Reconcile: c.reconcile,
		Sources: []controller.Source[string]{
			controller.Follow(c.options.Feeds.Of(definitions), c.changed),
			controller.FollowEach(c.options.Feeds, definitions, c.departures),
		},
		Env: c.options.Env,
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return loop.Run(ctx) })
	group.Go(func() error { return c.release(ctx) })
	return group.Wait()
}

// changed has a definition looked at, and all others of its group when names have become free.
func (c *Controller) changed(now, before *manifests.Packed, add func(string)) {
	if now != nil {
		add(now.Name)
	}
	if before == nil || now != nil && apiequality.Semantic.DeepEqual(now.Status.AcceptedNames, before.Status.AcceptedNames) {
		return
	}
	for _, other := range c.all() {
		if other.Spec.Group == before.Spec.Group {
			add(other.Name)
		}
	}
}

// departures makes a source of a definition that is being deleted and has lost an object.
func (c *Controller) departures(resource string, feed *controller.Feed) controller.Source[string] {
	return func(ctx context.Context, q controller.Queue[string]) (func(), error) {
		return feed.Subscribe(ctx, func(e store.Event) {
			if p := c.get(resource); e.Type == watch.Deleted && p != nil && p.DeletionTimestamp != nil {
				q.Add(resource)
			}
		})
	}
}

func (c *Controller) reconcile(ctx context.Context, name string) (time.Duration, error) {
	p := c.get(name)
	switch {
	case p == nil:
		return 0, nil
	case p.DeletionTimestamp != nil:
		return 0, c.remove(ctx, p)
	}
	want := p.DeepCopyObject().(*manifests.Packed).Definition()
	settle(want, takenNames(want, c.all()), c.now())
	if apiequality.Semantic.DeepEqual(want.Status, p.Status) {
		return 0, nil // it need not be unpacked
	}
	_, err := c.crds.UpdateStatus(ctx, "", name, func(crd *extv1.CustomResourceDefinition) error {
		settle(crd, takenNames(crd, c.all()), c.now())
		return nil
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return 0, fmt.Errorf("writing the status of the definition %s: %w", name, err)
	}
	return 0, nil
}

// release lets go of what is unused, until ctx ends.
func (c *Controller) release(ctx context.Context) error {
	ticker := c.options.Clock.NewTicker(sweep)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
			c.options.Registry.ReleaseUnused(c.options.Clock.Now().Add(-idle))
		}
	}
}

func (c *Controller) now() metav1.Time { return metav1.NewTime(c.options.Clock.Now()).Rfc3339Copy() }

// get is a definition as it lies in the store, nil if there is none.
func (c *Controller) get(name string) *manifests.Packed {
	o, ok := c.options.Registry.Store().Get(store.Key{Resource: manifests.CustomResourceDefinitions.String(), Name: name})
	if !ok {
		return nil
	}
	return o.(*manifests.Packed)
}

func (c *Controller) all() (all []*manifests.Packed) {
	c.options.Registry.Store().Snapshot(manifests.CustomResourceDefinitions.String()).Ascend("", store.Key{}, func(o store.Object) bool {
		all = append(all, o.(*manifests.Packed))
		return true
	})
	return all
}
