package scheduling

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/orchestrator/internal/testbed"
)

// TestStrandedPodPreemptsElsewhere holds that a pod for which others make room
// looks for another node at once when the one it waits for has become useless,
// and that it does not while it has not.
func TestStrandedPodPreemptsElsewhere(t *testing.T) {
	cordon := func(b *bed) {
		testbed.Update(b.Bed, "", "n", func(n *corev1.Node) { n.Spec.Unschedulable = true })
	}
	leave := func(b *bed) { testbed.Kill[*corev1.Pod](b.Bed, "default", "low") }
	for _, c := range []struct {
		name, pod string
		change    func(b *bed)
		want      string
	}{
		{"cordoned", "p cpu=2 class=high", cordon, "m"},
		{"cordoned while something else is about to have it looked at", "p cpu=2 class=high", func(b *bed) {
			b.pod("news on=m")
			synctest.Wait()
			cordon(b)
		}, "m"},
		{"tainted", "p cpu=2 class=high", func(b *bed) {
			testbed.Update(b.Bed, "", "n", func(n *corev1.Node) {
				n.Spec.Taints = []corev1.Taint{{Key: "x", Effect: corev1.TaintEffectNoSchedule}}
			})
		}, "m"},
		{"deleted", "p cpu=2 class=high", func(b *bed) { testbed.Delete[*corev1.Node](b.Bed, "", "n") }, "m"},
		{"too small", "p cpu=2 class=high", func(b *bed) { b.nodeStatus("n cpu=1") }, "m"},
		{"too small beside others, its victim stays", "p cpu=2 class=high", func(b *bed) { b.nodeStatus("n cpu=2") }, "n"},
		{"too small beside others, its victim has left", "p cpu=2 class=high", func(b *bed) {
			b.nodeStatus("n cpu=2")
			leave(b)
		}, "m"},
		{"a more important pod has come, its victim has left", "p cpu=2 class=middle", func(b *bed) {
			b.pod("vip cpu=1 class=high on=n")
			synctest.Wait()
			leave(b)
		}, "m"},
		{"its victim stays", "p cpu=2 class=high", func(b *bed) {
			testbed.UpdateStatus(b.Bed, "", "n", func(n *corev1.Node) { n.Status.NodeInfo.KernelVersion = "a heartbeat" })
		}, "n"},
	} {
		for _, social := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, social %t", c.name, social), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBed(t)
					b.nominated(c.pod, social)
					c.change(b)
					time.Sleep(2 * gathering)
					synctest.Wait()
					if got := b.get("p").Status.NominatedNodeName; got != c.want {
						t.Errorf("nominated %q, want %s: %s", got, c.want, b.scheduled("p"))
					}
					if told := b.get("dear").DeletionTimestamp != nil; told != (c.want == "m") {
						t.Errorf("the victim on m is told to leave: %t", told)
					}
				})
			})
		}
	}
}

// nominated makes a pod that waits for the victim on node n to leave, and could
// preempt another on node m. If it is social, other pods keep it out of a third.
func (b *bed) nominated(pod string, social bool) {
	b.t.Helper()
	b.classes()
	b.node("n cpu=3")
	b.node("m cpu=2")
	if social {
		b.node("k cpu=2")
		b.pod("loner class=high apart=app:p@name on=k")
		pod += " label=app:p"
	}
	for _, other := range []string{
		"high cpu=1 class=high on=n", "low cpu=2 class=low on=n", "dear cpu=1 class=low on=m", "dearer cpu=1 class=low on=m",
	} {
		b.pod(other)
	}
	synctest.Wait()
	b.pod(pod)
	synctest.Wait()
	if got := b.get("p").Status.NominatedNodeName; got != "n" {
		b.t.Fatalf("nominated %q first, want n: %s", got, b.scheduled("p"))
	}
}

// TestStranded holds that a victim counts as about to leave from when it was
// chosen, before the store has told so, and no longer than it is there.
func TestStranded(t *testing.T) {
	for _, c := range []struct {
		name    string
		state   []string
		victims []types.UID
		want    bool
	}{
		{"not nominated", []string{"node n cpu=1", "x on=n cpu=1"}, nil, false},
		{"it fits", []string{"node n cpu=1", "nominated n p cpu=1 priority=9"}, nil, false},
		{"its victim is told to leave", []string{"node n cpu=1", "x on=n cpu=1 preempted", "nominated n p cpu=1 priority=9"}, nil, false},
		{"its victim is yet to be told", []string{"node n cpu=1", "x on=n cpu=1", "nominated n p cpu=1 priority=9"}, []types.UID{"x"}, false},
		{"one has left, one is yet to be told", []string{"node n cpu=1", "x on=n cpu=1", "nominated n p cpu=1 priority=9"}, []types.UID{"w", "x"}, false},
		{"all have left", []string{"node n cpu=1", "x on=n cpu=1", "nominated n p cpu=1 priority=9"}, []types.UID{"w"}, true},
		{"no victim", []string{"node n cpu=1", "x on=n cpu=1", "nominated n p cpu=1 priority=9"}, nil, true},
		{"one leaves of itself", []string{"node n cpu=1", "x on=n cpu=1 terminating", "nominated n p cpu=1 priority=9"}, nil, true},
		{"its victim leaves, the node is cordoned", []string{"node n cpu=1 cordoned", "x on=n cpu=1 preempted", "nominated n p cpu=1 priority=9"},
			[]types.UID{"x"}, true},
		{"no such node", []string{"nominated n p cpu=1 priority=9"}, []types.UID{"x"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &entry{uid: "p", pod: newPod(makePod("p cpu=1 priority=9")), victims: c.victims}
			if got := makeCache(c.state...).stranded(e); got != c.want {
				t.Errorf("%t, want %t", got, c.want)
			}
		})
	}
}
