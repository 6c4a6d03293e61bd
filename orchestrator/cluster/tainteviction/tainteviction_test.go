package tainteviction

import (
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	"skiff/orchestrator/internal/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// tolerations reads "a a:10 *:5": keys, for ever or for seconds; * is every key.
func tolerations(text string) []corev1.Toleration {
	var out []corev1.Toleration
	for _, w := range strings.Fields(text) {
		key, seconds, limited := strings.Cut(w, ":")
		t := corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute}
		if key == "*" {
			t.Key = ""
		}
		if limited {
			n, _ := strconv.Atoi(seconds)
			t.TolerationSeconds = ptr.To(int64(n))
		}
		out = append(out, t)
	}
	return out
}

func taints(keys string) []corev1.Taint {
	var out []corev1.Taint
	for _, key := range strings.Fields(keys) {
		out = append(out, corev1.Taint{Key: key, Effect: corev1.TaintEffectNoExecute})
	}
	return out
}

func TestPlan(t *testing.T) {
	for _, c := range []struct {
		name, taints, tolerations string
		since                     time.Duration
		want                      string
	}{
		{"no taint", "", "", 0, "keep: its node has no taint that evicts"},
		{"not tolerated", "a", "b", 0, "evict: taint a:NoExecute is not tolerated"},
		{"one of two tolerated", "a b", "b", 0, "evict: taint a:NoExecute is not tolerated"},
		{"tolerated for ever", "a b", "b *", 0, "keep: all taints are tolerated"},
		{"for a time", "a", "a:300", 0, "evict in 5m0s: taint a:NoExecute is tolerated for 5m0s"},
		{"the shortest time counts", "a b c", "a:300 b:20 c", 0, "evict in 20s: taint b:NoExecute is tolerated for 20s"},
		{"the first that matches counts", "a", "a:300 *:20", 0, "evict in 5m0s: taint a:NoExecute is tolerated for 5m0s"},
		{"time has passed", "a", "a:300", 290 * time.Second, "evict in 10s: taint a:NoExecute is tolerated for 5m0s"},
		{"time is over", "a", "a:300", 300 * time.Second, "evict: taint a:NoExecute is tolerated for 5m0s"},
		{"no time at all", "a", "a:0", 0, "evict: taint a:NoExecute is tolerated for 0s"},
		{"less than none", "a", "a:-5", 0, "evict: taint a:NoExecute is tolerated for 0s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := snapshot{pod: &corev1.Pod{Spec: corev1.PodSpec{Tolerations: tolerations(c.tolerations)}}, taints: taints(c.taints), now: now}
			if c.since > 0 {
				s.since = now.Add(-c.since)
			}
			if got := makePlan(s).String(); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestMoreTaintsNeverHelp holds for all pods: another taint never lets a pod stay longer, and as
// time passes its end does not move.
func TestMoreTaintsNeverHelp(t *testing.T) {
	keys := rapid.SampledFrom([]string{"a", "b", "c"})
	stays := rapid.SampledFrom([]string{"a", "b", "c", "*", "a:5", "b:5", "a:20", "c:0", "*:7"})
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.SliceOfN(keys, 0, 3).Draw(t, "taints")
		more := append(some[:len(some):len(some)], keys.Draw(t, "another"))
		pod := &corev1.Pod{Spec: corev1.PodSpec{Tolerations: tolerations(strings.Join(rapid.SliceOfN(stays, 0, 4).Draw(t, "tolerations"), " "))}}
		plan := func(keys []string, since, at time.Time) plan {
			return makePlan(snapshot{pod: pod, taints: taints(strings.Join(keys, " ")), since: since, now: at})
		}
		before, after := plan(some, time.Time{}, now), plan(more, time.Time{}, now)
		if before.evict && !after.evict || before.wait > 0 && !after.evict && (after.wait == 0 || after.wait > before.wait) {
			t.Fatalf("with %v: %s; with %v: %s", some, before, more, after)
		}
		later := now.Add(3 * time.Second)
		if p := plan(more, after.since, later); after.wait > 3*time.Second && p.wait != after.wait-3*time.Second {
			t.Fatalf("%s, and three seconds later %s", after, p)
		}
	})
}

type bed struct{ *testbed.Bed }

func newBed(t *testing.T) bed {
	b := bed{testbed.New(t)}
	testbed.Create(b.Bed, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}})
	b.Run(New(Options{Env: b.Env(), Workers: 4}).Run)
	synctest.Wait()
	return b
}

