package nodelife

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"skiff/manifests/podfacts"
	"skiff/orchestrator/internal/testbed"
)

// interrupting is a clock that lets something happen when it is asked for the
// time: between the look at the nodes and what is done about it.
type interrupting struct {
	clock.WithTicker
	once func()
}

func (c *interrupting) Now() time.Time {
	if do := c.once; do != nil {
		c.once = nil
		do()
	}
	return c.WithTicker.Now()
}

// TestNodeSpeaksInTime: a node that says something after the plan to mark it was
// made is left alone, and so are its pods; it has its whole grace period again.
func TestNodeSpeaksInTime(t *testing.T) {
	for name, speak := range map[string]func(b *bed, c *Controller){
		"by its status": func(b *bed, _ *Controller) { b.report("b", corev1.ConditionTrue) },
		"by its Lease, of which the feed has not told yet": func(b *bed, _ *Controller) {
			at := metav1.NowMicro()
			testbed.Create(b.Bed, &coordinationv1.Lease{
				ObjectMeta: metav1.ObjectMeta{Namespace: corev1.NamespaceNodeLease, Name: "b"}, Spec: coordinationv1.LeaseSpec{RenewTime: &at},
			})
		},
		"by its status, of which the feed has not told yet": nil,
		"by its Lease": func(_ *bed, c *Controller) {
			at := metav1.NowMicro()
			c.pulses.lease(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "b"}, Spec: coordinationv1.LeaseSpec{RenewTime: &at}}, time.Now())
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &bed{testbed.New(t), t}
				at := &interrupting{WithTicker: clock.RealClock{}}
				env := b.Env()
				env.Clock = at
				c := New(Options{Env: env, GracePeriod: 40 * time.Second})
				for _, name := range []string{"a", "b"} {
					testbed.Create(b.Bed, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}})
					b.report(name, corev1.ConditionTrue)
					n, _ := testbed.Get[*corev1.Node](b.Bed, "", name)
					c.nodeChanged(n, nil, func(all) {})
				}
				pod := testbed.Pod("default", "p", nil)
				pod.Spec.NodeName = "b"
				testbed.Create(b.Bed, pod)
				testbed.UpdateStatus(b.Bed, "default", "p", func(p *corev1.Pod) {
					p.Status.Phase = corev1.PodRunning
					p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
				})
				time.Sleep(45 * time.Second)
				b.report("a", corev1.ConditionTrue)
				n, _ := testbed.Get[*corev1.Node](b.Bed, "", "a")
				c.nodeChanged(n, nil, func(all) {})
				if speak == nil {
					b.report("b", corev1.ConditionTrue) // listed, but the controller was not told
				} else {
					at.once = func() { speak(b, c) }
				}
				wake, err := c.reconcile(t.Context(), all{})
				if err != nil || wake != 40*time.Second || at.once != nil {
					t.Errorf("look again in %s: %v", wake, err)
				}
				b.is("b Ready=True")
				if p, _ := testbed.Get[*corev1.Pod](b.Bed, "default", "p"); !podfacts.Ready(p) {
					t.Error("its pod is marked as not ready")
				}
			})
		})
	}
}

// TestNodeSpeaksAtNoOtherTime: somebody who says by hand that a node is not ready, as of its last
// heartbeat, is heard too.
func TestNodeSpeaksAtNoOtherTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bed{testbed.New(t), t}
		c := New(Options{Env: b.Env()})
		testbed.Create(b.Bed, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}})
		b.report("a", corev1.ConditionTrue)
		seen, _ := testbed.Get[*corev1.Node](b.Bed, "", "a")
		testbed.UpdateStatus(b.Bed, "", "a", func(n *corev1.Node) {
			condition(&n.Status, corev1.NodeReady).Status = corev1.ConditionFalse
		})
		if err := c.markUnknown(t.Context(), silence{node: seen}); !errors.Is(err, errSpoke) {
			t.Errorf("got %v, want that it spoke", err)
		}
		b.is("a Ready=False")
	})
}
