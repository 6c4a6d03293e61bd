// Package testbed gives the tests of controllers a real store and registry.
package testbed

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"skiff/manifests"
	"skiff/manifests/admission"
	"skiff/manifests/registry"
	"skiff/orchestrator/cluster"
	"skiff/orchestrator/controller"
	"skiff/store"
)

// Services is the range of the beds' services.
var Services = netip.MustParsePrefix("10.244.48.0/20")

// Bed is a store with the objects every cluster has from the start, and its
// registry. It lasts until the test ends.
type Bed struct {
	Store    *store.Store
	Registry *registry.Registry
	Feeds    *controller.Feeds
	Recorder *Recorder

	t testing.TB
}

// New opens a store. The feeds run already.
func New(t testing.TB) *Bed {
	t.Helper()
	return newBed(t, nil)
}

// newBed opens a store whose writes wait for their turn, if steps is not nil.
func newBed(t testing.TB, steps *Steps) *Bed {
	t.Helper()
	s, err := store.Open(store.Options{
		Path: filepath.Join(t.TempDir(), "skiff.db"), Codec: manifests.StoreCodec(), Indexes: registry.Indexes(), OtherIndexes: registry.OtherIndexes(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	b := &Bed{Store: s, t: t, Feeds: controller.NewFeeds(s), Recorder: &Recorder{}}
	b.Run(s.Run)
	chain := admission.Chain(s, admission.Options{})
	if steps != nil {
		chain = append(chain, steps)
	}
	b.Registry = registry.New(registry.Options{Store: s, Admission: chain})
	if err := cluster.Bootstrap(t.Context(), b.Registry, b.Recorder, Services); err != nil {
		t.Fatal(err)
	}
	b.Run(b.Feeds.Run)
	return b
}

// Env is what a controller works with here. Its events go to the bed's Recorder.
func (b *Bed) Env() controller.Env {
	return controller.Env{
		Registry: b.Registry, Feeds: b.Feeds, Recorder: func(string) controller.Recorder { return b.Recorder },
	}.WithDefaults()
}

// Silent is Env for a controller whose events are of no interest.
func (b *Bed) Silent() controller.Env {
	return controller.Env{Registry: b.Registry, Feeds: b.Feeds}.WithDefaults()
}

// Run runs f until the test ends, before what was run earlier, or until stop.
func (b *Bed) Run(f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- f(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				b.t.Error(err)
			}
		})
	}
	b.t.Cleanup(stop)
	return stop
}

// Settled returns, in the bubble of a synctest, when nobody has anything more to do. A look that was
// overtaken comes again after a backoff, which is virtual time: synctest.Wait alone takes a
// controller that waits for it to be at its end.
func Settled() {
	time.Sleep(time.Minute) //nolint:forbidigo // the clock of a synctest bubble
	synctest.Wait()
}

// Bind assigns a pod to a node, as the scheduler does.
func (b *Bed) Bind(ctx context.Context, namespace, name, node string) error {
	binding := &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Target:     corev1.ObjectReference{Kind: "Node", Name: node},
	}
	return b.Registry.Pods().Assign(ctx, namespace, binding, registry.CreateOptions{})
}

// Create creates an object.
func Create[T store.Object](b *Bed, o T) T {
	b.t.Helper()
	created, err := registry.For[T](b.Registry).Create(b.t.Context(), o)
	if err != nil {
		b.t.Fatalf("creating %T %s: %v", o, o.GetName(), err)
	}
	return created
}

// Update changes an object.
func Update[T store.Object](b *Bed, namespace, name string, change func(T)) T {
	b.t.Helper()
	updated, err := registry.For[T](b.Registry).Update(b.t.Context(), namespace, name, func(o T) error { change(o); return nil })
	if err != nil {
		b.t.Fatalf("updating %s/%s: %v", namespace, name, err)
	}
	return updated
}

// UpdateStatus changes an object's status.
func UpdateStatus[T store.Object](b *Bed, namespace, name string, change func(T)) T {
	b.t.Helper()
	updated, err := registry.For[T](b.Registry).UpdateStatus(b.t.Context(), namespace, name, func(o T) error { change(o); return nil })
	if err != nil {
		b.t.Fatalf("updating the status of %s/%s: %v", namespace, name, err)
	}
	return updated
}

// Delete deletes an object. Without a policy it is that of the kind.
func Delete[T store.Object](b *Bed, namespace, name string, policy ...metav1.DeletionPropagation) {
	b.t.Helper()
	var o metav1.DeleteOptions
	if len(policy) > 0 {
		o.PropagationPolicy = &policy[0]
	}
	if err := registry.For[T](b.Registry).Delete(b.t.Context(), namespace, name, o); err != nil {
		b.t.Fatalf("deleting %s/%s: %v", namespace, name, err)
	}
}

// Kill takes an object away at once, as the node agent does with a pod whose
// containers have ended.
func Kill[T store.Object](b *Bed, namespace, name string) {
	b.t.Helper()
	err := registry.For[T](b.Registry).Delete(b.t.Context(), namespace, name, *metav1.NewDeleteOptions(0))
	if err != nil {
		b.t.Fatalf("killing %s/%s: %v", namespace, name, err)
	}
}

// Get returns an object, and whether there is one.
func Get[T store.Object](b *Bed, namespace, name string) (T, bool) {
	o, err := registry.For[T](b.Registry).Get(namespace, name)
	return o, err == nil
}

// List returns the objects of a namespace.
func List[T store.Object](b *Bed, namespace string) []T {
	return registry.For[T](b.Registry).List(namespace, nil)
}

// Pod is a pod that the registry accepts.
func Pod(namespace, name string, labels map[string]string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels}, Spec: PodSpec()}
}

// PodSpec is a pod's specification that the registry accepts. The defaults,
// which the API gives to what comes in, are in it.
func PodSpec() corev1.PodSpec {
	p := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "kubia"}}}}
	manifests.Scheme().Default(p)
	return p.Spec
}

// Recorder keeps events as lines: type, reason, object, message.
type Recorder struct {
	mu    sync.Mutex
	lines []string
}

// Event keeps an event.
func (r *Recorder) Event(object runtime.Object, eventType, reason, format string, args ...any) {
	name := "?"
	if o, err := meta.Accessor(object); err == nil {
		name = o.GetName()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf("%s %s %s: ", eventType, reason, name)+fmt.Sprintf(format, args...))
}

// Prepare keeps an event once the returned function is called.
func (r *Recorder) Prepare(object runtime.Object, eventType, reason, format string, args ...any) (record func()) {
	return func() { r.Event(object, eventType, reason, format, args...) }
}

// Take returns the sorted lines kept since the last call.
func (r *Recorder) Take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := r.lines
	r.lines = nil
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
