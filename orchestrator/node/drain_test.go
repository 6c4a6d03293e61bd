package node

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/node/memory"
)

// slowRemovals is an engine that takes a second to remove a container.
type slowRemovals struct{ *memory.Runtime }

func (e slowRemovals) Remove(ctx context.Context, id string) error {
	select {
	case <-time.After(time.Second):
		return e.Runtime.Remove(ctx, id)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func slowlyRemoved(o *Options) { o.Runtime = slowRemovals{o.Runtime.(*memory.Runtime)} }

// TestStoppedAgentFinishesRemovals holds that an agent that ends leaves no containers of deleted
// pods, though it leaves those that run.
func TestStoppedAgentFinishesRemovals(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.Behave("kubia", memory.Behaviour{TermCode: 143})
		hold := func(p *corev1.Pod) { p.Finalizers = []string{"batch.kubernetes.io/job-tracking"} }
		for _, name := range []string{"forced", "deleted", "stays"} {
			w.pod(name, onePod)
		}
		w.pod("held", onePod, hold)
		w.delete("forced", ptr.To[int64](0))
		w.delete("deleted", nil)
		w.delete("held", nil)
		w.stopAll()
		w.wantContainers("stays running")
		w.start()
		w.settle()
		w.want("stays", "Running | kubia running ready")
		if w.exists("deleted") {
			w.Error("the deleted pod is still there")
		}
	}, slowlyRemoved)
}

// TestStoppedAgentDoesNotWaitForShutdowns holds that an agent that ends leaves containers that have
// time to shut down, and pods that are not deleted, as they are.
func TestStoppedAgentDoesNotWaitForShutdowns(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.Behave("kubia", memory.Behaviour{IgnoresTerm: true})
		w.pod("kubia", onePod)
		w.delete("kubia", nil)
		began := time.Now()
		w.stopAll()
		if took := time.Since(began); took > 0 {
			w.Errorf("took %s", took)
		}
		w.wantContainers("kubia running")
		w.start()
		w.settle()
	}, slowlyRemoved)
}

// TestStoppedAgentGivesUpOnAnEngine holds that an agent ends although its engine removes nothing.
func TestStoppedAgentGivesUpOnAnEngine(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", onePod)
		w.engine.Fail("remove", context.DeadlineExceeded)
		w.delete("kubia", ptr.To[int64](0))
		began := time.Now()
		w.stopAll()
		if took := time.Since(began); took != drainTimeout {
			w.Errorf("took %s, want %s", took, drainTimeout)
		}
		w.engine.Fail("remove", nil)
		w.start()
		w.settle()
	})
}
