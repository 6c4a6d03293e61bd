package nodelife

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/manifests/podfacts"
	"skiff/manifests/registry"
	"skiff/orchestrator/controller"
)

// How many objects are written at a time.
const (
	nodeWriters = 8
	podWriters  = 64
)

// execute carries out what remains of a plan once the silent nodes are marked: first what keeps the
// scheduler and everybody else off them. It returns the changes of taints that were made: a node
// that has changed meanwhile is looked at again.
func (c *Controller) execute(ctx context.Context, p plan) (made []tainting, err error) {
	var mu sync.Mutex
	err = each(p.taints, nodeWriters, func(t tainting) error {
		err := c.taint(ctx, t)
		if errors.Is(err, controller.ErrOvertaken) {
			return nil
		}
		if err == nil {
			mu.Lock()
			defer mu.Unlock()
			made = append(made, t)
		}
		return err
	})
	return made, errors.Join(err, each(p.unready, nodeWriters, func(n *corev1.Node) error { return c.markPods(ctx, n.Name) }))
}

func each[T any](all []T, limit int, do func(T) error) error {
	var group errgroup.Group
	group.SetLimit(limit)
	for _, x := range all {
		group.Go(func() error { return do(x) })
	}
	return group.Wait()
}

var errSpoke = errors.New("the node has been heard from")

// silentConditions are those of which nothing is known once a node is silent.
var silentConditions = []corev1.NodeConditionType{
	corev1.NodeReady, corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure,
}

// markSilent notes of which nodes nothing is known. It returns the names of those
// that have said something since, or are gone.
func (c *Controller) markSilent(ctx context.Context, silent []silence) (spoke []string, err error) {
	var mu sync.Mutex
	err = each(silent, nodeWriters, func(s silence) error {
		err := c.markUnknown(ctx, s)
		if errors.Is(err, errSpoke) || apierrors.IsNotFound(err) {
			mu.Lock()
			defer mu.Unlock()
			spoke = append(spoke, s.node.Name)
			return nil
		}
		return err
	})
	return spoke, err
}

// markUnknown notes in a node's status that nothing is known of it. It fails with
// errSpoke if the node has said something since.
func (c *Controller) markUnknown(ctx context.Context, s silence) error {
	seen := s.node
	was, at := said(seen)
	_, err := c.nodes.UpdateStatus(ctx, "", seen.Name, func(n *corev1.Node) error {
		// Who writes a status by hand may leave the time of the heartbeat as it is.
		if is, now := said(n); n.UID != seen.UID || is != was || !now.Equal(&at) {
			return errSpoke
		}
		if c.heard(n.Name).After(s.heard) {
			return errSpoke
		}
		setUnknown(n, metav1.NewTime(c.clock.Now()))
		return nil
	})
	switch {
	case errors.Is(err, errSpoke), apierrors.IsNotFound(err):
		return err
	case err != nil:
		return fmt.Errorf("marking node %s as unknown: %w", seen.Name, err)
	}
	if was == corev1.ConditionTrue {
		c.recorder.Event(seen, corev1.EventTypeNormal, "NodeNotReady", "Node %s status is now: NodeNotReady", seen.Name)
	}
	return nil
}

// heard is when a node was last heard from. It looks at the Lease itself, of which
// the feed may not have told yet.
func (c *Controller) heard(name string) time.Time {
	if l, err := c.leases.Get(corev1.NamespaceNodeLease, name); err == nil {
		c.pulses.lease(l, c.clock.Now())
	}
	return c.pulses.heard(name)
}

func setUnknown(n *corev1.Node, now metav1.Time) {
	for _, kind := range silentConditions {
		have := condition(&n.Status, kind)
		switch {
		case have == nil:
			n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{
				Type: kind, Status: corev1.ConditionUnknown,
				Reason: "NodeStatusNeverUpdated", Message: "Kubelet never posted node status.",
				LastHeartbeatTime: n.CreationTimestamp, LastTransitionTime: now,
			})
		case have.Status != corev1.ConditionUnknown:
			have.Status, have.LastTransitionTime = corev1.ConditionUnknown, now
			have.Reason, have.Message = "NodeStatusUnknown", "Kubelet stopped posting node status."
		}
	}
}

// taint changes a node's taints.
func (c *Controller) taint(ctx context.Context, t tainting) error {
	_, err := c.nodes.Update(ctx, "", t.node.Name, func(n *corev1.Node) error {
		if !t.holds(n) {
			return controller.ErrOvertaken
		}
		n.Spec.Taints = slices.DeleteFunc(n.Spec.Taints, func(have corev1.Taint) bool {
			return slices.ContainsFunc(t.drop, func(d cause) bool { return d.taint.MatchTaint(&have) })
		})
		for _, a := range t.add {
			if has(n.Spec.Taints, a.taint) {
				continue
			}
			added := a.taint
			now := metav1.NewTime(c.clock.Now())
			added.TimeAdded = &now
			n.Spec.Taints = append(n.Spec.Taints, added)
		}
		return nil
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("tainting node %s: %w", t.node.Name, err)
	}
	return nil
}

// markPods shows that the pods of a node of which nothing is known are not ready:
// nobody may send them traffic.
func (c *Controller) markPods(ctx context.Context, node string) error {
	return each(c.pods.ByIndex(registry.IndexNode, node), podWriters, func(seen *corev1.Pod) error {
		if !podfacts.Ready(seen) {
			return nil
		}
		_, err := c.pods.UpdateStatus(ctx, seen.Namespace, seen.Name, func(p *corev1.Pod) error {
			n, err := c.nodes.Get("", node)
			if err != nil || p.UID != seen.UID || statusOf(n, corev1.NodeReady) != corev1.ConditionUnknown {
				return controller.ErrOvertaken
			}
			setUnready(p, metav1.NewTime(c.clock.Now()))
			return nil
		})
		if apierrors.IsNotFound(err) || errors.Is(err, controller.ErrOvertaken) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("marking pod %s/%s as not ready: %w", seen.Namespace, seen.Name, err)
		}
		c.recorder.Event(seen, corev1.EventTypeWarning, "NodeNotReady", "Node is not ready")
		return nil
	})
}

func setUnready(p *corev1.Pod, now metav1.Time) {
	if c := podfacts.Condition(p, corev1.PodReady); c != nil && c.Status != corev1.ConditionFalse {
		c.Status, c.LastTransitionTime = corev1.ConditionFalse, now
	}
}
