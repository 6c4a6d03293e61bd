package registry

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"

	"skiff/store"
)

// watchBuffer is how many events wait for a reader before the watch itself
// waits.
const watchBuffer = 100

// Watch reports the changes to the selected objects of a namespace ("" for all)
// until ctx ends or the watch is stopped. An object that comes to match is
// Added, one that ceases to is Deleted. What makes the watch impossible once the
// options are understood, such as a resourceVersion that is too old, is its
// first and only event, of type Error, as clients expect. The objects of events
// are shared: read-only.
func (r *Resource) Watch(ctx context.Context, namespace string, o WatchOptions) (watch.Interface, error) {
	since, err := parseVersion(o.ResourceVersion)
	if err != nil {
		at := field.NewPath("resourceVersion")
		return nil, apierrors.NewInvalid(r.kind.GVK.GroupKind(), "", field.ErrorList{field.Invalid(at, o.ResourceVersion, err.Error())})
	}
	ctx, stop := context.WithCancel(ctx)
	w := &watcher{
		resource:  r,
		selection: r.newSelection(namespace, o.Labels, o.Fields),
		bookmarks: o.Bookmarks,
		stop:      stop,
		results:   make(chan watch.Event, watchBuffer),
	}
	go w.run(ctx, since, o)
	return w, nil
}

// watcher turns a store's watch of a resource into one of the selected objects.
type watcher struct {
	resource  *Resource
	selection selection
	bookmarks bool
	stop      context.CancelFunc
	results   chan watch.Event
}

// Stop ends the watch; its channel is closed soon after.
func (w *watcher) Stop() { w.stop() }

// ResultChan is closed when the watch has ended.
func (w *watcher) ResultChan() <-chan watch.Event { return w.results }

// run reports events until ctx ends or no more are to come.
func (w *watcher) run(ctx context.Context, since uint64, o WatchOptions) {
	defer close(w.results)
	defer w.stop()
	err := w.report(ctx, since, o)
	if ctx.Err() == nil && !errors.Is(err, store.ErrClosed) {
		w.send(ctx, watch.Event{Type: watch.Error, Object: statusOf(err)})
	}
}

func (w *watcher) report(ctx context.Context, since uint64, o WatchOptions) error {
	if err := w.resource.waitFor(ctx, since); err != nil {
		return err
	}
	changes, err := w.begin(ctx, since, o)
	if err != nil {
		return w.explain(err, since)
	}
	ticker := w.resource.registry.options.Clock.NewTicker(w.resource.registry.options.BookmarkPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C():
			if w.bookmarks {
				w.bookmark(ctx, changes.Revision(), false)
			}
		case <-changes.Ready():
			events, revision, err := changes.Next(ctx)
			if err != nil {
				return w.explain(err, revision)
			}
			for _, event := range events {
				if event, err = w.loaded(event); err != nil {
					return err
				}
				w.change(ctx, event)
			}
		}
	}
}

// begin sends the objects there are, if asked to, and returns the watch that
// goes on from there.
func (w *watcher) begin(ctx context.Context, since uint64, o WatchOptions) (*store.Watch, error) {
	initial := since == 0
	if o.SendInitialEvents != nil {
		initial = *o.SendInitialEvents
	}
	s, name := w.resource.store(), w.resource.name
	if !initial && since > 0 {
		return s.Watch(ctx, name, since)
	}
	snapshot, changes, err := s.SnapshotAndWatch(ctx, name)
	if err != nil || !initial {
		return changes, err
	}
	snapshot.Ascend(w.selection.namespace, store.Key{}, func(obj store.Object) bool {
		if obj, err = w.resource.load(obj); err != nil {
			return false
		}
		return !w.selection.matches(obj) || w.send(ctx, watch.Event{Type: watch.Added, Object: obj})
	})
	if err != nil {
		return nil, err
	}
	if ptr.Deref(o.SendInitialEvents, false) && w.bookmarks {
		w.bookmark(ctx, snapshot.Revision(), true)
	}
	return changes, nil
}

// loaded is an event with objects as the resource's kind has them.
func (w *watcher) loaded(e store.Event) (store.Event, error) {
	var err error
	if e.Object, err = w.resource.load(e.Object); err != nil {
		return e, err
	}
	if e.Previous != nil && !w.selection.all() {
		e.Previous, err = w.resource.load(e.Previous)
	}
	return e, err
}

// change reports what an event of the store is to those who see only the
// selected objects.
func (w *watcher) change(ctx context.Context, event store.Event) {
	is := event.Type != watch.Deleted && w.selection.matches(event.Object)
	was := event.Previous != nil && w.selection.matches(event.Previous)
	switch {
	case is && was:
		w.send(ctx, watch.Event{Type: watch.Modified, Object: event.Object})
	case is:
		w.send(ctx, watch.Event{Type: watch.Added, Object: event.Object})
	case was && event.Type == watch.Deleted:
		w.send(ctx, watch.Event{Type: watch.Deleted, Object: event.Object})
	case was:
		// It left the selection: what is shown is its last state within, at the
		// version of the change.
		left := event.Previous.DeepCopyObject().(store.Object)
		left.SetResourceVersion(formatRevision(event.Revision))
		w.send(ctx, watch.Event{Type: watch.Deleted, Object: left})
	}
}

func (w *watcher) bookmark(ctx context.Context, revision uint64, initialEventsEnd bool) {
	mark := w.resource.kind.New().(store.Object)
	mark.SetResourceVersion(formatRevision(revision))
	if initialEventsEnd {
		mark.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	}
	w.send(ctx, watch.Event{Type: watch.Bookmark, Object: mark})
}

// send says whether the event was taken before ctx ended.
func (w *watcher) send(ctx context.Context, event watch.Event) bool {
	select {
	case w.results <- event:
		return true
	case <-ctx.Done():
		return false
	}
}

// explain turns the store's errors into the API's.
func (w *watcher) explain(err error, since uint64) error {
	if errors.Is(err, store.ErrExpired) {
		return apierrors.NewResourceExpired(fmt.Sprintf("too old resource version: %d (%d)", since, w.resource.store().Revision()))
	}
	return err
}

// statusOf is an error as an event carries it.
func statusOf(err error) runtime.Object {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		status = apierrors.NewInternalError(err)
	}
	s := status.Status()
	return &s
}
