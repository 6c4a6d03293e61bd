package namespaces

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/orchestrator/controller"
	"skiff/store"
)

// Deletion empties the namespaces that are being deleted: first the pods, as
// their grace allows, then everything else, and takes away the namespace's
// finalizer when nothing is left. While pods run, what they use stays.
type Deletion struct {
	options    Options
	clock      clock.Clock
	logger     *slog.Logger
	namespaces registry.Client[*corev1.Namespace]
	// kinds are the namespaced ones, pods first.
	kinds []*manifests.Kind
}

// NewDeletion returns the controller.
func NewDeletion(o Options) *Deletion {
	d := &Deletion{options: o, clock: o.Clock, logger: o.Logger, namespaces: registry.For[*corev1.Namespace](o.Registry)}
	for _, kind := range o.Registry.Kinds() {
		switch {
		case !kind.Namespaced:
		case isPods(kind):
			d.kinds = slices.Insert(d.kinds, 0, kind)
		default:
			d.kinds = append(d.kinds, kind)
		}
	}
	return d
}

func isPods(k *manifests.Kind) bool { return k.GVK == corev1.SchemeGroupVersion.WithKind("Pod") }

// Run works until ctx ends.
func (d *Deletion) Run(ctx context.Context) error {
	loop := controller.Loop[string]{
		Name: "namespace-deletion", Workers: 4, Reconcile: d.reconcile,
		Sources: []controller.Source[string]{
			controller.Follow(d.options.Feeds.Of("namespaces"), func(now, _ *corev1.Namespace, add func(string)) {
				if now != nil && now.DeletionTimestamp != nil {
					add(now.Name)
				}
			}),
		},
		Env: d.options.Env,
	}
	for _, kind := range d.kinds {
		if kind.Resource == "events" {
			continue // there are many, they go at once, and nothing depends on them
		}
		resource := kind.GroupResource().String()
		loop.Sources = append(loop.Sources, d.departures(resource, d.options.Feeds.Of(resource)))
	}
	loop.Sources = append(loop.Sources, controller.FollowEach(d.options.Feeds, manifests.CustomResourceDefinitions.String(), d.departures))
	return loop.Run(ctx)
}

// departures makes a source of the namespaces that something has left while
// they are being deleted.
func (d *Deletion) departures(_ string, feed *controller.Feed) controller.Source[string] {
	return func(ctx context.Context, q controller.Queue[string]) (func(), error) {
		return feed.Subscribe(ctx, func(e store.Event) {
			if e.Type != watch.Deleted {
				return
			}
			if n, err := d.namespaces.Get("", e.Object.GetNamespace()); err == nil && n.DeletionTimestamp != nil {
				q.Add(n.Name)
			}
		})
	}
}

func (d *Deletion) reconcile(ctx context.Context, name string) (time.Duration, error) {
	n, err := d.namespaces.Get("", name)
	if apierrors.IsNotFound(err) || err == nil && (n.DeletionTimestamp == nil || len(n.Spec.Finalizers) == 0) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading namespace %s: %w", name, err)
	}
	left := d.empty(ctx, n)
	if left.overtaken() {
		return 0, controller.ErrOvertaken
	}
	if err := d.report(ctx, n, left.conditions(metav1.NewTime(d.clock.Now()))); err != nil {
		return 0, err
	}
	if errs := left.errors(); len(errs) > 0 {
		return 0, fmt.Errorf("emptying namespace %s: %s", name, strings.Join(errs, ", "))
	}
	if !left.empty() {
		return left.again(), nil
	}
	d.logger.Info("namespace is empty", "namespace", name)
	return 0, d.finalize(ctx, n)
}

