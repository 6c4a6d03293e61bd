package scheduling

import (
	"sync/atomic"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"

	"skiff/orchestrator/internal/testbed"
	"skiff/store"
)

// TestNodeOfWhichTheFeedHasNotToldYet holds that a pod does not come to a node that had become
// unfit before the pod was made, nor are others driven from there for it, although the scheduler
// hears of the pod first. When it does hear of the node, nothing else is needed.
func TestNodeOfWhichTheFeedHasNotToldYet(t *testing.T) {
	cordon := func(b *bed) {
		testbed.Update(b.Bed, "", "n", func(n *corev1.Node) { n.Spec.Unschedulable = true })
	}
	for name, c := range map[string]struct {
		change             func(*bed)
		pods               string // what is on the node before
		pod, before, after string
		// back happens then, unless it is nil.
		back func(*bed)
		then string
	}{
		"cordoned": {
			change: cordon, pod: "p", before: "p:", after: "p:",
			back: func(b *bed) {
				testbed.Update(b.Bed, "", "n", func(n *corev1.Node) { n.Spec.Unschedulable = false })
			}, then: "p:n",
		},
		"gone": {
			change: func(b *bed) { testbed.Delete[*corev1.Node](b.Bed, "", "n") }, pod: "p", before: "p:", after: "p:",
			back: func(b *bed) { b.node("n") }, then: "p:n",
		},
		"cordoned, and full of lesser pods": {
			change: cordon, pods: "low cpu=3 class=low", pod: "p cpu=3 class=high", before: "low:n p:", after: "low:n p:",
			back: func(b *bed) { testbed.Kill[*corev1.Pod](b.Bed, "default", "low") }, then: "p:",
		},
		"uncordoned": {
			change: func(b *bed) {
				cordon(b)
				testbed.Update(b.Bed, "", "n", func(n *corev1.Node) { n.Spec.Unschedulable = false })
			},
			pod: "p", before: "p:n", after: "p:n",
		},
		"bigger": {
			change: func(b *bed) { b.nodeStatus("n cpu=8") }, pod: "p cpu=6", before: "p:", after: "p:n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &bed{Bed: testbed.New(t), t: t}
				b.node("n")
				b.classes()
				var stalled atomic.Bool
				tell := make(chan struct{})
				detach, err := b.Feeds.Of("nodes").Subscribe(t.Context(), func(store.Event) {
					if stalled.Load() {
						<-tell
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				defer detach()
				b.start()
				synctest.Wait()
				if c.pods != "" {
					b.pod(c.pods)
					b.expect("at first", "low:n")
				}
				stalled.Store(true)
				c.change(b)
				b.pod(c.pod)
				b.expect("before the scheduler heard of the node", c.before)
				close(tell)
				b.expect("after", c.after)
				for _, p := range testbed.List[*corev1.Pod](b.Bed, "default") {
					if p.DeletionTimestamp != nil {
						t.Errorf("%s was driven away", p.Name)
					}
				}
				if c.back != nil {
					c.back(b)
					b.expect("then", c.then)
				}
			})
		})
	}
}
