package fleet

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/manifests/nodefacts"
	"skiff/manifests/registry"
	"skiff/orchestrator/node/memory"
)

// slowEngine takes a while to start containers. Like a real engine it goes on when its client hangs
// up. The client does so when its context ends if hangsUp is set; otherwise it waits for the
// answer.
type slowEngine struct {
	*memory.Runtime
	takes   time.Duration
	hangsUp bool
	// starts are under way.
	starts *sync.WaitGroup
}

func (e *slowEngine) Start(ctx context.Context, id string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	done := make(chan error, 1)
	e.starts.Go(func() {
		time.Sleep(e.takes)
		done <- e.Runtime.Start(context.WithoutCancel(ctx), id)
	})
	if !e.hangsUp {
		return <-done
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// inSlowWorld runs a test with an engine that takes ten seconds to start a container, on which one
// container of node a runs and another is being started.
func inSlowWorld(t *testing.T, hangsUp bool, test func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var starts sync.WaitGroup
		w.runtime = &slowEngine{Runtime: w.engine, takes: 10 * time.Second, hangsUp: hangsUp, starts: &starts}
		w.restart()
		w.add("a", "role=worker")
		pass(time.Minute)
		w.replicas("first", 1, map[string]string{"role": "worker"})
		pass(15 * time.Second)
		w.replicas("second", 1, map[string]string{"role": "worker"})
		pass(5 * time.Second)
		w.expect("before", w.containers(), "a:created a:running")
		test(w)
		starts.Wait()
	})
}

// TestFailedNodeRunsNothing holds that nothing of a node runs once its power is off: what runs dies
// at once, and what was being started as soon as it runs.
func TestFailedNodeRunsNothing(t *testing.T) {
	inSlowWorld(t, false, func(w *world) {
		w.power("a", "off")
		pass(time.Second)
		w.expect("at once", w.containers(), "a:created a:exited")
		w.expect("while one is being started", w.observedPower("a"), "")
		pass(5 * time.Second)
		w.expect("when the engine has answered", w.containers(), "a:exited a:exited")
		w.expect("then", w.observedPower("a"), "off")
		w.power("a", "on")
		pass(time.Second)
		w.expect("when it is back", w.observedPower("a"), "")
	})
}

// observedPower is what the fleet has noted of a node's power.
func (w *world) observedPower(name string) string {
	n, err := registry.For[*corev1.Node](w.registry).Get("", name)
	if err != nil {
		w.Fatal(err)
	}
	return n.Annotations[nodefacts.AnnotationPowerObserved]
}

// TestLateStartOnFailedNode holds the same for an engine that starts a container after nobody waits
// for it any more, as when the daemon was killed.
func TestLateStartOnFailedNode(t *testing.T) {
	inSlowWorld(t, true, func(w *world) {
		w.power("a", "off")
		pass(4 * time.Second)
		w.expect("before the late start", w.containers(), "a:created a:exited")
		pass(2 * time.Second)
		w.expect("after it", w.containers(), "a:exited a:exited")
	})
}

// TestLateStartOnRemovedNode holds that a container of a node that is gone is removed even if it is
// started after that.
func TestLateStartOnRemovedNode(t *testing.T) {
	for _, hangsUp := range []bool{true, false} {
		inSlowWorld(t, hangsUp, func(w *world) {
			w.remove("a")
			pass(10 * time.Second)
			w.expect("after it", w.containers(), "")
		})
	}
}

// TestLateStartUnderTheNextDaemon holds that the next daemon kills what the engine starts on a
// failed node after the one before has ended.
func TestLateStartUnderTheNextDaemon(t *testing.T) {
	inSlowWorld(t, true, func(w *world) {
		w.power("a", "off")
		w.restart()
		pass(2 * time.Second)
		w.expect("before the late start", w.containers(), "a:created a:exited")
		pass(5 * time.Second)
		w.expect("after it", w.containers(), "a:exited a:exited")
	})
}

// TestPodsOfTheNextNodeAreKept holds that removing a node does not end pods that are bound to the
// next node of its name, whatever was known when that began.
func TestPodsOfTheNextNodeAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.add("a")
		pass(time.Second)
		w.replicas("kubia", 1, map[string]string{nodefacts.LabelVirtual: "true"})
		pass(5 * time.Second)
		seen := w.pods()[0]
		if err := w.fleet.endPod(context.Background(), seen); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if now := w.pods()[0]; now.UID != seen.UID {
			t.Error("the pod has been replaced while its node exists")
		}
		old := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(time.Now().Add(-time.Hour))}}
		old.Spec.NodeName = "a"
		if !w.fleet.lostNode(old) {
			t.Error("a pod that is older than its node counts as the node's")
		}
		w.remove("a")
		pass(5 * time.Second)
		_, err := registry.For[*corev1.Pod](w.registry).Get(seen.Namespace, seen.Name)
		if err == nil {
			t.Error("the pod outlives its node")
		}
	})
}
