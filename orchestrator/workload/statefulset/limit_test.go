package statefulset

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/internal/testbed"
	"skiff/orchestrator/workload"
)

// placed puts pods on a node.
func placed(pods []*corev1.Pod) []*corev1.Pod {
	for _, p := range pods {
		p.Spec.NodeName = "node"
	}
	return pods
}

// numberedPods makes pods of the ordinals from first on.
func numberedPods(first, count int, how string) []*corev1.Pod {
	var words strings.Builder
	for n := first; n < first+count; n++ {
		fmt.Fprintf(&words, "web-%d%s ", n, how)
	}
	return pods(words.String())
}

// TestPlanOfMoreThanThereIsRoomFor: what a plan costs goes by the pods there are,
// not by those that are asked for.
func TestPlanOfMoreThanThereIsRoomFor(t *testing.T) {
	const all = math.MaxInt32
	for _, c := range []struct {
		name        string
		set         *appsv1.StatefulSet
		pods        []*corev1.Pod
		steps       int
		first, last string
	}{
		{"ordered", statefulSet(all), nil, 1, "create pod web-0 ", "create pod web-0 "},
		{"ordered, from the last ordinal on", statefulSet(all, from(all)), nil, 1, "create pod web-2147483647 ", "create pod web-2147483647 "},
		{"ordered, beside many that wait for a node", statefulSet(all), numberedPods(1, 600, "/pending"), 1, "create pod web-0 ", "create pod web-0 "},
		{"parallel", statefulSet(all, parallel), nil, 500, "create pod web-0 ", "create pod web-499 "},
		{"parallel, a gap first", statefulSet(all, parallel), numberedPods(1, 499, "/pending"), 1, "create pod web-0 ", "create pod web-0 "},
		{"parallel, all wait", statefulSet(all, parallel), numberedPods(0, 500, "/pending"), 0, "", ""},
		{"parallel, all have a node", statefulSet(all, parallel), placed(numberedPods(0, 500, "/pending")), 500, "create pod web-500 ", "create pod web-999 "},
		{"parallel, those that have ended do not wait", statefulSet(all, parallel), numberedPods(0, 500, "/going"), 500, "create pod web-500 ", "create pod web-999 "},
		{"parallel, those of another revision too", statefulSet(all, parallel), numberedPods(0, 500, "/old/unready"), 500, "delete pod web-499:", "delete pod web-0:"},
		{"parallel, a high one is seen", statefulSet(all, parallel, partitioned(all-1)), pods("web-2147483646/failed"), 501, "create pod web-0 ", "delete pod web-2147483646:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := makePlan(snapshotOf(t, c.set, c.pods, nil))
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(p.String(), "\n")
			if p.String() == "" {
				lines = nil
			}
			if len(lines) != c.steps {
				t.Fatalf("%d steps, want %d: %s", len(lines), c.steps, p)
			}
			if c.steps > 0 && (!strings.HasPrefix(lines[0], c.first) || !strings.HasPrefix(lines[c.steps-1], c.last)) {
				t.Errorf("from %q to %q", lines[0], lines[c.steps-1])
			}
		})
	}
}

// TestPodsWithoutRoomAreNotMade holds it with the controller: it stops, goes on
// when pods are given a node, and lets all be called off.
func TestPodsWithoutRoomAreNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		testbed.Create(b.Bed, statefulSet(math.MaxInt32, parallel))
		expect := func(what string, want int) {
			t.Helper()
			synctest.Wait()
			if n := len(testbed.List[*corev1.Pod](b.Bed, "default")); n != want {
				t.Errorf("%s: %d pods, want %d", what, n, want)
			}
		}
		expect("a new set", workload.Waiting)
		for i := range 10 {
			if err := b.Bind(t.Context(), "default", fmt.Sprint("web-", i), "node"); err != nil {
				t.Fatal(err)
			}
		}
		expect("ten were given a node", workload.Waiting+10)
		testbed.Update(b.Bed, "default", "web", func(set *appsv1.StatefulSet) { set.Spec.Replicas = ptr.To[int32](0) })
		b.reap()
		expect("called off", 0)
	})
}
