package registry_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"pgregory.net/rapid"

	"skiff/manifests/registry"
	"skiff/store"
)

// TestAWatchTellsWhatAListShows: whatever happens, one who applies the events of
// a watch knows what a list with the same selector shows, and sees no event that
// does not fit what he knows.
func TestAWatchTellsWhatAListShows(t *testing.T) {
	f := open(t)
	r := f.resource("configmaps")
	rapid.Check(t, func(rt *rapid.T) {
		o := registry.WatchOptions{Labels: selector("app=kubia")}
		known := map[string]string{} // name → version
		if rapid.Bool().Draw(rt, "from a list") {
			items, meta, err := r.List(f.ctx, "default", registry.ListOptions{Labels: o.Labels})
			if err != nil {
				rt.Fatal(err)
			}
			for _, item := range items {
				known[item.GetName()] = item.GetResourceVersion()
			}
			o.ResourceVersion = meta.ResourceVersion
		}
		w, err := r.Watch(f.ctx, "default", o)
		if err != nil {
			rt.Fatal(err)
		}
		defer stop(w)
		for range rapid.IntRange(1, 20).Draw(rt, "steps") {
			f.randomWrite(rt)
		}
		// The last event is one that always shows.
		end := f.create(configMap("end", "app", "kubia"))
		defer f.remove("configmaps", "default", "end")
		for known["end"] != end.GetResourceVersion() {
			apply(rt, known, <-w.ResultChan())
		}
		items, _, err := r.List(f.ctx, "default", registry.ListOptions{Labels: o.Labels})
		if err != nil {
			rt.Fatal(err)
		}
		listed := map[string]string{}
		for _, item := range items {
			listed[item.GetName()] = item.GetResourceVersion()
		}
		if !maps.Equal(known, listed) {
			rt.Fatalf("known %v, listed %v", known, listed)
		}
	})
}

func stop(w watch.Interface) {
	w.Stop()
	for range w.ResultChan() { //nolint:revive // wait for the end
	}
}

func apply(t *rapid.T, known map[string]string, event watch.Event) {
	obj, ok := event.Object.(store.Object)
	if !ok {
		t.Fatalf("%+v", event)
	}
	version, seen := known[obj.GetName()]
	switch event.Type {
	case watch.Added:
		if seen {
			t.Fatalf("%s was added twice", obj.GetName())
		}
	case watch.Modified, watch.Deleted:
		if !seen || obj.GetResourceVersion() == version {
			t.Fatalf("%s %s at %s, known at %q", event.Type, obj.GetName(), obj.GetResourceVersion(), version)
		}
	}
	if event.Type == watch.Deleted {
		delete(known, obj.GetName())
		return
	}
	known[obj.GetName()] = obj.GetResourceVersion()
}

// randomWrite creates, relabels, finalizes or deletes one of a few config maps.
func (f fixture) randomWrite(t *rapid.T) {
	name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")
	app := rapid.SampledFrom([]string{"kubia", "other"}).Draw(t, "app")
	change := func(set func(*corev1.ConfigMap)) error {
		_, err := registry.For[*corev1.ConfigMap](f.Registry).Update(f.ctx, "default", name, func(c *corev1.ConfigMap) error {
			set(c)
			return nil
		})
		return err
	}
	var err error
	switch rapid.SampledFrom([]string{"create", "relabel", "hold", "release", "delete"}).Draw(t, "write") {
	case "create":
		_, err = f.tryCreate(configMap(name, "app", app))
	case "relabel":
		err = change(func(c *corev1.ConfigMap) { c.Labels = map[string]string{"app": app} })
	case "hold":
		err = change(func(c *corev1.ConfigMap) {
			if c.DeletionTimestamp == nil {
				c.Finalizers = []string{"skiff/hold"}
			}
		})
	case "release":
		err = change(func(c *corev1.ConfigMap) { c.Finalizers = nil })
	case "delete":
		_, _, err = f.resource("configmaps").Delete(f.ctx, "default", name, &metav1.DeleteOptions{}, registry.DeleteOptions{})
	}
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}

// TestChunksMakeTheWholeList: chunks of any size, in any namespace and with any
// selector, are the list in one piece, whatever is written meanwhile.
func TestChunksMakeTheWholeList(t *testing.T) {
	f := open(t)
	for _, namespace := range []string{"a", "b"} {
		f.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	}
	for i := range 30 {
		f.create(inNamespace(configMap(fmt.Sprintf("c%02d", i), "third", fmt.Sprint(i%3)), []string{"a", "b", "default"}[i%3*i%3]))
	}
	r := f.resource("configmaps")
	there := map[string]bool{}
	toggle := func(name string) {
		if there[name] = !there[name]; there[name] {
			f.create(inNamespace(configMap(name, "third", "0"), "a"))
		} else {
			f.remove("configmaps", "a", name)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		namespace := rapid.SampledFrom([]string{"", "a", "default", "nowhere"}).Draw(rt, "namespace")
		o := registry.ListOptions{}
		if rapid.Bool().Draw(rt, "selected") {
			o.Labels = selector("third in (0,2)")
		}
		whole, meta, err := r.List(f.ctx, namespace, o)
		if err != nil {
			rt.Fatal(err)
		}
		o.Limit = rapid.Int64Range(1, 12).Draw(rt, "limit")
		o.ResourceVersion, o.Match = meta.ResourceVersion, metav1.ResourceVersionMatchExact
		var chunked []store.Object
		for {
			items, meta, err := r.List(f.ctx, namespace, o)
			if err != nil {
				rt.Fatal(err)
			}
			chunked = append(chunked, items...)
			if remaining := meta.RemainingItemCount; remaining != nil && int(*remaining) != len(whole)-len(chunked) {
				rt.Fatalf("%d remain after %d of %d", *remaining, len(chunked), len(whole))
			}
			if meta.Continue == "" {
				break
			}
			o.Continue, o.ResourceVersion, o.Match = meta.Continue, "", ""
			toggle(rapid.SampledFrom([]string{"a", "c10-x", "c20-x", "z"}).Draw(rt, "toggled"))
		}
		if !slices.Equal(chunked, whole) {
			rt.Fatalf("got %s\nwant %s", keys(chunked), keys(whole))
		}
	})
}
