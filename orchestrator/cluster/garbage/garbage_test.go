package garbage

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/controller"
	"skiff/orchestrator/internal/testbed"
	"skiff/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// object makes an object for plans of a line of words: its name, then "going",
// "orphans" or "waits" (it is being deleted, and how), and its owners, with a
// bang when they are blocked.
func object(line string) store.Object {
	words := strings.Fields(line)
	o := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: words[0], UID: types.UID(words[0])}}
	for _, w := range words[1:] {
		switch w {
		case "going":
			o.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
		case "orphans":
			o.DeletionTimestamp, o.Finalizers = &metav1.Time{Time: time.Unix(1, 0)}, []string{metav1.FinalizerOrphanDependents}
		case "waits":
			o.DeletionTimestamp, o.Finalizers = &metav1.Time{Time: time.Unix(1, 0)}, []string{metav1.FinalizerDeleteDependents}
		case "will-orphan":
			o.Finalizers = []string{metav1.FinalizerOrphanDependents}
		case "will-wait":
			o.Finalizers = []string{metav1.FinalizerDeleteDependents}
		default:
			name, blocked := strings.CutSuffix(w, "!")
			o.OwnerReferences = append(o.OwnerReferences, metav1.OwnerReference{
				APIVersion: "v1", Kind: "ConfigMap", Name: name, UID: types.UID(name), BlockOwnerDeletion: &blocked})
		}
	}
	return o
}

func TestPlan(t *testing.T) {
	const dangling, waiting, solid, unknown = "dangling", "waiting", "solid", "unknown"
	for _, c := range []struct {
		name       string
		object     string // "" when it is gone
		owners     map[string]string
		dependents []string
		want       string
	}{
		{"no owners", "a", nil, nil, ""},
		{"an owner", "a o", map[string]string{"o": solid}, nil, ""},
		{"no owner left", "a o p", map[string]string{"o": dangling, "p": dangling}, nil,
			`delete configmaps "ns/a" (Background): none of its owners exists`},
		{"no owner left, wants to orphan", "a o will-orphan", map[string]string{"o": dangling}, nil,
			`delete configmaps "ns/a" (Orphan): none of its owners exists`},
		{"no owner left, wants to wait", "a o will-wait", map[string]string{"o": dangling}, nil,
			`delete configmaps "ns/a" (Foreground): none of its owners exists`},
		{"one owner left", "a o p q", map[string]string{"o": dangling, "p": solid, "q": waiting}, nil,
			`drop references of configmaps "ns/a" to [o q]: they are gone or wait for it, and it has another owner`},
		{"an owner that can not be told", "a o p", map[string]string{"o": dangling, "p": unknown}, nil, ""},
		{"its owner waits", "a o", map[string]string{"o": waiting}, nil,
			`delete configmaps "ns/a" (Background): its owner waits for it to go`},
		{"its owner waits, and it has dependents", "a o!", map[string]string{"o": waiting}, []string{"d a!"},
			`delete configmaps "ns/a" (Foreground): its owner waits for it to go, and it has dependents itself`},
		{"a circle", "a o!", map[string]string{"o": waiting}, []string{"o a! waits"},
			"unblock owners of configmaps \"ns/a\": a dependent waits too, perhaps in a circle\n" +
				`look at configmaps "ns/a": to be deleted now`},
		{"a circle that is broken", "a o", map[string]string{"o": waiting}, []string{"o a! waits"},
			`delete configmaps "ns/a" (Foreground): its owner waits for it to go, and it has dependents itself`},
		{"it goes already", "a o going", map[string]string{"o": dangling}, []string{"d a"}, ""},
		{"it is gone", "", nil, []string{"d a", "e a going"}, `look at configmaps "ns/d": its owner is gone`},
		{"it leaves its dependents behind", "a orphans", nil, []string{"d a!", "e a going"},
			"drop references of configmaps \"ns/d\" to [a]: its owner leaves it behind\n" +
				"drop references of configmaps \"ns/e\" to [a]: its owner leaves it behind\n" +
				`remove finalizer of configmaps "ns/a" (orphan): no dependent refers to it any more`},
		{"it waits for its dependents", "a waits", nil, []string{"d a!", "e a", "f a! going"},
			"look at configmaps \"ns/d\": its owner waits for it to go\n" +
				`look at configmaps "ns/e": its owner waits for it to go`},
		{"it waits in a circle", "a o! waits", map[string]string{"o": waiting}, []string{"o a! waits"},
			`unblock owners of configmaps "ns/a": it waits for what waits for it`},
		{"none blocks it", "a waits", nil, []string{"e a"},
			"look at configmaps \"ns/e\": its owner waits for it to go\n" +
				`remove finalizer of configmaps "ns/a" (foregroundDeletion): no dependent blocks it`},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := object("a")
			o := observation{key: keyOf("configmaps", a)}
			if c.object != "" {
				o.object = object(c.object)
				for _, ref := range o.object.GetOwnerReferences() {
					switch c.owners[ref.Name] {
					case dangling:
						o.dangling = append(o.dangling, ref)
					case waiting:
						o.waiting = append(o.waiting, ref)
					case solid:
						o.solid = append(o.solid, ref)
					case unknown:
						o.unknown = fmt.Errorf("no such kind")
					}
				}
			}
			for _, line := range c.dependents {
				d := object(line)
				blocks := slices.ContainsFunc(d.GetOwnerReferences(), func(r metav1.OwnerReference) bool { return r.UID == "a" && holds(r) })
				o.dependents = append(o.dependents, dependent{keyOf("configmaps", d), d, blocks})
			}
			o.circle = strings.HasSuffix(c.name, "waits in a circle")
			if got := makePlan(o).String(); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// bed is a testbed where the collector runs.
type bed struct {
	*testbed.Bed
	t    *testing.T
	uids map[string]types.UID
}

func newBed(t *testing.T) *bed {
	b := &bed{Bed: testbed.New(t), t: t, uids: map[string]types.UID{}}
	b.start()
	return b
}

func (b *bed) start() (stop func()) {
	return b.Run(New(Options{Env: b.Env(), Workers: 4}).Run)
}

// owner is a reference to a config map of create's.
func (b *bed) owner(name string, blocks bool) metav1.OwnerReference {
	uid := b.uids[name]
	if uid == "" {
		uid = "no-such-uid"
	}
	return metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: name, UID: uid, BlockOwnerDeletion: &blocks}
}

// create makes a config map owned by others; a bang blocks the owner.
func (b *bed) create(name string, owners ...string) {
	b.t.Helper()
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	for _, o := range owners {
		o, blocks := strings.CutSuffix(o, "!")
		m.OwnerReferences = append(m.OwnerReferences, b.owner(o, blocks))
	}
	b.uids[name] = testbed.Create(b.Bed, m).UID
}

func (b *bed) delete(name string, policy metav1.DeletionPropagation) {
	b.t.Helper()
	testbed.Delete[*corev1.ConfigMap](b.Bed, "default", name, policy)
}

// expect compares what is left: each name with its owners and, when it is being
// deleted, with its finalizers.
func (b *bed) expect(what string, want ...string) {
	b.t.Helper()
	testbed.Settled()
	var got []string
	for _, m := range testbed.List[*corev1.ConfigMap](b.Bed, "default") {
		line := m.Name
		for _, ref := range m.OwnerReferences {
			line += " " + ref.Name
		}
		if m.DeletionTimestamp != nil {
			line += " " + strings.Join(m.Finalizers, ",")
		}
		got = append(got, line)
	}
	if !slices.Equal(got, want) {
		b.t.Errorf("%s: left %q, want %q", what, got, want)
	}
}

func test(t *testing.T, f func(*testing.T, *bed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newBed(t)) })
}

