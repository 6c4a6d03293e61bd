package registry_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"

	"skiff/manifests/registry"
	"skiff/store"
)

// next is the watch's next event as text; "closed" when there is none.
func next(t *testing.T, w watch.Interface) string {
	t.Helper()
	event, ok := <-w.ResultChan()
	if !ok {
		return "closed"
	}
	if status, ok := event.Object.(*metav1.Status); ok {
		return fmt.Sprintf("%s %d %s", event.Type, status.Code, status.Message)
	}
	obj := event.Object.(store.Object)
	text := strings.TrimSpace(fmt.Sprintf("%s %s", event.Type, obj.GetName()))
	if event.Type == watch.Bookmark {
		text += " @" + obj.GetResourceVersion()
	}
	if _, ok := obj.GetAnnotations()[metav1.InitialEventsAnnotationKey]; ok {
		text += " end"
	}
	return text
}

func wantEvents(t *testing.T, w watch.Interface, want ...string) {
	t.Helper()
	for i, text := range want {
		if got := next(t, w); got != text {
			t.Fatalf("event %d: got %q, want %q", i, got, text)
		}
	}
}

// watch begins a watch that ends with the test.
func (f fixture) watch(resource, namespace string, o registry.WatchOptions) watch.Interface {
	f.t.Helper()
	ctx, cancel := context.WithCancel(f.ctx)
	w, err := f.resource(resource).Watch(ctx, namespace, o)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		cancel()
		for range w.ResultChan() { //nolint:revive // wait for the end
		}
	})
	return w
}

func (f fixture) version() string { return fmt.Sprint(f.revision()) }

