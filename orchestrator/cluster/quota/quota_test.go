package quota

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator/internal/testbed"
	"skiff/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quotaOf limits the namespace default: pairs of a resource and an amount.
func quotaOf(pairs ...string) *corev1.ResourceQuota {
	q := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "q"}, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{}}}
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Spec.Hard[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return q
}

// bench is a bed on which the controller runs.
type bench struct {
	*testbed.Bed
	*testing.T
}

func run(t *testing.T, steps func(b bench)) {
	synctest.Test(t, func(t *testing.T) {
		bed := testbed.New(t)
		bed.Run(New(Options{Env: bed.Env()}).Run)
		steps(bench{bed, t})
	})
}

// want compares the status: used of hard, for each resource.
func (b bench) want(when, want string) {
	b.Helper()
	synctest.Wait()
	q, ok := testbed.Get[*corev1.ResourceQuota](b.Bed, "default", "q")
	if !ok {
		b.Fatal("no quota")
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(q.Status.Hard)) {
		hard, used := q.Status.Hard[name], "?"
		if amount, ok := q.Status.Used[name]; ok {
			used = amount.String()
		}
		parts = append(parts, fmt.Sprintf("%s %s/%s", name, used, hard.String()))
	}
	if got := strings.Join(parts, ", "); got != want {
		b.Errorf("%s: %s, want %s", when, got, want)
	}
}

func TestStatusIsCounted(t *testing.T) {
	run(t, func(b bench) {
		testbed.Create(b.Bed, testbed.Pod("default", "a", nil))
		testbed.Create(b.Bed, quotaOf("pods", "5", "services", "2", "count/replicasets.apps", "1", "count/unknown.example.com", "1"))
		b.want("new", "count/replicasets.apps 0/1, count/unknown.example.com ?/1, pods 1/5, services 1/2")
		testbed.Create(b.Bed, testbed.Pod("default", "b", nil))
		b.want("a pod came", "count/replicasets.apps 0/1, count/unknown.example.com ?/1, pods 2/5, services 1/2")
		testbed.Kill[*corev1.Pod](b.Bed, "default", "a")
		b.want("a pod went", "count/replicasets.apps 0/1, count/unknown.example.com ?/1, pods 1/5, services 1/2")
		testbed.UpdateStatus(b.Bed, "default", "b", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded })
		b.want("a pod ended", "count/replicasets.apps 0/1, count/unknown.example.com ?/1, pods 0/5, services 1/2")
		testbed.Update(b.Bed, "default", "q", func(q *corev1.ResourceQuota) {
			q.Spec.Hard = corev1.ResourceList{"pods": resource.MustParse("1"), "count/pods": resource.MustParse("9")}
		})
		b.want("the limits changed", "count/pods 1/9, pods 0/1")
	})
}

func TestAStatusThatIsWrongIsMended(t *testing.T) {
	run(t, func(b bench) {
		testbed.Create(b.Bed, quotaOf("pods", "5"))
		synctest.Wait()
		testbed.UpdateStatus(b.Bed, "default", "q", func(q *corev1.ResourceQuota) { q.Status.Used["pods"] = resource.MustParse("4") })
		time.Sleep(2 * settle)
		b.want("the use was wrong", "pods 0/5")
		testbed.UpdateStatus(b.Bed, "default", "q", func(q *corev1.ResourceQuota) { q.Status.Hard["pods"] = resource.MustParse("7") })
		b.want("the limit was wrong", "pods 0/5")
	})
}

func TestAnOverduePodIsCountedNoMore(t *testing.T) {
	run(t, func(b bench) {
		testbed.Create(b.Bed, quotaOf("pods", "5"))
		p := testbed.Pod("default", "a", nil)
		p.Spec.NodeName = "lost" // so that its deletion is graceful
		testbed.Create(b.Bed, p)
		testbed.Delete[*corev1.Pod](b.Bed, "default", "a")
		b.want("it goes", "pods 1/5")
		time.Sleep(59 * time.Second) // 30 s of grace, after the 30 s that are in the timestamp
		b.want("it has time yet", "pods 1/5")
		time.Sleep(3 * time.Second)
		b.want("it ought to be gone", "pods 0/5")
	})
}

// TestRest: a quota that is as it should be is not written.
func TestRest(t *testing.T) {
	run(t, func(b bench) {
		testbed.Create(b.Bed, quotaOf("pods", "5"))
		testbed.Create(b.Bed, testbed.Pod("default", "a", nil))
		time.Sleep(2 * settle)
		synctest.Wait()
		before, _ := b.Store.Get(store.Key{Resource: "resourcequotas", Namespace: "default", Name: "q"})
		time.Sleep(time.Hour)
		synctest.Wait()
		after, _ := b.Store.Get(store.Key{Resource: "resourcequotas", Namespace: "default", Name: "q"})
		if before.GetResourceVersion() != after.GetResourceVersion() {
			t.Error("the quota was written")
		}
	})
}