func TestBackground(t *testing.T) {
	test(t, func(t *testing.T, b *bed) {
		b.create("a")
		b.create("b", "a!")
		b.create("c", "b")
		b.create("d", "a", "x")
		b.create("other")
		b.create("two", "a", "other")
		b.delete("a", metav1.DeletePropagationBackground)
		b.expect("its tree goes, what has another owner stays", "other", "two other")
	})
}

func TestOrphan(t *testing.T) {
	test(t, func(t *testing.T, b *bed) {
		b.create("a")
		b.create("b", "a!")
		b.create("c", "b")
		b.create("other")
		b.create("two", "a", "other")
		b.delete("a", metav1.DeletePropagationOrphan)
		b.expect("only it goes", "b", "c b", "other", "two other")
	})
}

func TestForeground(t *testing.T) {
	test(t, func(t *testing.T, b *bed) {
		b.create("a")
		b.create("b", "a!")
		b.create("c", "b!")
		hold := func(finalizers ...string) {
			testbed.Update(b.Bed, "default", "c", func(m *corev1.ConfigMap) { m.Finalizers = finalizers })
		}
		hold("example.com/hold")
		b.delete("a", metav1.DeletePropagationForeground)
		b.expect("the last of the chain holds all back",
			"a foregroundDeletion", "b a foregroundDeletion", "c b example.com/hold")
		hold()
		b.expect("and lets all go")
	})
}

func TestForegroundDoesNotWaitForWhatDoesNotBlock(t *testing.T) {
	test(t, func(t *testing.T, b *bed) {
		b.create("a")
		b.create("b", "a")
		testbed.Update(b.Bed, "default", "b", func(m *corev1.ConfigMap) { m.Finalizers = []string{"example.com/hold"} })
		b.delete("a", metav1.DeletePropagationForeground)
		b.expect("the owner is gone", "b a example.com/hold")
	})
}

