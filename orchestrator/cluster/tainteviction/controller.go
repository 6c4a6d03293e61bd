// Package tainteviction drives pods away from nodes that bear a taint of effect
// NoExecute, at once or when the time for which they tolerate it is over.
package tainteviction

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"skiff/manifests/registry"
	"skiff/orchestrator/controller"
)

// Component is the source of the controller's events, and reason that of all of
// them.
const (
	Component = "taint-eviction-controller"
	reason    = "TaintManagerEviction"
)

// Options are what the controller needs.
type Options struct {
	controller.Env

	// Workers is how many pods are looked at a time.
	Workers int
}

// Controller evicts pods.
type Controller struct {
	options  Options
	clock    clock.Clock
	log      *slog.Logger
	recorder controller.Recorder
	nodes    registry.Client[*corev1.Node]
	pods     registry.Client[*corev1.Pod]

	mu sync.Mutex
	// leaving is since when a pod's stay has been limited. As upstream's, a new
	// daemon begins to count anew: its nodes have just been away too.
	leaving map[types.NamespacedName]departure
}

type departure struct {
	uid   types.UID
	since time.Time
}

// New returns the controller.
func New(o Options) *Controller {
	return &Controller{
		options: o, clock: o.Clock, log: o.Logger.With("controller", "tainteviction"), recorder: o.Recorder(Component),
		nodes: registry.For[*corev1.Node](o.Registry), pods: registry.For[*corev1.Pod](o.Registry),
		leaving: map[types.NamespacedName]departure{},
	}
}

// Run evicts until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	loop := controller.Loop[types.NamespacedName]{
		Name: "tainteviction", Workers: c.options.Workers, Reconcile: c.reconcile,
		Sources: []controller.Source[types.NamespacedName]{
			controller.Follow(c.options.Feeds.Of("nodes"), c.nodeChanged),
			controller.Follow(c.options.Feeds.Of("pods"), c.podChanged),
		},
		Env: c.options.Env,
	}
	return loop.Run(ctx)
}

// nodeChanged has all pods of a node looked at whose taints have changed.
func (c *Controller) nodeChanged(now, before *corev1.Node, add func(types.NamespacedName)) {
	if now == nil || before != nil && reflect.DeepEqual(evicting(now), evicting(before)) {
		return
	}
	if len(evicting(now)) == 0 && before == nil {
		return
	}
	for _, p := range c.pods.ByIndex(registry.IndexNode, now.Name) {
		add(controller.NameOf(p))
	}
}

// podChanged has a pod looked at that is new on a tainted node, or whose
// tolerations have changed, or that is gone.
func (c *Controller) podChanged(now, before *corev1.Pod, add func(types.NamespacedName)) {
	if now == nil {
		if c.isLeaving(controller.NameOf(before)) {
			add(controller.NameOf(before))
		}
		return
	}
	if now.Spec.NodeName == "" {
		return
	}
	node, err := c.nodes.Get("", now.Spec.NodeName)
	if err != nil || len(evicting(node)) == 0 {
		return
	}
	if before == nil || before.Spec.NodeName == "" || !reflect.DeepEqual(before.Spec.Tolerations, now.Spec.Tolerations) {
		add(controller.NameOf(now))
	}
}

func (c *Controller) isLeaving(name types.NamespacedName) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.leaving[name]
	return ok
}

// evicting are a node's taints that evict.
func evicting(n *corev1.Node) []corev1.Taint {
	var taints []corev1.Taint
	for _, t := range n.Spec.Taints {
		if t.Effect == corev1.TaintEffectNoExecute {
			taints = append(taints, t)
		}
	}
	return taints
}

// reconcile looks at one pod.
func (c *Controller) reconcile(ctx context.Context, name types.NamespacedName) (time.Duration, error) {
	pod, err := c.pods.Get(name.Namespace, name.Name)
	if apierrors.IsNotFound(err) || err == nil && pod.DeletionTimestamp != nil {
		c.note(name, departure{})
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading pod %s: %w", name, err)
	}
	s := c.observe(pod)
	p := makePlan(s)
	c.note(name, departure{pod.UID, p.since})
	if !s.since.IsZero() && !p.evict && p.wait == 0 {
		c.recorder.Event(pod, corev1.EventTypeNormal, reason, "Cancelling deletion of Pod %s", name)
	}
	if !p.evict {
		return p.wait, nil
	}
	c.log.Info("evicting pod", "pod", name.String(), "cause", p.cause)
	marked := c.recorder.Prepare(pod, corev1.EventTypeNormal, reason, "Marking for deletion Pod %s", name)
	if err := c.evict(ctx, pod); err != nil {
		return 0, fmt.Errorf("evicting pod %s: %w", name, err)
	}
	marked()
	c.note(name, departure{})
	return 0, nil
}

func (c *Controller) observe(pod *corev1.Pod) snapshot {
	s := snapshot{pod: pod, now: c.clock.Now(), since: c.since(controller.NameOf(pod), pod.UID)}
	if node, err := c.nodes.Get("", pod.Spec.NodeName); err == nil {
		s.taints = evicting(node)
	}
	return s
}

// since is when the pod's stay was first seen to be limited.
func (c *Controller) since(name types.NamespacedName, uid types.UID) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := c.leaving[name]; d.uid == uid {
		return d.since
	}
	return time.Time{}
}

func (c *Controller) note(name types.NamespacedName, d departure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.since.IsZero() {
		delete(c.leaving, name)
		return
	}
	c.leaving[name] = d
}

// evict deletes a pod with its own grace period, after noting on it why.
func (c *Controller) evict(ctx context.Context, seen *corev1.Pod) error {
	err := controller.Remove(ctx, c.pods, seen, nil, func(p *corev1.Pod) error {
		if p.DeletionTimestamp != nil || !makePlan(c.observe(p)).evict {
			return controller.ErrOvertaken
		}
		setDisrupted(p, metav1.NewTime(c.clock.Now()))
		return nil
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func setDisrupted(p *corev1.Pod, now metav1.Time) {
	set := corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue,
		Reason: "DeletionByTaintManager", Message: "Taint manager: deleting due to NoExecute taint",
		LastTransitionTime: now, ObservedGeneration: p.Generation,
	}
	for i := range p.Status.Conditions {
		old := &p.Status.Conditions[i]
		if old.Type != set.Type {
			continue
		}
		if old.Status == set.Status {
			set.LastTransitionTime = old.LastTransitionTime
		}
		*old = set
		return
	}
	p.Status.Conditions = append(p.Status.Conditions, set)
}