func (b bed) pod(name, tolerated string) {
	p := testbed.Pod("default", name, nil)
	p.Spec.NodeName, p.Spec.Tolerations = "n", tolerations(tolerated)
	testbed.Create(b.Bed, p)
}

func (b bed) taint(keys string) {
	testbed.Update(b.Bed, "", "n", func(n *corev1.Node) { n.Spec.Taints = taints(keys) })
	synctest.Wait()
}

// deleted are the pods that are being deleted.
func (b bed) deleted() string {
	var names []string
	for _, p := range testbed.List[*corev1.Pod](b.Bed, "default") {
		if p.DeletionTimestamp != nil {
			names = append(names, p.Name)
		}
	}
	return strings.Join(names, " ")
}

func TestEviction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.pod("always", "*")
		b.pod("never", "")
		b.pod("while", "a:20 b:60")
		b.taint("a")
		if got := b.deleted(); got != "never" {
			t.Errorf("deleted at once: %q", got)
		}
		p, _ := testbed.Get[*corev1.Pod](b.Bed, "default", "never")
		if c := p.Status.Conditions[len(p.Status.Conditions)-1]; c.Type != corev1.DisruptionTarget || c.Reason != "DeletionByTaintManager" || c.Message != "Taint manager: deleting due to NoExecute taint" {
			t.Errorf("condition %+v", c)
		}
		if *p.DeletionGracePeriodSeconds != 30 {
			t.Errorf("grace period %d, want the pod's own", *p.DeletionGracePeriodSeconds)
		}
		if got := b.Recorder.Take(); got != "Normal TaintManagerEviction never: Marking for deletion Pod default/never" {
			t.Errorf("events:\n%s", got)
		}
		time.Sleep(15 * time.Second)
		b.taint("a b") // does not begin to count anew
		b.pod("late", "")
		b.pod("later", "*:60")
		synctest.Wait()
		time.Sleep(5*time.Second - time.Nanosecond)
		synctest.Wait()
		if got := b.deleted(); got != "late never" {
			t.Errorf("deleted after 15 s: %q", got)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if got := b.deleted(); got != "late never while" {
			t.Errorf("deleted after 20 s: %q", got)
		}
		b.Recorder.Take()
		b.taint("")
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := b.deleted(); got != "late never while" {
			t.Errorf("deleted after the taint had gone: %q", got)
		}
		if got := b.Recorder.Take(); got != "Normal TaintManagerEviction later: Cancelling deletion of Pod default/later" {
			t.Errorf("events:\n%s", got)
		}
	})
}

func TestTolerationsMayBeAdded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.pod("p", "a:20")
		b.taint("a")
		testbed.Update(b.Bed, "default", "p", func(p *corev1.Pod) { p.Spec.Tolerations = tolerations("a:40") })
		time.Sleep(39 * time.Second)
		synctest.Wait()
		if got := b.deleted(); got != "" {
			t.Errorf("deleted too early: %q", got)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := b.deleted(); got != "p" {
			t.Errorf("deleted: %q", got)
		}
	})
}

// TestNextOfItsName: a pod that takes over a name has time of its own.
func TestNextOfItsName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.pod("p", "a:20")
		b.taint("a")
		time.Sleep(15 * time.Second)
		testbed.Kill[*corev1.Pod](b.Bed, "default", "p")
		b.pod("p", "a:20")
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if got := b.deleted(); got != "" {
			t.Errorf("deleted after 15 s: %q", got)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := b.deleted(); got != "p" {
			t.Errorf("deleted after 20 s: %q", got)
		}
	})
}