func TestForegroundWhenABlockIsLifted(t *testing.T) {
	test(t, func(t *testing.T, b *bed) {
		b.create("a")
		b.create("b", "a!")
		testbed.Update(b.Bed, "default", "b", func(m *corev1.ConfigMap) { m.Finalizers = []string{"example.com/hold"} })
		b.delete("a", metav1.DeletePropagationForeground)
		b.expect("held back", "a foregroundDeletion", "b a example.com/hold")
		testbed.Update(b.Bed, "default", "b", func(m *corev1.ConfigMap) { m.OwnerReferences[0].BlockOwnerDeletion = ptr.To(false) })
		b.expect("held back no more", "b a example.com/hold")
	})
}

func TestForegroundKeepsWhatHasAnotherOwner(t *testing.T) {
	test(t, func(t *testing.T, b *bed) {
		b.create("a")
		b.create("other")
		b.create("two", "a!", "other")
		b.delete("a", metav1.DeletePropagationForeground)
		b.expect("it loses one owner", "other", "two other")
	})
}

func TestCircles(t *testing.T) {
	for _, policy := range []metav1.DeletionPropagation{metav1.DeletePropagationForeground, metav1.DeletePropagationBackground} {
		t.Run(string(policy), func(t *testing.T) {
			test(t, func(t *testing.T, b *bed) {
				b.create("a")
				b.create("b", "a!")
				b.create("c", "b!")
				testbed.Update(b.Bed, "default", "a", func(m *corev1.ConfigMap) { m.OwnerReferences = []metav1.OwnerReference{b.owner("c", true)} })
				b.delete("a", policy)
				b.expect("all of it goes")
			})
		})
	}
}

func TestOwnerThatNeverWas(t *testing.T) {
	test(t, func(t *testing.T, b *bed) {
		b.create("b", "nobody")
		b.expect("it is collected")
	})
}

func TestOwnerOfAnotherUID(t *testing.T) {
	test(t, func(t *testing.T, b *bed) {
		b.create("a")
		ref := b.owner("a", false)
		ref.UID = "other"
		testbed.Create(b.Bed, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: "b", OwnerReferences: []metav1.OwnerReference{ref}}})
		b.expect("the name is not enough", "a")
	})
}

func TestOwnerInAnotherNamespace(t *testing.T) {
	test(t, func(t *testing.T, b *bed) {
		b.create("a")
		testbed.Create(b.Bed, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
			Namespace: "kube-public", Name: "b", OwnerReferences: []metav1.OwnerReference{b.owner("a", false)}}})
		synctest.Wait()
		if _, ok := testbed.Get[*corev1.ConfigMap](b.Bed, "kube-public", "b"); ok {
			t.Error("it is not collected")
		}
		want := fmt.Sprintf(`Warning OwnerRefInvalidNamespace b: ownerRef [v1/ConfigMap, namespace: kube-public, name: a, uid: %s] does not exist in namespace "kube-public"`, b.uids["a"])
		if got := b.Recorder.Take(); got != want {
			t.Errorf("events\n%s\nwant\n%s", got, want)
		}
		b.expect("the owner stays", "a")
	})
}

func TestForegroundDoesNotWaitForWhatRefersToItWrongly(t *testing.T) {
	test(t, func(t *testing.T, b *bed) {
		b.create("a")
		wrong := b.owner("a", true)
		wrong.Name = "other"
		for namespace, ref := range map[string]metav1.OwnerReference{"kube-public": b.owner("a", true), "default": wrong} {
			testbed.Create(b.Bed, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
				Namespace: namespace, Name: "b", Finalizers: []string{"example.com/hold"}, OwnerReferences: []metav1.OwnerReference{ref}}})
		}
		b.delete("a", metav1.DeletePropagationForeground)
		b.expect("it is gone", "b other example.com/hold")
	})
}

func TestClusterScopedOwner(t *testing.T) {
	test(t, func(t *testing.T, b *bed) {
		n := testbed.Create(b.Bed, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}})
		testbed.Create(b.Bed, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "b",
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "n", UID: n.UID}}}})
		b.expect("it exists", "b n")
		testbed.Delete[*corev1.Node](b.Bed, "", "n")
		b.expect("it went")
	})
}

