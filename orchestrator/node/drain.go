package node

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"skiff/orchestrator/node/pod"
)

// ErrFailed is the cause with which to cancel the context of Agent.Run for a node that fails: its
// agent ends without finishing anything.
var ErrFailed = errors.New("the node has failed")

const (
	// drainTimeout is how long an agent that ends may take to finish removals.
	drainTimeout = 10 * time.Second
	// drainPods is how many pods it finishes at a time.
	drainPods = 8
)

// drain finishes, when the agent ends, what is left to do for pods that are gone or being deleted
// and no longer run: nothing else removes their containers before the next daemon. Containers that
// still have time to shut down run on.
func (a *Agent) drain(ctx context.Context) {
	ctx, cancel := a.withTimeout(ctx, drainTimeout)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(drainPods)
	for _, r := range a.records.all() {
		group.Go(func() error {
			for ctx.Err() == nil && a.drainPod(ctx, r) {
			}
			return nil
		})
	}
	_ = group.Wait() // nothing above fails
}

// drainPod carries out the steps that remove a pod, and reports whether there may be more.
func (a *Agent) drainPod(ctx context.Context, r *record) (more bool) {
	v := a.observe(r)
	if v.Pod != nil && v.Pod.DeletionTimestamp == nil {
		return false
	}
	for _, s := range pod.MakePlan(v) {
		switch {
		case s.Do == pod.DoKill && v.Pod == nil:
			a.stop(ctx, r, v, s)
		case s.Do == pod.DoRemove:
			a.remove(ctx, r, v, s)
		case s.Do == pod.DoDelete:
			a.deletePod(ctx, r)
		case s.Do == pod.DoForget:
			a.forgetPod(ctx, r)
			return false
		default:
			continue
		}
		more = true
	}
	return more
}
