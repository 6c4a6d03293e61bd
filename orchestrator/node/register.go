package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Introduced is closed once the running agent has tried to write its Node object for the first
// time.
func (a *Agent) Introduced() <-chan struct{} { return a.introduced }

// keepNode registers the node and keeps its Lease and its status up to date until ctx ends. What
// could not be found out or written is retried with the next Lease.
func (a *Agent) keepNode(ctx context.Context) error {
	stale := !a.describeNode(ctx)
	close(a.introduced)
	a.emitNode("Starting", "Starting kubelet.")
	a.renewLease(ctx)
	lease := a.Clock.NewTicker(a.LeaseInterval)
	defer lease.Stop()
	status := a.Clock.NewTicker(a.StatusInterval)
	defer status.Stop()
	for {
		news := a.machine.next()
		select {
		case <-ctx.Done():
			return nil
		case <-lease.C():
			a.renewLease(ctx)
			if stale || a.misrepresented() {
				stale = !a.describeNode(ctx)
			}
		case <-status.C():
			stale = !a.describeNode(ctx)
		case <-news:
			stale = !a.describeNode(ctx)
		}
	}
}

// describeNode surveys the node and writes its object, and reports whether both succeeded.
func (a *Agent) describeNode(ctx context.Context) bool {
	surveyed := a.survey(ctx)
	return a.writeNode(ctx) && surveyed
}

// writeNode writes the Node object, creates it if it doesn't exist, and reports whether it
// succeeded.
func (a *Agent) writeNode(ctx context.Context) bool {
	err := a.updateNode(ctx)
	if apierrors.IsNotFound(err) && a.Registered || errors.Is(err, errOtherNode) {
		return true // it is being removed
	}
	if apierrors.IsNotFound(err) {
		if _, err = a.nodes.Create(ctx, a.newNode()); err == nil {
			err = a.updateNode(ctx)
		}
	}
	if err != nil && ctx.Err() == nil {
		a.log.Error("node not written, will retry", "error", err)
	}
	return err == nil
}

// misrepresented reports whether the Node object has been deleted, or says that the node's state is
// unknown, as it does once a node has been silent for too long. The next status may be minutes
// away.
func (a *Agent) misrepresented() bool {
	n, err := a.ownNode()
	return apierrors.IsNotFound(err) || err == nil && slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool { return c.Status == corev1.ConditionUnknown })
}

func (a *Agent) updateNode(ctx context.Context) error {
	_, err := a.nodes.Update(ctx, "", a.Name, func(n *corev1.Node) error {
		if err := a.checkNode(n); err != nil {
			return err
		}
		a.label(n)
		return nil
	})
	if err != nil {
		return fmt.Errorf("labelling node %s: %w", a.Name, err)
	}
	var transitions []nodeEvent
	_, err = a.nodes.UpdateStatus(ctx, "", a.Name, func(n *corev1.Node) error {
		if err := a.checkNode(n); err != nil {
			return err
		}
		transitions = nil
		status := a.nodeStatus(n, &transitions)
		if a.worthWriting(&n.Status, &status) {
			n.Status = status
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("writing the status of node %s: %w", a.Name, err)
	}
	for _, e := range transitions {
		a.emitNode(e.reason, e.message)
	}
	return nil
}

func (a *Agent) newNode() *corev1.Node {
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: a.Name},
		Spec:       corev1.NodeSpec{Taints: a.Taints},
	}
	a.label(n)
	return n
}

// label sets the node's labels and leaves those that somebody else has set.
func (a *Agent) label(n *corev1.Node) {
	arch := a.goArch()
	labels := map[string]string{
		corev1.LabelHostname:      a.Name,
		corev1.LabelOSStable:      "linux",
		corev1.LabelArchStable:    arch,
		"beta.kubernetes.io/os":   "linux",
		"beta.kubernetes.io/arch": arch,
	}
	if n.Labels == nil {
		n.Labels = map[string]string{}
	}
	for k, v := range a.Labels {
		if _, ok := n.Labels[k]; !ok {
			n.Labels[k] = v
		}
	}
	maps.Copy(n.Labels, labels)
}
