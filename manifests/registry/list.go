package registry

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/store"
)

// List returns the selected objects of a namespace ("" for all), in order of
// namespace and name.
func (r *Resource) List(ctx context.Context, namespace string, o ListOptions) ([]store.Object, metav1.ListMeta, error) {
	sel := r.newSelection(namespace, o.Labels, o.Fields)
	snapshot, after, err := r.snapshotFor(ctx, sel, o)
	if err != nil {
		return nil, metav1.ListMeta{}, err
	}
	load := r.load
	if o.Stored {
		load = func(obj store.Object) (store.Object, error) { return obj, nil }
	}
	p, err := collect(snapshot, sel, after, o.Limit, load)
	if err != nil {
		return nil, metav1.ListMeta{}, err
	}
	meta := metav1.ListMeta{ResourceVersion: formatRevision(snapshot.Revision())}
	if !p.more {
		return p.items, meta, nil
	}
	r.store().Retain(snapshot)
	last := p.items[len(p.items)-1]
	meta.Continue, err = continueAfter(sel, r.key(last.GetNamespace(), last.GetName()), int64(snapshot.Revision()))
	if err != nil {
		return nil, metav1.ListMeta{}, r.failed("listing", namespace, "", err)
	}
	if sel.all() {
		meta.RemainingItemCount = &p.remaining
	}
	return p.items, meta, nil
}

// page is a part of a list.
type page struct {
	items     []store.Object
	more      bool
	remaining int64
}

// collect takes up to limit (0: all) selected objects that come after a key, and
// counts the rest. Those that it takes are loaded.
func collect(snapshot store.Snapshot, sel selection, after store.Key, limit int64, load func(store.Object) (store.Object, error)) (p page, err error) {
	if sel.all() && limit == 0 && sel.namespace == "" {
		p.items = make([]store.Object, 0, snapshot.Len())
	}
	snapshot.Ascend(sel.namespace, after, func(obj store.Object) bool {
		if !sel.matchesMetadata(obj) {
			return true
		}
		full := limit > 0 && int64(len(p.items)) == limit
		if !full || sel.fields != nil {
			if obj, err = load(obj); err != nil {
				return false
			}
		}
		if !sel.matchesFields(obj) {
			return true
		}
		if full {
			p.more = true
			p.remaining++
			return sel.all() // others are not told how many remain
		}
		p.items = append(p.items, obj)
		return true
	})
	return p, err
}

// snapshotFor is the state a list is to show and the key it begins after.
func (r *Resource) snapshotFor(ctx context.Context, sel selection, o ListOptions) (store.Snapshot, store.Key, error) {
	if o.Continue != "" {
		return r.continued(sel, o)
	}
	revision, err := parseVersion(o.ResourceVersion)
	if err != nil {
		return store.Snapshot{}, store.Key{}, apierrors.NewBadRequest(fmt.Sprintf("invalid resource version: %v", err))
	}
	if err := r.waitFor(ctx, revision); err != nil {
		return store.Snapshot{}, store.Key{}, err
	}
	if !exact(revision, o) {
		return r.store().Snapshot(r.name), store.Key{}, nil
	}
	snapshot, err := r.store().SnapshotAt(r.name, revision)
	if errors.Is(err, store.ErrExpired) {
		err = apierrors.NewResourceExpired("The resourceVersion for the provided list is too old.")
	}
	return snapshot, store.Key{}, err
}

// exact says that a list must show the very state of a revision. Without a
// match, it does so only for limited lists, as it always has.
func exact(revision uint64, o ListOptions) bool {
	switch o.Match {
	case metav1.ResourceVersionMatchExact:
		return true
	case metav1.ResourceVersionMatchNotOlderThan:
		return false
	default:
		return revision > 0 && o.Limit > 0
	}
}