func TestNamespacedOwnerOfClusterScopedObject(t *testing.T) {
	test(t, func(t *testing.T, b *bed) {
		b.create("a")
		testbed.Create(b.Bed, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", OwnerReferences: []metav1.OwnerReference{b.owner("a", false)}}})
		b.delete("a", metav1.DeletePropagationBackground)
		synctest.Wait()
		if _, ok := testbed.Get[*corev1.Node](b.Bed, "", "n"); !ok {
			t.Error("an object with an impossible owner was deleted")
		}
	})
}

func TestOwnerOfAKindThatIsNotServed(t *testing.T) {
	test(t, func(t *testing.T, b *bed) {
		testbed.Create(b.Bed, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "b",
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "example.com/v1", Kind: "Thing", Name: "x", UID: "x"}}}})
		b.expect("it is left alone", "b x")
	})
}

// TestWhatHappenedWhileItWasStopped holds that a collector that starts does what
// one that ran would have done.
func TestWhatHappenedWhileItWasStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bed{Bed: testbed.New(t), t: t, uids: map[string]types.UID{}}
		for _, name := range []string{"back", "front", "leave"} {
			b.create(name)
			b.create(name+"-1", name+"!")
		}
		b.delete("back", metav1.DeletePropagationBackground)
		b.delete("front", metav1.DeletePropagationForeground)
		b.delete("leave", metav1.DeletePropagationOrphan)
		stop := b.start()
		b.expect("caught up", "leave-1")
		stop()
	})
}

// TestBusyObjectIsCollectedAllTheSame holds that writes to an object, other than
// to its owners, do not keep it alive.
func TestBusyObjectIsCollectedAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bed{Bed: testbed.New(t), t: t, uids: map[string]types.UID{}}
		b.create("b", "nobody")
		c := New(Options{Env: b.Env()})
		m, _ := testbed.Get[*corev1.ConfigMap](b.Bed, "default", "b")
		o := c.graph.observe(keyOf("configmaps", m))
		testbed.Update(b.Bed, "default", "b", func(m *corev1.ConfigMap) { m.Data = map[string]string{"busy": "yes"} })
		if err := c.execute(t.Context(), o, makePlan(o), nil); err != nil {
			t.Fatal(err)
		}
		b.expect("collected")

		b.create("b", "nobody")
		b.create("owner")
		m, _ = testbed.Get[*corev1.ConfigMap](b.Bed, "default", "b")
		o = c.graph.observe(keyOf("configmaps", m))
		testbed.Update(b.Bed, "default", "b", func(m *corev1.ConfigMap) { m.OwnerReferences[0] = b.owner("owner", false) })
		if err := c.execute(t.Context(), o, makePlan(o), nil); err == nil {
			t.Error("deleted although it has another owner by now")
		}
		b.expect("kept", "b owner", "owner")
	})
}

// TestDependentThatComesAtTheLastMoment holds that an owner does not go before a dependent that has
// come after it was looked at, and that the next look does with that one what was asked for.
func TestDependentThatComesAtTheLastMoment(t *testing.T) {
	for policy, left := range map[metav1.DeletionPropagation][]string{
		metav1.DeletePropagationOrphan: {"late"}, metav1.DeletePropagationForeground: nil,
	} {
		t.Run(string(policy), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &bed{Bed: testbed.New(t), t: t, uids: map[string]types.UID{}}
				b.create("a")
				b.delete("a", policy)
				c := New(Options{Env: b.Env()})
				a, _ := testbed.Get[*corev1.ConfigMap](b.Bed, "default", "a")
				o := c.graph.observe(keyOf("configmaps", a))
				b.create("late", "a!")
				if err := c.execute(t.Context(), o, makePlan(o), nil); !errors.Is(err, controller.ErrOvertaken) {
					t.Errorf("got %v, want that it was overtaken", err)
				}
				b.expect("it is held back", "a "+strings.Join(a.Finalizers, ","), "late a")
				b.start()
				b.expect("it has gone", left...)
			})
		})
	}
}

func BenchmarkDeleteOwnerOf1000(b *testing.B) {
	for range b.N {
		b.StopTimer()
		bed := testbed.New(b)
		stop := bed.Run(New(Options{Env: bed.Env(), Workers: 32}).Run)
		owner := testbed.Create(bed, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "owner"}})
		ref := metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID}
		for i := range 1000 {
			testbed.Create(bed, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
				Namespace: "default", Name: fmt.Sprint(i), OwnerReferences: []metav1.OwnerReference{ref}}})
		}
		gone := make(chan struct{})
		left := 1001
		detach, err := bed.Feeds.Of("configmaps").Subscribe(b.Context(), func(e store.Event) {
			if e.Type == "DELETED" {
				if left--; left == 0 {
					close(gone)
				}
			}
		})
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		testbed.Delete[*corev1.ConfigMap](bed, "default", "owner", metav1.DeletePropagationBackground)
		<-gone
		b.StopTimer()
		detach()
		stop()
	}
}
