package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// patience bounds every wait of a test: only a test that fails waits so long.
const patience = 20 * time.Second

// next is a watch's next event as text: its type and its object's name, and of a bookmark whether
// it ends the beginning.
func next(t testing.TB, w watch.Interface) string {
	t.Helper()
	select {
	case e, ok := <-w.ResultChan():
		if !ok {
			return "closed"
		}
		return eventText(e.Type, e.Object)
	case <-time.After(patience):
		t.Fatal("no event")
	}
	return ""
}

func eventText(kind watch.EventType, obj runtime.Object) string {
	if status, ok := obj.(*metav1.Status); ok {
		return fmt.Sprintf("%s %d %s: %s", kind, status.Code, status.Reason, status.Message)
	}
	m, ok := obj.(metav1.Object)
	if !ok {
		return fmt.Sprintf("%s %T", kind, obj)
	}
	text := string(kind)
	if m.GetName() != "" {
		text += " " + m.GetName()
	}
	if kind == watch.Bookmark && m.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true" {
		text += " initial-events-end"
	}
	return text
}

func newMap(name string, labels ...string) *corev1.ConfigMap {
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}}}
	for _, l := range labels {
		k, v, _ := strings.Cut(l, "=")
		m.Labels[k] = v
	}
	return m
}

// TestWatchInEveryEncoding follows objects that come into and leave a selection, in JSON and
// protobuf.
func TestWatchInEveryEncoding(t *testing.T) {
	h := start(t, options{})
	ctx := context.Background()
	for i, contentType := range []string{"application/json", "application/vnd.kubernetes.protobuf"} {
		t.Run(contentType, func(t *testing.T) {
			config := rest.CopyConfig(h.config)
			config.ContentType = contentType
			config.AcceptContentTypes = contentType
			maps := must[*kubernetes.Clientset](t)(kubernetes.NewForConfig(config)).CoreV1().ConfigMaps("default")
			a, b := fmt.Sprint("a", i), fmt.Sprint("b", i)
			must[*corev1.ConfigMap](t)(maps.Create(ctx, newMap(a, "tier=front"), metav1.CreateOptions{}))
			w := must[watch.Interface](t)(maps.Watch(ctx, metav1.ListOptions{LabelSelector: "tier=front"}))
			defer w.Stop()
			equal(t, "event", next(t, w), "ADDED "+a)
			must[*corev1.ConfigMap](t)(maps.Create(ctx, newMap(b, "tier=back"), metav1.CreateOptions{}))
			label := func(name, value string) {
				t.Helper()
				patch := fmt.Sprintf(`{"metadata":{"labels":{"tier":%q}}}`, value)
				must[*corev1.ConfigMap](t)(maps.Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}))
			}
			label(b, "front")
			equal(t, "event", next(t, w), "ADDED "+b)
			label(a, "back")
			equal(t, "event", next(t, w), "DELETED "+a)
			must[*corev1.ConfigMap](t)(maps.Patch(ctx, b, types.MergePatchType, []byte(`{"data":{"a":"b"}}`), metav1.PatchOptions{}))
			equal(t, "event", next(t, w), "MODIFIED "+b)
			if err := maps.Delete(ctx, b, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			equal(t, "event", next(t, w), "DELETED "+b)
		})
	}
}

