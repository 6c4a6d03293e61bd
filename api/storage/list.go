package storage

import (
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/store"
)

func listOptions(o *metainternalversion.ListOptions) registry.ListOptions {
	if o == nil {
		return registry.ListOptions{}
	}
	return registry.ListOptions{
		Labels:          o.LabelSelector,
		Fields:          o.FieldSelector,
		Limit:           o.Limit,
		Continue:        o.Continue,
		ResourceVersion: o.ResourceVersion,
		Match:           o.ResourceVersionMatch,
	}
}

func watchOptions(o *metainternalversion.ListOptions) registry.WatchOptions {
	if o == nil {
		return registry.WatchOptions{}
	}
	return registry.WatchOptions{
		Labels:            o.LabelSelector,
		Fields:            o.FieldSelector,
		ResourceVersion:   o.ResourceVersion,
		SendInitialEvents: o.SendInitialEvents,
		Bookmarks:         o.AllowWatchBookmarks,
	}
}

// listOf makes the kind's list of objects. Its items are copies as Detach makes them, because a
// list holds its items by value.
func listOf(kind *manifests.Kind, objects []store.Object, list metav1.ListMeta) (runtime.Object, error) {
	out := kind.NewList()
	field, err := meta.GetItemsPtr(out)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	items := reflect.ValueOf(field).Elem()
	items.Set(reflect.MakeSlice(items.Type(), len(objects), len(objects)))
	for i, obj := range objects {
		item := items.Index(i)
		item.Set(reflect.ValueOf(obj).Elem())
		untype(item.Addr().Interface().(runtime.Object))
	}
	to, err := meta.ListAccessor(out)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	to.SetResourceVersion(list.ResourceVersion)
	to.SetContinue(list.Continue)
	to.SetRemainingItemCount(list.RemainingItemCount)
	return out, nil
}
