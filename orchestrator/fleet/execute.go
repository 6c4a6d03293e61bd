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

	"skiff/manifests/registry"
)

// halting is when to look again whether a container of a node that failed runs:
// the engine may have been about to start one.
const halting = time.Second

// execute carries a plan out. It decides nothing.
func (f *Fleet) execute(ctx context.Context, name string, n *corev1.Node, p plan) (again time.Duration, err error) {
	for _, s := range p {
		switch s.do {
		case stop:
			f.stop(name)
		case halt:
			again, err = f.halt(ctx, n)
		case scrap:
			err = f.scrap(ctx, name)
		case let:
			f.drop(name)
		case start:
			err = f.start(n)
		}
		if err != nil {
			return 0, fmt.Errorf("node %s: %s: %w", name, s.do, err)
		}
	}
	return again, nil
}

// unitOf returns the node's unit, and makes it if there is none.
func (f *Fleet) unitOf(n *corev1.Node) *unit {
	f.mu.Lock()
	defer f.mu.Unlock()
	u := f.units[n.Name]
	if u == nil {
		u = &unit{uid: n.UID, machine: f.options.Yard.Machine(n)}
		f.units[n.Name] = u
	}
	return u
}

func (f *Fleet) drop(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.units, name)
}

func (f *Fleet) start(n *corev1.Node) error {
	u := f.unitOf(n)
	agent, err := u.machine.Agent(n)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(f.ctx)
	ended := make(chan struct{})
	f.mu.Lock()
	defer f.mu.Unlock()
	u.agent, u.cancel, u.ended, u.settings, u.halted = agent, cancel, ended, settingsOf(n), false
	f.agents.Go(func() error {
		defer close(ended)
		defer cancel()
		return agent.Run(ctx)
	})
	return nil
}

// stop ends the node's agent and waits until it has ended.
func (f *Fleet) stop(name string) {
	u := f.unit(name)
	u.cancel()
	<-u.ended
	f.mu.Lock()
	defer f.mu.Unlock()
	u.agent = nil
}

func (f *Fleet) halt(ctx context.Context, n *corev1.Node) (again time.Duration, err error) {
	u := f.unitOf(n)
	ended, err := u.machine.Halt(ctx)
	if err != nil {
		return 0, err
	}
	if ended > 0 {
		return halting, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	u.halted = true
	return 0, nil
}

// scrap ends the pods that were bound to a node, and removes all it had: nobody is
// left to end them, and unlike upstream's pod garbage collector the fleet need not
// wait to be sure of that. The pods go first, because a daemon that is stopped
// midway is reminded of the node by what the engine still has of it.
func (f *Fleet) scrap(ctx context.Context, name string) error {
	var errs []error
	for _, pod := range f.pods.ByIndex(registry.IndexNode, name) {
		if err := f.end(ctx, pod); err != nil {
			errs = append(errs, fmt.Errorf("ending pod %s/%s: %w", pod.Namespace, pod.Name, err))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	var err error
	if u := f.unit(name); u != nil {
		err = u.machine.Scrap(ctx)
	} else {
		err = f.options.Yard.Scrap(ctx, name)
	}
	if err != nil {
		return err
	}
	f.drop(name)
	return nil
}

// end takes a pod away whose node is gone. Its last status is the one that
// upstream's pod garbage collector gives it.
func (f *Fleet) end(ctx context.Context, seen *corev1.Pod) error {
	_, err := f.pods.UpdateStatus(ctx, seen.Namespace, seen.Name, func(p *corev1.Pod) error {
		if p.UID != seen.UID || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			return nil
		}
		p.Status.Phase = corev1.PodFailed
		p.Status.Conditions = append(others(p.Status.Conditions), corev1.PodCondition{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(f.clock.Now()),
			Reason: "DeletionByPodGC", Message: "PodGC: node no longer exists", ObservedGeneration: p.Generation,
		})
		return nil
	})
	if err == nil {
		options := metav1.NewPreconditionDeleteOptions(string(seen.UID))
		options.GracePeriodSeconds = new(int64)
		err = f.pods.Delete(ctx, seen.Namespace, seen.Name, *options)
	}
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // it is gone, or another has its name
	}
	return err
}

func others(conditions []corev1.PodCondition) []corev1.PodCondition {
	return slices.DeleteFunc(conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.DisruptionTarget })
}
