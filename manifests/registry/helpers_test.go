package registry_test

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	testingclock "k8s.io/utils/clock/testing"

	"skiff/manifests"
	"skiff/manifests/admission"
	"skiff/manifests/registry"
	"skiff/store"
)

// began is the time at which the clock of every test stands at first.
var began = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)

// fixture is a registry on a store of its own.
type fixture struct {
	*registry.Registry
	t     testing.TB
	ctx   context.Context
	store *store.Store
	clock *testingclock.FakeClock
}

// services is the range that services get their addresses from in every test.
var services = netip.MustParsePrefix("10.96.0.0/16")

// open returns a registry on a new store in which the namespace default and the range of services
// exist.
func open(t testing.TB, adapt ...func(*store.Options, *registry.Options)) fixture {
	t.Helper()
	f := fixture{t: t, clock: testingclock.NewFakeClock(began)}
	so := store.Options{
		Path:    filepath.Join(t.TempDir(), "skiff.db"),
		Codec:   manifests.StoreCodec(),
		Clock:   f.clock,
		Indexes: registry.Indexes(), OtherIndexes: registry.OtherIndexes(),
	}
	var ro registry.Options
	for _, a := range adapt {
		a(&so, &ro)
	}
	s, err := store.Open(so)
	if err != nil {
		t.Fatal(err)
	}
	f.store = s
	ctx, cancel := context.WithCancel(context.Background())
	f.ctx = ctx
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, s.Close()); err != nil {
			t.Error(err)
		}
	})
	ro.Store, ro.Clock = s, f.clock
	if ro.Admission == nil {
		ro.Admission = admission.Chain(s, admission.Options{})
	}
	f.Registry = registry.New(ro)
	f.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}})
	if _, err := f.Services().SetRange(ctx, services, nil); err != nil {
		t.Fatal(err)
	}
	return f
}

// in is the fixture for a subtest.
func (f fixture) in(t testing.TB) fixture {
	f.t = t
	return f
}

// resource finds the resource of a kind by its plural name, "group" first if it
// has one: "pods", "apps/replicasets".
func (f fixture) resource(name string) *registry.Resource {
	f.t.Helper()
	gr := schema.ParseGroupResource(name)
	r := f.Resource(gr)
	if r == nil {
		f.t.Fatalf("no resource %q", name)
	}
	return r
}

// of is the resource that serves obj's type.
func (f fixture) of(obj store.Object) *registry.Resource {
	f.t.Helper()
	gvks, _, err := manifests.Scheme().ObjectKinds(obj)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, kind := range f.Kinds() {
		if kind.GVK == gvks[0] {
			return f.Resource(kind.GroupResource())
		}
	}
	f.t.Fatalf("%T is not served", obj)
	return nil
}

// create stores obj, with its defaults, as the API does.
func (f fixture) create(obj store.Object) store.Object {
	f.t.Helper()
	created, err := f.tryCreate(obj)
	if err != nil {
		f.t.Fatalf("create %T %s: %v", obj, obj.GetName(), err)
	}
	return created
}

func (f fixture) tryCreate(obj store.Object) (store.Object, error) {
	f.t.Helper()
	manifests.Scheme().Default(obj)
	return f.of(obj).Create(f.ctx, obj.GetNamespace(), obj, registry.CreateOptions{})
}

// revision is the store's; it moves with every write.
func (f fixture) revision() uint64 { return f.store.Revision() }

// pod is a valid pod of the namespace default.
func pod(name string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "kubia"}}},
	}
	for _, c := range change {
		c(p)
	}
	return p
}

// configMap is a config map of the namespace default, with labels given as
// pairs.
func configMap(name string, labels ...string) *corev1.ConfigMap {
	c := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{}}}
	for i := 0; i+1 < len(labels); i += 2 {
		c.Labels[labels[i]] = labels[i+1]
	}
	return c
}

// wantError fails unless err has this very text; "" is no error.
func wantError(t testing.TB, err error, text string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != text {
		t.Errorf("error:\n got %q\nwant %q", got, text)
	}
}
