package scheduling

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/manifests/registry"
	"skiff/orchestrator/controller"
	"skiff/orchestrator/internal/testbed"
)

// lateBinder fails to bind the pod first, when it is told to.
type lateBinder struct {
	registry.Pods
	asked, answer chan struct{}
}

func (l lateBinder) Assign(ctx context.Context, namespace string, b *corev1.Binding, o registry.CreateOptions) error {
	if b.Name == "first" {
		l.asked <- struct{}{}
		<-l.answer
		return errors.New("not bound")
	}
	return l.Pods.Assign(ctx, namespace, b, o)
}

// TestFailedBindingLetsAnotherIn holds that the room of a pod that could not be
// bound is offered to those that wait, without anything else that happens.
func TestFailedBindingLetsAnotherIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bed{Bed: testbed.New(t), t: t}
		binder := lateBinder{b.Registry.Pods(), make(chan struct{}), make(chan struct{})}
		pods := registry.For[*corev1.Pod](b.Registry)
		b.s = New(Options{Pods: pods, Nodes: registry.For[*corev1.Node](b.Registry), Binder: binder, Env: b.Env(), Workers: 2})
		b.Run(b.s.Run)
		b.node("n cpu=1")
		b.pod("first cpu=1")
		<-binder.asked
		b.pod("second cpu=1")
		b.expect("the room is taken", "first: second:")
		// It is not pending any more, but has not left a node either.
		testbed.UpdateStatus(b.Bed, "default", "first", func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed })
		synctest.Wait()
		binder.answer <- struct{}{}
		b.expect("the room is free", "first: second:n")
	})
}

func TestWhatCanNotLetAWaitingPodIn(t *testing.T) {
	for _, c := range []struct {
		name, pod string
		change    func(b *bed)
	}{
		{"a heartbeat", "p cpu=1", func(b *bed) {
			testbed.UpdateStatus(b.Bed, "", "n", func(n *corev1.Node) { n.Status.NodeInfo.KernelVersion = "a heartbeat" })
		}},
		{"its own condition", "p cpu=1", func(b *bed) {
			testbed.UpdateStatus(b.Bed, "default", "p", func(p *corev1.Pod) { p.Status.Message = "waits" })
		}},
		{"a node is cordoned", "p cpu=1", func(b *bed) {
			testbed.Update(b.Bed, "", "n", func(n *corev1.Node) { n.Spec.Unschedulable = true })
		}},
		{"a node is tainted", "p cpu=1", func(b *bed) {
			testbed.Update(b.Bed, "", "n", func(n *corev1.Node) {
				n.Spec.Taints = []corev1.Taint{{Key: "x", Effect: corev1.TaintEffectNoSchedule}}
			})
		}},
		{"a node is no longer ready", "p cpu=1", func(b *bed) { b.nodeStatus("n cpu=2 ready=False") }},
		{"a node shrinks", "p cpu=2", func(b *bed) { b.nodeStatus("n cpu=1") }},
		{"a pod goes, the node is the wrong one", "p select=disk:ssd", func(b *bed) { testbed.Kill[*corev1.Pod](b.Bed, "default", "q") }},
		{"a pod goes, the node is too small", "p cpu=3", func(b *bed) { testbed.Kill[*corev1.Pod](b.Bed, "default", "q") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t)
				b.node("n cpu=2")
				b.pod("q cpu=2")
				synctest.Wait()
				b.pod(c.pod)
				synctest.Wait()
				b.Recorder.Take()
				c.change(b)
				time.Sleep(longPause)
				synctest.Wait()
				if got := b.Recorder.Take(); got != "" {
					t.Errorf("tried again for nothing: %s", got)
				}
			})
		})
	}
}

// TestManyThatWait holds that room is given to the most important of those that
// wait, however many they are, and not to one that comes just after there is some.
func TestManyThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.classes()
		b.node("n cpu=1 pods=1000")
		b.pod("q cpu=1 class=high")
		synctest.Wait()
		const many = 3*glance + 1
		for i := range many {
			class := "low"
			if i == many/2 {
				class = "middle"
			}
			b.pod(fmt.Sprintf("p%d cpu=1 class=%s", i, class))
		}
		synctest.Wait()
		on := func() (there []string) {
			for _, p := range testbed.List[*corev1.Pod](b.Bed, "default") {
				if p.Spec.NodeName != "" {
					there = append(there, p.Name)
				}
			}
			return there
		}
		if got := on(); !slices.Equal(got, []string{"q"}) {
			t.Fatalf("%v before, want q", got)
		}
		testbed.Kill[*corev1.Pod](b.Bed, "default", "q")
		b.pod("new cpu=1 class=low")
		synctest.Wait()
		if got, want := on(), []string{fmt.Sprint("p", many/2)}; !slices.Equal(got, want) {
			t.Errorf("%v got the room, want %v", got, want)
		}
		b.nodeStatus("n cpu=999 pods=1000")
		synctest.Wait()
		if got := len(on()); got != many+1 {
			t.Errorf("%d pods on a node that has room for all, want %d", got, many+1)
		}
	})
}

// TestLookedAtOnce holds that a pod is looked at for what has happened since it
// was tried, and for nothing that had been before.
func TestLookedAtOnce(t *testing.T) {
	s := New(Options{Env: controller.Env{}.WithDefaults()})
	s.cache = makeCache("node n cpu=1")
	now := time.Now()
	try := func(name string) *entry {
		p := makePod(name + " cpu=1")
		s.queue.put(p)
		e, _ := s.queue.next(now)
		s.queue.failed(e, newPod(p), false, now)
		s.queue.done(e)
		return e
	}
	early := try("early")
	s.moved(s.cache.nodes["n"])
	late := try("late")
	if s.lookAround(now) {
		t.Error("there is more to look at")
	}
	if s.queue.parked[early] || !s.queue.parked[late] {
		t.Errorf("early waits: %t, late waits: %t; want false, true", s.queue.parked[early], s.queue.parked[late])
	}
	s.moved(s.cache.nodes["n"])
	s.lookAround(now)
	if s.queue.parked[late] {
		t.Error("late is not looked at")
	}
}
