package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/manifests/nodefacts"
	"skiff/manifests/podfacts"
	"skiff/manifests/registry"
	"skiff/orchestrator/node"
)

// killAgain is when to look again for running containers of a node that failed: the engine may have
// been about to start one.
const killAgain = time.Second

// execute carries out a plan; it decides nothing.
func (f *Fleet) execute(ctx context.Context, name string, n *corev1.Node, p plan) (again time.Duration, err error) {
	for _, s := range p {
		switch s.do {
		case stop:
			f.stop(name)
		case kill:
			if again, err = f.kill(ctx, n); err == nil {
				err = f.notePower(ctx, n, "off")
			}
		case destroy:
			err = f.destroy(ctx, name)
		case release:
			f.awaitAgent(f.virtual(name))
			f.drop(name)
		case start:
			if err = f.notePower(ctx, n, ""); err == nil {
				err = f.start(n)
			}
		}
		if err != nil {
			return 0, fmt.Errorf("node %s: %s: %w", name, s.do, err)
		}
	}
	return again, nil
}

// ensure returns the virtual node of a Node object, which it makes if there is none.
func (f *Fleet) ensure(n *corev1.Node) *virtual {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.virtuals[n.Name]
	if v == nil {
		v = &virtual{uid: n.UID, machine: f.options.Provider.Machine(n)}
		f.virtuals[n.Name] = v
	}
	return v
}

func (f *Fleet) drop(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.virtuals, name)
}

func (f *Fleet) start(n *corev1.Node) error {
	v := f.ensure(n)
	f.awaitAgent(v)
	agent, err := v.machine.Agent(n)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(f.ctx)
	ended := make(chan struct{})
	f.mu.Lock()
	defer f.mu.Unlock()
	v.agent, v.cancel, v.ended, v.settings, v.killed = agent, cancel, ended, settingsOf(n), false
	f.agents.Go(func() error {
		defer close(ended)
		defer cancel(nil)
		return agent.Run(ctx)
	})
	return nil
}

// stop tells the node's agent to end. What the agent has under way may take a moment longer, see
// awaitAgent.
func (f *Fleet) stop(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.virtuals[name]
	v.cancel(node.ErrFailed)
	v.agent = nil
}

// awaitAgent returns when the agent that was told to end has ended, if there was one. The engine may
// take long to answer a start that was under way.
func (f *Fleet) awaitAgent(v *virtual) {
	f.mu.Lock()
	ended := v.ended
	f.mu.Unlock()
	if ended == nil {
		return
	}
	<-ended
	f.mu.Lock()
	defer f.mu.Unlock()
	v.ended = nil
}

// kill kills the node's containers: at once those that run, and then those that its agent was still
// starting, until none runs. again is when to look for others, zero if there were none.
func (f *Fleet) kill(ctx context.Context, n *corev1.Node) (again time.Duration, err error) {
	v := f.ensure(n)
	f.mu.Lock()
	v.killed = true // until another container starts
	f.mu.Unlock()
	killed, err := v.machine.Kill(ctx)
	f.awaitAgent(v)
	for more := true; err == nil && more; {
		var late int
		late, err = v.machine.Kill(ctx)
		killed, more = killed+late, late > 0
	}
	if err != nil || killed > 0 {
		f.mu.Lock()
		defer f.mu.Unlock()
		v.killed = false
		return killAgain, err
	}
	return 0, nil
}

// notePower notes on a Node object what its power is observed to be, unless that is no longer wanted.
func (f *Fleet) notePower(ctx context.Context, seen *corev1.Node, power string) error {
	if seen.Annotations[nodefacts.AnnotationPowerObserved] == power {
		return nil
	}
	_, err := f.nodes.Update(ctx, "", seen.Name, func(n *corev1.Node) error {
		if n.UID != seen.UID || nodefacts.Off(n) != nodefacts.Off(seen) {
			return errKept // the node is looked at again
		}
		if power == "" {
			delete(n.Annotations, nodefacts.AnnotationPowerObserved)
			return nil
		}
		n.Annotations[nodefacts.AnnotationPowerObserved] = power
		return nil
	})
	if apierrors.IsNotFound(err) || errors.Is(err, errKept) {
		return nil
	}
	return err
}

// destroy ends the pods that were bound to a node and removes everything the node had. Nobody else
// can end them, and unlike upstream's pod garbage collector the fleet need not wait to be sure of
// that. The pods go first: if the daemon stops in between, the next one finds the node again by
// what is left of it on the engine.
func (f *Fleet) destroy(ctx context.Context, name string) error {
	var errs []error
	for _, pod := range f.pods.ByIndex(registry.IndexNode, name) {
		if err := f.endPod(ctx, pod); err != nil {
			errs = append(errs, fmt.Errorf("ending pod %s/%s: %w", pod.Namespace, pod.Name, err))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	var err error
	if v := f.virtual(name); v != nil {
		f.awaitAgent(v)
		err = v.machine.Destroy(ctx)
	} else {
		err = f.options.Provider.Destroy(ctx, name)
	}
	if err != nil {
		return err
	}
	f.drop(name)
	return nil
}

// errKept says that an object is to stay as it is, for it is no longer what the decision rested on.
var errKept = errors.New("the object has changed")

// endPod deletes a pod whose node is gone. Its last status is the one that upstream's pod garbage
// collector writes. Whether its node is gone is decided within the write, and the deletion is of
// the version that was written.
func (f *Fleet) endPod(ctx context.Context, seen *corev1.Pod) error {
	ended, err := f.pods.UpdateStatus(ctx, seen.Namespace, seen.Name, func(p *corev1.Pod) error {
		if p.UID != seen.UID || !f.lostNode(p) {
			return errKept
		}
		if podfacts.Terminal(p) {
			return nil
		}
		p.Status.Phase = corev1.PodFailed
		p.Status.Conditions = append(withoutDisruption(p.Status.Conditions), corev1.PodCondition{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(f.clock.Now()),
			Reason: "DeletionByPodGC", Message: "PodGC: node no longer exists", ObservedGeneration: p.Generation,
		})
		return nil
	})
	if err == nil {
		err = f.pods.Delete(ctx, seen.Namespace, seen.Name, metav1.DeleteOptions{
			GracePeriodSeconds: new(int64),
			Preconditions:      &metav1.Preconditions{UID: &seen.UID, ResourceVersion: &ended.ResourceVersion},
		})
	}
	if apierrors.IsNotFound(err) || errors.Is(err, errKept) {
		return nil
	}
	return err // a conflict is retried with the rest
}

// lostNode reports whether the node that a pod was bound to is gone. A node of that name which is
// younger than the binding is not the one.
func (f *Fleet) lostNode(p *corev1.Pod) bool {
	n, err := f.nodes.Get("", p.Spec.NodeName)
	if err != nil {
		return apierrors.IsNotFound(err)
	}
	bound := p.CreationTimestamp
	if c := podfacts.Condition(p, corev1.PodScheduled); c != nil && c.Status == corev1.ConditionTrue {
		bound = c.LastTransitionTime
	}
	return bound.Before(&n.CreationTimestamp)
}

func withoutDisruption(conditions []corev1.PodCondition) []corev1.PodCondition {
	return slices.DeleteFunc(conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.DisruptionTarget })
}