func TestWatchBeginnings(t *testing.T) {
	h := start(t, options{bookmarks: 20 * time.Millisecond})
	ctx := context.Background()
	maps := h.client.CoreV1().ConfigMaps("default")
	first := must[*corev1.ConfigMap](t)(maps.Create(ctx, newMap("a"), metav1.CreateOptions{}))
	must[*corev1.ConfigMap](t)(maps.Create(ctx, newMap("b"), metav1.CreateOptions{}))
	yes, no := true, false
	for name, test := range map[string]struct {
		options metav1.ListOptions
		want    string
	}{
		"all":       {metav1.ListOptions{}, "ADDED a, ADDED b"},
		"after one": {metav1.ListOptions{ResourceVersion: first.ResourceVersion}, "ADDED b"},
		"by name":   {metav1.ListOptions{FieldSelector: "metadata.name=b"}, "ADDED b"},
		"bookmarks": {metav1.ListOptions{AllowWatchBookmarks: true, LabelSelector: "none=yes"}, "BOOKMARK, BOOKMARK"},
		"watch list": {metav1.ListOptions{
			AllowWatchBookmarks: true, SendInitialEvents: &yes, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
		}, "ADDED a, ADDED b, BOOKMARK initial-events-end, BOOKMARK"},
		"no initial events": {metav1.ListOptions{
			AllowWatchBookmarks: true, SendInitialEvents: &no, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
		}, "BOOKMARK"},
		"timeout":     {metav1.ListOptions{TimeoutSeconds: ptr(int64(1)), FieldSelector: "metadata.name=a"}, "ADDED a, closed"},
		"not so soon": {metav1.ListOptions{ResourceVersion: "1000000"}, "ERROR 504 Timeout: Timeout: Too large resource version: 1000000"},
	} {
		t.Run(name, func(t *testing.T) {
			w := must[watch.Interface](t)(maps.Watch(ctx, test.options))
			defer w.Stop()
			for i, want := range strings.Split(test.want, ", ") {
				if got := next(t, w); !strings.HasPrefix(got, want) {
					t.Errorf("event %d is %q, want %q", i, got, want)
				}
			}
		})
	}
}

func TestWatchTooOld(t *testing.T) {
	h := start(t, options{window: 3})
	ctx := context.Background()
	maps := h.client.CoreV1().ConfigMaps("default")
	first := must[*corev1.ConfigMap](t)(maps.Create(ctx, newMap("first"), metav1.CreateOptions{}))
	for i := range 20 {
		must[*corev1.ConfigMap](t)(maps.Create(ctx, newMap(fmt.Sprint("m", i)), metav1.CreateOptions{}))
	}
	w := must[watch.Interface](t)(maps.Watch(ctx, metav1.ListOptions{ResourceVersion: first.ResourceVersion}))
	defer w.Stop()
	if got := next(t, w); !strings.HasPrefix(got, "ERROR 410 Expired: too old resource version: "+first.ResourceVersion+" (") {
		t.Error(got)
	}
	equal(t, "then", next(t, w), "closed")
}

func ptr[T any](v T) *T { return &v }

// TestInformer has client-go's reflector follow a resource, by WatchList where it can.
func TestInformer(t *testing.T) {
	h := start(t, options{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for i := range 3 {
		must[*corev1.Pod](t)(h.client.CoreV1().Pods("default").Create(ctx, pod(fmt.Sprint("pod-", i)), metav1.CreateOptions{}))
	}
	factory := informers.NewSharedInformerFactory(h.client, 0)
	seen := make(chan string, 100)
	say := func(what string) func(any) {
		return func(obj any) { seen <- what + " " + obj.(*corev1.Pod).Name }
	}
	informer := factory.Core().V1().Pods().Informer()
	must[cache.ResourceEventHandlerRegistration](t)(informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: say("add"), DeleteFunc: say("delete"), UpdateFunc: func(_, obj any) { say("update")(obj) },
	}))
	factory.Start(ctx.Done())
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			t.Errorf("%v not synced", kind)
		}
	}
	equal(t, "pods", len(informer.GetStore().ListKeys()), 3)
	for range 3 { // in no order
		if got := <-seen; !strings.HasPrefix(got, "add ") {
			t.Errorf("event %q", got)
		}
	}
	zero := int64(0)
	if err := h.client.CoreV1().Pods("default").Delete(ctx, "pod-1", metav1.DeleteOptions{GracePeriodSeconds: &zero}); err != nil {
		t.Fatal(err)
	}
	for got := range seen { // an update, by which its deletion begins, may come first
		if got == "delete pod-1" {
			break
		}
	}
	cancel()
	factory.Shutdown()
}

