package scheduling

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/manifests/podfacts"
	"skiff/manifests/registry"
	"skiff/orchestrator/controller"
)

// maxMessage is how long an event's message may be.
const maxMessage = 1024

// carryOut writes what was decided. What can not be written is decided anew.
func (s *Scheduler) carryOut(ctx context.Context, d *decision) {
	var err error
	if d.node != "" {
		err = s.bind(ctx, d.pod, d.node)
	} else {
		err = errors.Join(s.reject(ctx, d), s.evict(ctx, d))
	}
	if err != nil && ctx.Err() != nil {
		return // the work was cut off, it did not fail
	}
	s.options.Metrics.Reconciled("scheduler", s.options.Clock.Since(d.since), err)
	s.finish(d, err)
}

func (s *Scheduler) finish(d *decision, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := d.entry
	switch {
	case err != nil:
		if text := err.Error(); text != e.complaint {
			e.complaint = text
			s.options.Logger.Warn("pod not scheduled, will retry", "controller", "scheduler", "key", e.name.String(), "error", err)
		}
		s.queue.retry(e, s.options.Clock.Now())
	case d.node != "" && s.queue.entries[e.name] == e:
		s.queue.drop(e.name)
	default:
		s.queue.done(e)
	}
}

func (s *Scheduler) bind(ctx context.Context, p *corev1.Pod, node string) error {
	scheduled := s.recorder.Prepare(p, corev1.EventTypeNormal, "Scheduled",
		"Successfully assigned %s/%s to %s", p.Namespace, p.Name, node)
	err := s.options.Binder.Assign(ctx, p.Namespace, &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, UID: p.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: node},
	}, registry.CreateOptions{})
	if err != nil {
		s.forget(p)
		if !s.waits(p) {
			return nil // it was deleted or bound meanwhile
		}
		return fmt.Errorf("binding pod %s/%s to node %s: %w", p.Namespace, p.Name, node, err)
	}
	scheduled()
	return nil
}

// forget takes back that the pod was counted on a node: others may fit there now.
func (s *Scheduler) forget(p *corev1.Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.cache.forget(p.UID); n != nil {
		s.moved(n)
	}
}

// reject says why a pod fits nowhere, and on which node it will. Of what has been
// said already there is no second event.
func (s *Scheduler) reject(ctx context.Context, d *decision) error {
	p := d.pod
	if !saysWhy(p, d.message) {
		short := d.message
		if len(short) > maxMessage {
			short = short[:maxMessage-4] + " ..."
		}
		s.recorder.Event(p, corev1.EventTypeWarning, "FailedScheduling", "%s", short)
	}
	now := metav1.NewTime(s.options.Clock.Now())
	return s.updateStatus(ctx, p, "writing why it is not scheduled", func(current *corev1.Pod) {
		if !pending(current) {
			return
		}
		current.Status.NominatedNodeName = d.nominated
		setCondition(current, corev1.PodCondition{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
			Message: d.message, ObservedGeneration: current.Generation, LastTransitionTime: now,
		})
	})
}

// saysWhy reports whether a pod's condition has a message already.
func saysWhy(p *corev1.Pod, message string) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled {
			return c.Reason == corev1.PodReasonUnschedulable && c.Message == message
		}
	}
	return false
}

// evict has the victims leave, and tells those that waited for the same node that
// they no longer do.
func (s *Scheduler) evict(ctx context.Context, d *decision) error {
	var group errgroup.Group
	for _, v := range d.victims {
		if v.DeletionTimestamp == nil {
			group.Go(func() error { return s.preempt(ctx, v, d) })
		}
	}
	for _, p := range d.displaced {
		group.Go(func() error {
			return s.updateStatus(ctx, p, "taking its nomination back", func(current *corev1.Pod) {
				if current.Status.NominatedNodeName == d.nominated {
					current.Status.NominatedNodeName = ""
				}
			})
		})
	}
	return group.Wait()
}

// preempt deletes a pod, gracefully, after noting on it why. Nothing happens if the pod leaves by
// itself, or nobody waits for its place any more.
func (s *Scheduler) preempt(ctx context.Context, v *corev1.Pod, d *decision) error {
	now := metav1.NewTime(s.options.Clock.Now())
	err := controller.Remove(ctx, s.options.Pods, v, nil, func(current *corev1.Pod) error {
		if !podfacts.Active(current) || !s.waits(d.pod) {
			return controller.ErrOvertaken
		}
		setCondition(current, corev1.PodCondition{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: corev1.PodReasonPreemptionByScheduler,
			Message:            d.pod.Spec.SchedulerName + ": preempting to accommodate a higher priority pod",
			ObservedGeneration: current.Generation, LastTransitionTime: now,
		})
		return nil
	})
	switch {
	case apierrors.IsNotFound(err), errors.Is(err, controller.ErrOvertaken):
		return nil
	case err != nil:
		return fmt.Errorf("preempting pod %s/%s: %w", v.Namespace, v.Name, err)
	}
	s.recorder.Event(v, corev1.EventTypeNormal, "Preempted", "Preempted by pod %s on node %s", d.pod.UID, d.nominated)
	return nil
}

// waits reports whether a pod still waits for a node.
func (s *Scheduler) waits(p *corev1.Pod) bool {
	current, err := s.options.Pods.Get(p.Namespace, p.Name)
	return err == nil && current.UID == p.UID && pending(current)
}

// updateStatus changes a pod's status. One that is gone needs none.
func (s *Scheduler) updateStatus(ctx context.Context, p *corev1.Pod, what string, change func(*corev1.Pod)) error {
	_, err := s.options.Pods.UpdateStatus(ctx, p.Namespace, p.Name, func(current *corev1.Pod) error {
		if current.UID == p.UID {
			change(current)
		}
		return nil
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("pod %s/%s: %s: %w", p.Namespace, p.Name, what, err)
	}
	return nil
}

func setCondition(p *corev1.Pod, condition corev1.PodCondition) {
	for i := range p.Status.Conditions {
		if old := &p.Status.Conditions[i]; old.Type == condition.Type {
			if old.Status == condition.Status {
				condition.LastTransitionTime = old.LastTransitionTime
			}
			*old = condition
			return
		}
	}
	p.Status.Conditions = append(p.Status.Conditions, condition)
}
