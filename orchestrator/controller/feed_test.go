package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/store"
)

type codec struct{}

func (codec) Encode(o store.Object) ([]byte, error) { return json.Marshal(o) }
func (codec) Decode(_ string, data []byte) (store.Object, error) {
	o := &corev1.ConfigMap{}
	return o, json.Unmarshal(data, o)
}

// run runs f until the test ends. Cleanup stops what was started last first, so that nothing finds
// the store closed; t.Context() would end them all at once.
func run(t *testing.T, f func(context.Context) error) {
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- f(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func openStore(t *testing.T, window int) *store.Store {
	s, err := store.Open(store.Options{Path: filepath.Join(t.TempDir(), "db"), Codec: codec{}, Window: window})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	run(t, s.Run)
	return s
}

type configMaps struct {
	t *testing.T
	s *store.Store
}

func (c configMaps) put(name, value string) {
	key := store.Key{Resource: "configmaps", Namespace: "ns", Name: name}
	var expect uint64
	uid := types.UID(name)
	if o, ok := c.s.Get(key); ok {
		_, _ = fmt.Sscan(o.GetResourceVersion(), &expect)
		uid = o.GetUID()
	}
	c.commit(store.Change{Key: key, Expect: expect, Object: &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: uid}, Data: map[string]string{"v": value},
	}})
}

func (c configMaps) delete(name string) {
	key := store.Key{Resource: "configmaps", Namespace: "ns", Name: name}
	o, _ := c.s.Get(key)
	var expect uint64
	_, _ = fmt.Sscan(o.GetResourceVersion(), &expect)
	c.commit(store.Change{Key: key, Expect: expect})
}

func (c configMaps) commit(change store.Change) {
	c.t.Helper()
	if _, err := c.s.Commit(c.t.Context(), change); err != nil {
		c.t.Fatal(err)
	}
}

// record keeps what a subscriber was told.
type record struct {
	mu    sync.Mutex
	lines []string
}

func (r *record) handle(e store.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf("%s %s %s->%s", e.Type, e.Object.GetName(), value(e.Previous), value(e.Object)))
}

func (r *record) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := r.lines
	r.lines = nil
	slices.Sort(lines)
	return lines
}

func value(o store.Object) string {
	if o == nil {
		return "none"
	}
	return o.(*corev1.ConfigMap).Data["v"]
}

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

func TestFeedTellsAllSubscribersEverythingOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, 0)
		maps := configMaps{t, s}
		feeds := NewFeeds(s)
		run(t, feeds.Run)
		maps.put("a", "1")
		var early, late record
		detach, err := feeds.Of("configmaps").Subscribe(t.Context(), early.handle)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, "at the start", early.take(), "ADDED a none->1")
		maps.put("a", "2")
		maps.put("b", "1")
		synctest.Wait()
		expect(t, "changes", early.take(), "ADDED b none->1", "MODIFIED a 1->2")
		if _, err := feeds.Of("configmaps").Subscribe(t.Context(), late.handle); err != nil {
			t.Fatal(err)
		}
		expect(t, "a later subscriber", late.take(), "ADDED a none->2", "ADDED b none->1")
		maps.delete("a")
		synctest.Wait()
		expect(t, "a deletion", early.take(), "DELETED a 2->2")
		expect(t, "a deletion, told the later one", late.take(), "DELETED a 2->2")
		detach()
		maps.put("c", "1")
		synctest.Wait()
		expect(t, "after detaching", early.take())
		expect(t, "the other goes on", late.take(), "ADDED c none->1")
	})
}

func TestFeedThatLostItsPlaceTellsTheDifference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, 4)
		maps := configMaps{t, s}
		feeds := NewFeeds(s)
		run(t, feeds.Run)
		for _, name := range []string{"same", "changed", "deleted"} {
			maps.put(name, "1")
		}
		var r record
		block := make(chan struct{})
		blocked := make(chan struct{})
		_, err := feeds.Of("configmaps").Subscribe(t.Context(), func(e store.Event) {
			r.handle(e)
			if e.Object.GetName() == "blocker" {
				close(blocked)
				<-block // the feed falls behind
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		r.take()
		maps.put("blocker", "1")
		<-blocked
		for v := range 20 {
			maps.put("changed", fmt.Sprint(v))
		}
		maps.delete("deleted")
		maps.put("new", "1")
		close(block)
		synctest.Wait()
		expect(t, "the feed lists again", r.take(),
			"ADDED blocker none->1", "ADDED new none->1", "DELETED deleted 1->1", "MODIFIED changed 1->19")
	})
}

func TestFollowGivesNowAndBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, 0)
		maps := configMaps{t, s}
		feeds := NewFeeds(s)
		run(t, feeds.Run)
		maps.put("a", "1")
		var mu sync.Mutex
		var seen []string
		loop := Loop[string]{
			Sources: []Source[string]{
				Follow(feeds.Of("configmaps"), func(now, before *corev1.ConfigMap, add func(string)) {
					switch {
					case before == nil:
						add("new " + now.Name)
					case now == nil:
						add("gone " + before.Name)
					default:
						add("was " + before.Data["v"] + " is " + now.Data["v"])
					}
				}),
			},
			Reconcile: func(_ context.Context, key string) (time.Duration, error) {
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, key)
				return 0, nil
			},
		}
		run(t, loop.Run)
		synctest.Wait()
		maps.put("a", "2")
		maps.delete("a")
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		expect(t, "keys", seen, "new a", "was 1 is 2", "gone a")
	})
}

func TestSubscribeEndsWithItsContext(t *testing.T) {
	feeds := NewFeeds(nil) // never run
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := feeds.Of("pods").Subscribe(ctx, func(store.Event) {}); err == nil {
		t.Error("subscribed to a feed that does not run")
	}
}

// TestSubscribePart: those who follow a part hear of its objects alone, and of one that moves in
// the part it leaves and in the one it enters.
func TestSubscribePart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, 0)
		objects := configMaps{t, s}
		objects.put("old", "a")
		feeds := NewFeeds(s)
		run(t, feeds.Run)
		part := Part{Name: "v", Of: func(o store.Object) string { return o.(*corev1.ConfigMap).Data["v"] }}
		heard := map[string]*[]string{}
		follow := func(name, value string) (detach func()) {
			var lines []string
			heard[name] = &lines
			detach, err := feeds.Of("configmaps").SubscribePart(t.Context(), part, value, func(e store.Event) {
				*heard[name] = append(*heard[name], fmt.Sprintf("%s %s=%s", e.Type, e.Object.GetName(), part.Of(e.Object)))
			})
			if err != nil {
				t.Fatal(err)
			}
			return detach
		}
		follow("a", "a")
		leave := follow("b", "b")
		objects.put("x", "a")
		objects.put("x", "b")
		objects.put("y", "c")
		objects.put("x", "b2")
		objects.delete("old")
		synctest.Wait()
		leave()
		objects.put("z", "b")
		synctest.Wait()
		for name, want := range map[string][]string{
			"a": {"ADDED old=a", "ADDED x=a", "MODIFIED x=b", "DELETED old=a"},
			"b": {"MODIFIED x=b", "MODIFIED x=b2"},
		} {
			if !slices.Equal(*heard[name], want) {
				t.Errorf("%s heard %v, want %v", name, *heard[name], want)
			}
		}
	})
}
