package scheduling

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator/internal/testbed"
)

// classes makes priority classes low, middle and high.
func (b *bed) classes() {
	for name, value := range map[string]int32{"low": 1, "middle": 2, "high": 3} {
		testbed.Create(b.Bed, &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Value: value})
	}
}

func (b *bed) get(name string) *corev1.Pod {
	b.t.Helper()
	p, ok := testbed.Get[*corev1.Pod](b.Bed, "default", name)
	if !ok {
		b.t.Fatalf("there is no pod %s", name)
	}
	return p
}

// disruption is a pod's condition of being disrupted as text.
func (b *bed) disruption(name string) string {
	b.t.Helper()
	for _, c := range b.get(name).Status.Conditions {
		if c.Type == corev1.DisruptionTarget {
			return strings.Join([]string{string(c.Status), c.Reason, c.Message}, " ")
		}
	}
	return ""
}

func TestPreemptionMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.classes()
		b.node("n cpu=2")
		b.pod("lesser cpu=1 class=low")
		b.pod("equal cpu=1 class=high")
		synctest.Wait()
		b.Recorder.Take()
		b.pod("p cpu=1 class=high")
		b.expect("p waits", "equal:n lesser:n p:")
		if got := b.get("p").Status.NominatedNodeName; got != "n" {
			t.Errorf("nominated %q, want n", got)
		}
		if got, want := b.scheduled("p"), "False Unschedulable 0/1 nodes are available: 1 Insufficient cpu. "+
			"preemption: found a potential placement for pod on node n, preempting 1 victims"; got != want {
			t.Errorf("PodScheduled\n%s\nwant\n%s", got, want)
		}
		victim := b.get("lesser")
		if victim.DeletionTimestamp == nil || *victim.DeletionGracePeriodSeconds != 30 {
			t.Errorf("the victim is not deleted gracefully: %v", victim.DeletionTimestamp)
		}
		if got, want := b.disruption("lesser"), "True PreemptionByScheduler default-scheduler: preempting to accommodate a higher priority pod"; got != want {
			t.Errorf("DisruptionTarget %s, want %s", got, want)
		}
		events := b.Recorder.Take()
		if want := "Normal Preempted lesser: Preempted by pod " + string(b.get("p").UID) + " on node n"; !strings.Contains(events, want) {
			t.Errorf("events\n%s\nwant %s", events, want)
		}
		time.Sleep(time.Minute)
		testbed.Kill[*corev1.Pod](b.Bed, "default", "lesser")
		b.expect("the victim has gone", "equal:n p:n")
		if got := b.get("p").Status.NominatedNodeName; got != "" {
			t.Errorf("nominated %q after it was bound", got)
		}
		if got := b.Recorder.Take(); strings.Contains(got, "FailedScheduling") || strings.Contains(got, "Preempted") {
			t.Errorf("events while it waited: %s", got)
		}
	})
}

func TestNominatedRoomIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bed{Bed: testbed.New(t), t: t}
		stop := b.start()
		b.classes()
		b.node("n cpu=2")
		b.pod("first cpu=1 class=low")
		b.pod("second cpu=1 class=low")
		synctest.Wait()
		b.pod("p cpu=2 class=high")
		synctest.Wait()
		testbed.Kill[*corev1.Pod](b.Bed, "default", "first")
		b.pod("thief cpu=1 class=middle")
		b.expect("the room that is free is p's", "p: second:n thief:")
		if got := b.get("thief").Status.NominatedNodeName; got != "" {
			t.Errorf("the thief is nominated for %q", got)
		}
		stop() // what is in the store is enough
		b.start()
		synctest.Wait()
		testbed.Kill[*corev1.Pod](b.Bed, "default", "thief")
		b.pod("another cpu=1 class=middle")
		b.expect("after a restart", "another: p: second:n")
		testbed.Kill[*corev1.Pod](b.Bed, "default", "second")
		b.expect("all have gone", "another: p:n")
	})
}

func TestNominationEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(b *bed)
		want string
	}{
		{"the pod is deleted", func(b *bed) { testbed.Kill[*corev1.Pod](b.Bed, "default", "p") }, "lesser:n other:n"},
		{"a more important one displaces it", func(b *bed) {
			b.pod("vip cpu=2 class=high")
			synctest.Wait()
			if got := b.get("p").Status.NominatedNodeName; got != "" {
				b.t.Errorf("still nominated for %q", got)
			}
			testbed.Kill[*corev1.Pod](b.Bed, "default", "lesser")
		}, "other:n p: vip:n"},
		{"there is room elsewhere", func(b *bed) { b.node("m cpu=3") }, "lesser:n other:n p:m"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t)
				b.classes()
				b.node("n cpu=3")
				b.pod("lesser cpu=2 class=low")
				synctest.Wait()
				b.pod("p cpu=3 class=middle")
				synctest.Wait()
				b.pod("other cpu=1 class=low")
				b.expect("the rest of the node is p's, too", "lesser:n other: p:")
				c.end(b)
				time.Sleep(time.Minute)
				b.expect(c.name, c.want)
			})
		})
	}
}

func TestPodsThatNeverPreempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		never := corev1.PreemptNever
		testbed.Create(b.Bed, &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "polite"}, Value: 9, PreemptionPolicy: &never})
		b.node("n cpu=1")
		b.pod("x cpu=1")
		synctest.Wait()
		b.pod("p cpu=1 class=polite")
		b.expect("it waits", "p: x:n")
		if got := b.scheduled("p"); !strings.HasSuffix(got, "1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never.") {
			t.Errorf("PodScheduled %s", got)
		}
		if b.get("x").DeletionTimestamp != nil {
			t.Error("x is preempted")
		}
	})
}

func TestTheImportantGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bed{Bed: testbed.New(t), t: t}
		b.classes()
		b.node("n cpu=2")
		var want []string
		for _, p := range []string{"a cpu=1 class=low", "b cpu=1", "c cpu=1 class=high", "d cpu=1 class=middle"} {
			b.pod(p)
		}
		b.start()
		b.expect("two fit", "a: b: c:n d:n")
		for _, done := range []string{"c", "d"} {
			testbed.Kill[*corev1.Pod](b.Bed, "default", done)
			synctest.Wait()
			for _, p := range testbed.List[*corev1.Pod](b.Bed, "default") {
				if p.Spec.NodeName != "" && !slices.Contains(want, p.Name) && p.Name < "c" {
					want = append(want, p.Name)
				}
			}
		}
		if got := strings.Join(want, " "); got != "a b" {
			t.Errorf("%s, want a b", got)
		}
	})
}

func TestGatedPodSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.node("n")
		gated := testbed.Pod("default", "gated", nil)
		gated.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/gate"}}
		testbed.Create(b.Bed, gated)
		b.expect("it waits", "gated:")
		if got, want := b.scheduled("gated"), "False SchedulingGated Scheduling is blocked due to non-empty scheduling gates"; got != want {
			t.Errorf("PodScheduled %s, want %s", got, want)
		}
		if got := b.Recorder.Take(); got != "" {
			t.Errorf("events %s", got)
		}
	})
}

// TestWhatHappensElsewhereLetsAPodIn holds that pods whose place depends on
// others get it soon after those change.
func TestWhatHappensElsewhereLetsAPodIn(t *testing.T) {
	for _, c := range []struct {
		name   string
		others []string
		pod    string
		change func(b *bed)
	}{
		{"the pod it needs arrives", nil, "p near=app:x@zone", func(b *bed) { b.pod("x label=app:x select=zone:1") }},
		{"a pod comes to be what it needs", []string{"x"}, "p near=app:x@name", func(b *bed) {
			testbed.Update(b.Bed, "default", "x", func(p *corev1.Pod) { p.Labels = map[string]string{"app": "x"} })
		}},
		{"the other domain fills", []string{"x label=app:x select=zone:1"}, "p label=app:x spread=1/zone/app:x select=zone:1 any-affinity", func(b *bed) {
			b.pod("y label=app:x select=zone:2")
		}},
		{"the other domain goes", []string{"x label=app:x select=zone:1"}, "p label=app:x spread=1/zone/app:x select=zone:1 any-affinity", func(b *bed) {
			testbed.Delete[*corev1.Node](b.Bed, "", "m")
		}},
		{"who shuns it goes", []string{"x apart=app:p@zone select=zone:1"}, "p label=app:p select=zone:1", func(b *bed) {
			testbed.Kill[*corev1.Pod](b.Bed, "default", "x")
		}},
		{"a namespace comes to be the one it means", []string{"x label=app:x"}, "p near=app:x@zone/{team:a}", func(b *bed) {
			testbed.Update(b.Bed, "", "default", func(n *corev1.Namespace) { n.Labels["team"] = "a" })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t)
				b.node("n zone=1")
				b.node("m zone=2")
				for _, o := range c.others {
					b.pod(o)
				}
				synctest.Wait()
				b.pod(c.pod)
				synctest.Wait()
				if b.get("p").Spec.NodeName != "" {
					t.Fatal("it is let in before")
				}
				c.change(b)
				time.Sleep(gathering)
				synctest.Wait()
				if b.get("p").Spec.NodeName == "" {
					t.Errorf("it is not let in: %s", b.scheduled("p"))
				}
			})
		})
	}
}