// relabel gives a config map a label.
func (f fixture) relabel(name, key, value string) {
	f.t.Helper()
	_, err := registry.For[*corev1.ConfigMap](f.Registry).Update(f.ctx, "default", name, func(c *corev1.ConfigMap) error {
		c.Labels = map[string]string{key: value}
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f fixture) remove(resource, namespace, name string) {
	f.t.Helper()
	if _, _, err := f.resource(resource).Delete(f.ctx, namespace, name, nil, registry.DeleteOptions{}); err != nil {
		f.t.Fatal(err)
	}
}

func TestWatchSelectorTransitions(t *testing.T) {
	f := open(t)
	f.create(configMap("in", "app", "kubia"))
	f.create(configMap("out"))
	w := f.watch("configmaps", "", registry.WatchOptions{Labels: selector("app=kubia"), ResourceVersion: f.version()})

	f.relabel("out", "app", "kubia")
	f.relabel("in", "app", "kubia") // no change, no event
	f.relabel("in", "app", "other")
	left := f.version()
	f.relabel("in", "app", "third") // out of sight
	f.create(configMap("unseen"))
	f.create(configMap("new", "app", "kubia"))
	_, err := registry.For[*corev1.ConfigMap](f.Registry).Update(f.ctx, "default", "new", func(c *corev1.ConfigMap) error {
		c.Data = map[string]string{"k": "v"}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	f.remove("configmaps", "default", "new")
	f.remove("configmaps", "default", "in")

	wantEvents(t, w, "ADDED out")
	event := <-w.ResultChan()
	gone := event.Object.(*corev1.ConfigMap)
	if event.Type != watch.Deleted || gone.Name != "in" || gone.Labels["app"] != "kubia" || gone.ResourceVersion != left {
		t.Errorf("%s %+v; want the last state that matched, at %s", event.Type, gone, left)
	}
	wantEvents(t, w, "ADDED new", "MODIFIED new", "DELETED new")
	if c := must(f.resource("configmaps").Get("default", "out")); c.GetResourceVersion() == left {
		t.Error("a stored object was changed")
	}
}

func TestWatchScope(t *testing.T) {
	f := open(t)
	f.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a"}})
	since := f.version()
	namespaced := f.watch("configmaps", "a", registry.WatchOptions{ResourceVersion: since})
	named := f.watch("configmaps", "", registry.WatchOptions{ResourceVersion: since, Fields: fieldSelector("metadata.name=x")})
	f.create(configMap("x"))
	f.create(inNamespace(configMap("y"), "a"))
	f.create(inNamespace(configMap("x"), "a"))
	wantEvents(t, namespaced, "ADDED y", "ADDED x")
	wantEvents(t, named, "ADDED x", "ADDED x")
}

func TestWatchByField(t *testing.T) {
	f := open(t)
	w := f.watch("pods", "", registry.WatchOptions{ResourceVersion: f.version(), Fields: fieldSelector("spec.nodeName=n")})
	f.create(pod("p"))
	if err := f.bind("p", "n"); err != nil {
		t.Fatal(err)
	}
	wantEvents(t, w, "ADDED p")
}

func TestWatchBeginning(t *testing.T) {
	f := open(t)
	f.create(configMap("a"))
	f.create(configMap("b", "app", "kubia"))
	for name, test := range map[string]struct {
		o    registry.WatchOptions
		want []string // before c comes
	}{
		"no version":           {registry.WatchOptions{}, []string{"ADDED a", "ADDED b"}},
		"any version":          {registry.WatchOptions{ResourceVersion: "0"}, []string{"ADDED a", "ADDED b"}},
		"selected":             {registry.WatchOptions{Labels: selector("app")}, []string{"ADDED b"}},
		"from a version on":    {registry.WatchOptions{ResourceVersion: "now"}, nil},
		"no initial events":    {registry.WatchOptions{SendInitialEvents: ptr.To(false)}, nil},
		"initial events":       {registry.WatchOptions{SendInitialEvents: ptr.To(true), Bookmarks: true}, []string{"ADDED a", "ADDED b", "BOOKMARK @now end"}},
		"not older than":       {registry.WatchOptions{SendInitialEvents: ptr.To(true), Bookmarks: true, ResourceVersion: "now"}, []string{"ADDED a", "ADDED b", "BOOKMARK @now end"}},
		"without the bookmark": {registry.WatchOptions{SendInitialEvents: ptr.To(true)}, []string{"ADDED a", "ADDED b"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := f.in(t)
			now := func(text string) string { return strings.ReplaceAll(text, "now", f.version()) }
			test.o.ResourceVersion = now(test.o.ResourceVersion)
			w := f.watch("configmaps", "default", test.o)
			for _, want := range test.want {
				wantEvents(t, w, now(want))
			}
			f.waitForTimer()
			f.create(configMap("c", "app", "kubia"))
			wantEvents(t, w, "ADDED c")
			f.remove("configmaps", "default", "c")
		})
	}
}

func TestBookmarks(t *testing.T) {
	f := open(t)
	w := f.watch("configmaps", "", registry.WatchOptions{ResourceVersion: f.version(), Bookmarks: true})
	silent := f.watch("configmaps", "", registry.WatchOptions{ResourceVersion: f.version()})
	for f.clock.Waiters() < 3 {
		runtime.Gosched()
	}
	f.create(pod("elsewhere"))
	f.clock.Step(time.Minute)
	wantEvents(t, w, "BOOKMARK @"+f.version())
	f.create(configMap("a"))
	wantEvents(t, w, "ADDED a")
	wantEvents(t, silent, "ADDED a")
}

func TestWatchFromTooLongAgo(t *testing.T) {
	f := open(t, func(o *store.Options, _ *registry.Options) { o.Window = 2 })
	since := f.version()
	for i := range 10 {
		f.create(configMap(fmt.Sprint("c", i)))
	}
	w := f.watch("configmaps", "", registry.WatchOptions{ResourceVersion: since})
	wantEvents(t, w, fmt.Sprintf("ERROR 410 too old resource version: %s (%s)", since, f.version()), "closed")
}

func TestWatchOfASlowReader(t *testing.T) {
	f := open(t, func(o *store.Options, _ *registry.Options) { o.Window = 2 })
	w := f.watch("configmaps", "", registry.WatchOptions{ResourceVersion: f.version()})
	f.waitForTimer()
	for i := range 300 {
		f.create(configMap(fmt.Sprint("c", i)))
	}
	last := ""
	for event := next(t, w); event != "closed"; event = next(t, w) {
		last = event
	}
	if !strings.HasPrefix(last, "ERROR 410 too old resource version") {
		t.Errorf("ended with %q", last)
	}
}

func TestWatchOfTheFuture(t *testing.T) {
	f := open(t)
	w := f.watch("configmaps", "", registry.WatchOptions{ResourceVersion: "1000"})
	f.waitForTimer()
	f.clock.Step(3 * time.Second)
	wantEvents(t, w, "ERROR 504 Timeout: Too large resource version: 1000, current: "+f.version(), "closed")

	_, err := f.resource("configmaps").Watch(f.ctx, "", registry.WatchOptions{ResourceVersion: "x"})
	wantError(t, err, `ConfigMap "" is invalid: resourceVersion: Invalid value: "x": strconv.ParseUint: parsing "x": invalid syntax`)
}

func TestWatchStops(t *testing.T) {
	f := open(t)
	w, err := f.resource("configmaps").Watch(f.ctx, "", registry.WatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.Stop()
	wantEvents(t, w, "closed")
}