// empty asks for the deletion of all that is in the namespace, and looks at what
// is left. It stops behind the pods while there are any.
func (d *Deletion) empty(ctx context.Context, n *corev1.Namespace) (left remaining) {
	for _, kind := range append(slices.Clip(d.kinds), d.customKinds()...) {
		c := d.emptyKind(ctx, kind, n)
		left = append(left, c)
		if isPods(kind) && (c.count > 0 || c.err != nil) {
			return left
		}
	}
	return left
}

func (d *Deletion) customKinds() []*manifests.Kind {
	return slices.DeleteFunc(d.options.Registry.CustomKinds(), func(k *manifests.Kind) bool { return !k.Namespaced })
}

func (d *Deletion) emptyKind(ctx context.Context, kind *manifests.Kind, n *corev1.Namespace) content {
	gvr := kind.GVK.GroupVersion().WithResource(kind.Resource)
	resource := d.options.Registry.Resource(kind.GroupResource())
	if resource == nil {
		return content{resource: gvr} // a custom kind whose definition has gone meanwhile, and its objects before it
	}
	// In the background: all the dependents are deleted here anyway, and none is to
	// be left behind.
	options := &metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationBackground)}
	_, _, err := resource.DeleteCollection(ctx, n.Name, options, registry.ListOptions{}, registry.DeleteOptions{
		Validate: func(context.Context, store.Object) error { return d.stillGoing(n) },
	})
	if errors.Is(err, controller.ErrOvertaken) {
		return content{resource: gvr, err: err}
	}
	if err != nil {
		return content{resource: gvr, err: failure(kind, n, err)}
	}
	var objects []store.Object
	d.options.Registry.Store().Snapshot(kind.GroupResource().String()).Ascend(n.Name, store.Key{}, func(o store.Object) bool {
		objects = append(objects, o)
		return true
	})
	c := contentOf(gvr, objects, n.DeletionTimestamp.Time, d.clock.Now())
	if c.err != nil {
		c.err = failure(kind, n, c.err)
	}
	return c
}

// stillGoing fails with controller.ErrOvertaken when another namespace has taken the name: its
// content is not to be deleted.
func (d *Deletion) stillGoing(n *corev1.Namespace) error {
	current, err := d.namespaces.Get("", n.Name)
	if apierrors.IsNotFound(err) || err == nil && current.UID != n.UID {
		return controller.ErrOvertaken
	}
	return err
}

// failure has upstream's text: of pods, which hold everything else up, it says
// more.
func failure(kind *manifests.Kind, n *corev1.Namespace, err error) error {
	if isPods(kind) {
		return fmt.Errorf("failed to delete pods for namespace: %s, err: %w", n.Name, err)
	}
	return err
}

// errReplaced ends the update of a namespace that is not the one meant.
var errReplaced = errors.New("another namespace has taken the name")

func (d *Deletion) report(ctx context.Context, n *corev1.Namespace, conditions []corev1.NamespaceCondition) error {
	_, err := d.namespaces.UpdateStatus(ctx, "", n.Name, func(current *corev1.Namespace) error {
		if current.UID != n.UID {
			return errReplaced
		}
		current.Status.Phase = corev1.NamespaceTerminating
		current.Status.Conditions = merge(current.Status.Conditions, conditions)
		return nil
	})
	if apierrors.IsNotFound(err) || errors.Is(err, errReplaced) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("writing the conditions of namespace %s: %w", n.Name, err)
	}
	return nil
}

func (d *Deletion) finalize(ctx context.Context, n *corev1.Namespace) error {
	_, err := d.namespaces.UpdateSubresource(ctx, "", n.Name, manifests.SubresourceFinalize, func(current *corev1.Namespace) error {
		if current.UID != n.UID {
			return errReplaced
		}
		current.Spec.Finalizers = slices.DeleteFunc(current.Spec.Finalizers, func(f corev1.FinalizerName) bool { return f == corev1.FinalizerKubernetes })
		return nil
	})
	if apierrors.IsNotFound(err) || errors.Is(err, errReplaced) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("finalizing namespace %s: %w", n.Name, err)
	}
	return nil
}