// line reads one JSON document a line of a watch.
func line(t testing.TB, r *bufio.Reader, v any) {
	t.Helper()
	raw, err := r.ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
}

// open begins a request whose answer does not end by itself.
func (h *harness) open(ctx context.Context, path string, headers ...string) (*http.Response, *bufio.Reader) {
	h.t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.config.Host+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	answer, err := h.http().Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	return answer, bufio.NewReader(answer.Body)
}

// TestTableWatch is what `kubectl get -w` does.
func TestTableWatch(t *testing.T) {
	h := start(t, options{})
	ctx := context.Background()
	must[*corev1.Pod](t)(h.client.CoreV1().Pods("default").Create(ctx, pod("a"), metav1.CreateOptions{}))
	answer, lines := h.open(ctx, pods+"?watch=1", "Accept: application/json;as=Table;v=v1;g=meta.k8s.io")
	defer answer.Body.Close()
	var e struct {
		Type   string
		Object metav1.Table
	}
	line(t, lines, &e)
	equal(t, "event", e.Type, "ADDED")
	equal(t, "name", fmt.Sprint(e.Object.Rows[0].Cells[0]), "a")
	if len(e.Object.ColumnDefinitions) == 0 {
		t.Error("the first event has no headers")
	}
	must[*corev1.Pod](t)(h.client.CoreV1().Pods("default").Create(ctx, pod("b"), metav1.CreateOptions{}))
	e.Object = metav1.Table{}
	line(t, lines, &e)
	equal(t, "name", fmt.Sprint(e.Object.Rows[0].Cells[0]), "b")
	equal(t, "headers of the second event", len(e.Object.ColumnDefinitions), 0)
	var meta metav1.PartialObjectMetadata
	if err := json.Unmarshal(e.Object.Rows[0].Object.Raw, &meta); err != nil {
		t.Fatal(err)
	}
	equal(t, "object", meta.Kind+" "+meta.Name, "PartialObjectMetadata b")
}

func TestDeprecatedWatchPaths(t *testing.T) {
	h := start(t, options{})
	ctx := context.Background()
	must[*corev1.ConfigMap](t)(h.client.CoreV1().ConfigMaps("default").Create(ctx, newMap("a"), metav1.CreateOptions{}))
	for _, path := range []string{"/api/v1/watch/configmaps", "/api/v1/watch/namespaces/default/configmaps", "/api/v1/watch/namespaces/default/configmaps/a"} {
		answer, lines := h.open(ctx, path)
		var e metav1.WatchEvent
		line(t, lines, &e)
		equal(t, path, e.Type, "ADDED")
		answer.Body.Close()
	}
}

// TestChunks reads a list in pieces, while objects come and go.
func TestChunks(t *testing.T) {
	h := start(t, options{})
	ctx := context.Background()
	maps := h.client.CoreV1().ConfigMaps("default")
	for i := range 5 {
		must[*corev1.ConfigMap](t)(maps.Create(ctx, newMap(fmt.Sprint("m", i)), metav1.CreateOptions{}))
	}
	var names []string
	o := metav1.ListOptions{Limit: 2}
	for {
		list := must[*corev1.ConfigMapList](t)(maps.List(ctx, o))
		for _, m := range list.Items {
			names = append(names, m.Name)
		}
		if list.RemainingItemCount != nil {
			names = append(names, fmt.Sprintf("(%d more)", *list.RemainingItemCount))
		}
		if o.Continue = list.Continue; o.Continue == "" {
			break
		}
		if err := maps.Delete(ctx, "m4", metav1.DeleteOptions{}); err != nil && len(names) < 4 {
			t.Fatal(err)
		}
	}
	equal(t, "names", strings.Join(names, " "), "m0 m1 (3 more) m2 m3 (1 more) m4")
	_, err := maps.List(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("data", "x").String()})
	equal(t, "bad selector", fmt.Sprint(err), `"data" is not a known field selector: only "metadata.name", "metadata.namespace"`)
}
