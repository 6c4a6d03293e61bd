package cli

import (
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// drained is a world with a node and a pod on it that must be asked for twice.
func drained(t *testing.T, refuse func(*unstructured.Unstructured) error) *world {
	w := newWorld(t)
	w.server.Put(map[string]any{"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": "n"}})
	w.server.Put(map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "p"}, "spec": map[string]any{"nodeName": "n"}})
	w.server.Refuse = func(verb string, u *unstructured.Unstructured) error {
		if verb != "evict" {
			return nil
		}
		return refuse(u)
	}
	return w
}

func TestDrainWaitsForDisruptionBudgets(t *testing.T) {
	tries := 0
	w := drained(t, func(*unstructured.Unstructured) error {
		if tries++; tries < 3 {
			return apierrors.NewTooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", 0)
		}
		return nil
	})
	r := w.start(t, "drain", "n", "--force")
	for i := 1; i < 3; i++ {
		eventually(t, func() bool { return strings.Count(r.err.String(), "will retry after 5s") == i && w.clock.HasWaiters() })
		w.clock.Step(5 * time.Second)
	}
	r.ends(t, 0)
	if got := r.out.String(); got != "node/n cordoned\nevicting pod default/p\nevicting pod default/p\nevicting pod default/p\npod/p evicted\nnode/n drained\n" {
		t.Errorf("printed:\n%s", got)
	}
	if want := `error when evicting pods/"p" -n "default" (will retry after 5s): Cannot evict pod as it would violate the pod's disruption budget.`; !strings.Contains(r.err.String(), want) {
		t.Errorf("stderr:\n%s", r.err)
	}
}

func TestDrainTimesOut(t *testing.T) {
	w := drained(t, func(*unstructured.Unstructured) error { return apierrors.NewTooManyRequests("no", 0) })
	r := w.start(t, "drain", "n", "--force", "--timeout=3s")
	r.err.await(t, "will retry after 5s")
	// Two wait: the one for the budget to allow more, and the one for the end of all patience.
	eventually(t, w.clock.HasWaiters)
	w.clock.Step(3 * time.Second)
	r.ends(t, 1)
	for _, want := range []string{
		"There are pending pods in node \"n\" when an error occurred: error when evicting pods/\"p\" -n \"default\": global timeout reached: 3s\npod/p\n",
		"There are pending nodes to be drained:\n n\n",
	} {
		if !strings.Contains(r.err.String(), want) {
			t.Errorf("stderr lacks %q:\n%s", want, r.err)
		}
	}
}

// TestDrainWaitsForTheEnd: an evicted pod may take its time to end.
func TestDrainWaitsForTheEnd(t *testing.T) {
	w := newWorld(t)
	w.server.Put(map[string]any{"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": "n"}})
	w.server.Put(map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "p", "finalizers": []any{"a/b"}}, "spec": map[string]any{"nodeName": "n"}})
	r := w.start(t, "drain", "n", "--force", "--grace-period=7")
	<-w.server.Watched()
	if out := r.out.String(); strings.Contains(out, "drained") {
		t.Errorf("drained too early:\n%s", out)
	}
	w.server.Remove("Pod", "p")
	r.ends(t, 0)
	if calls := strings.Join(w.server.Calls(), "\n"); !strings.Contains(calls, `/pods/p/eviction {"kind":"Eviction","apiVersion":"policy/v1"`) || !strings.Contains(calls, `"gracePeriodSeconds":7`) {
		t.Errorf("calls:\n%s", calls)
	}
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	end := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("not in time")
		}
	}
}
