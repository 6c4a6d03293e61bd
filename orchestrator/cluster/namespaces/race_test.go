package namespaces

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/manifests/admission"
	"skiff/manifests/registry"
	"skiff/orchestrator/internal/testbed"
	"skiff/store"
)

// admitter lets a test act between the admission of an object and its storing.
type admitter func(context.Context, registry.Request) error

func (a admitter) Admit(ctx context.Context, r registry.Request) error { return a(ctx, r) }

// testAdmitting is test with an admitter behind the others.
func testAdmitting(t *testing.T, admit func(bed, registry.Request), f func(bed)) {
	synctest.Test(t, func(t *testing.T) {
		b := bed{testbed.New(t), t}
		chain := append(admission.Chain(b.Store, admission.Options{}), admitter(func(_ context.Context, r registry.Request) error {
			admit(b, r)
			return nil
		}))
		b.Registry = registry.New(registry.Options{Store: b.Store, Admission: chain})
		b.Run(NewDeletion(Options{Env: b.Env()}).Run)
		synctest.Wait()
		f(b)
	})
}

// content names the objects in a namespace.
func (b bed) content(namespace string) (keys []string) {
	for _, kind := range b.Registry.Kinds() {
		b.Store.Snapshot(kind.GroupResource().String()).Ascend(namespace, store.Key{}, func(o store.Object) bool {
			if kind.Namespaced {
				keys = append(keys, kind.Resource+"/"+o.GetName())
			}
			return true
		})
	}
	return keys
}

// TestWhatWasAdmittedDoesNotOutliveItsNamespace deletes a namespace when an object has been admitted to it
// but is not stored yet. The world goes on meanwhile, long enough for the namespace to be emptied and gone:
// it does not wait for admission, which may ask webhooks for seconds, so the object is refused in the end.
func TestWhatWasAdmittedDoesNotOutliveItsNamespace(t *testing.T) {
	for name, create := range map[string]func(bed) error{
		"created": func(b bed) error {
			_, err := registry.For[*corev1.ConfigMap](b.Registry).Create(b.t.Context(), configMap("x", "late"))
			return err
		},
		"created by an update": func(b bed) error {
			r := b.Registry.Resource(corev1.Resource("configmaps"))
			_, _, err := r.Update(b.t.Context(), "x", "late", func(store.Object) (store.Object, error) {
				return configMap("x", "late"), nil
			}, registry.UpdateOptions{Create: true})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			var deleting sync.WaitGroup
			testAdmitting(t, func(b bed, r registry.Request) {
				if r.Name != "late" || r.Operation != registry.Create {
					return
				}
				deleting.Go(func() { testbed.Delete[*corev1.Namespace](b.Bed, "", "x") })
				for i := range 50 {
					if _, there := testbed.Get[*corev1.Namespace](b.Bed, "", "x"); !there {
						return
					}
					testbed.Update(b.Bed, "default", "clock", func(m *corev1.ConfigMap) { m.Data = map[string]string{"tick": fmt.Sprint(i)} })
				}
			}, func(b bed) {
				b.namespace("x")
				testbed.Create(b.Bed, configMap("default", "clock"))
				if err := create(b); !apierrors.IsNotFound(err) && !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
					t.Errorf("in a namespace that has gone since it was admitted: %v", err)
				}
				deleting.Wait()
				time.Sleep(time.Minute)
				b.expect("emptied", "x", "gone")
				if left := b.content("x"); len(left) > 0 {
					t.Errorf("in a namespace that is gone: %v", left)
				}
			})
		})
	}
}

func TestManyObjectsAreMadeWhileTheirNamespaceGoes(t *testing.T) {
	testAdmitting(t, func(bed, registry.Request) {}, func(b bed) {
		for round := range 5 {
			name := fmt.Sprint("x", round)
			b.namespace(name)
			var makers sync.WaitGroup
			for i := range 16 {
				makers.Go(func() {
					maps := registry.For[*corev1.ConfigMap](b.Registry)
					var err error
					for n := 0; err == nil; n++ {
						_, err = maps.Create(b.t.Context(), configMap(name, fmt.Sprintf("m%d-%d", i, n)))
					}
				})
			}
			testbed.Delete[*corev1.Namespace](b.Bed, "", name)
			makers.Wait()
			time.Sleep(time.Minute)
			b.expect("emptied", name, "gone")
			if left := b.content(name); len(left) > 0 {
				b.t.Errorf("in a namespace that is gone: %v", left)
			}
		}
	})
}

func configMap(namespace, name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}
