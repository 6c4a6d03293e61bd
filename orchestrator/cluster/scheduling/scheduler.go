// Package scheduling finds a node for each pod that has none: filters rule nodes
// out, scores choose among the rest. Filters and scores are lists of functions
// over a cache of nodes and of what their pods use; a further rule is a further
// function.
package scheduling

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/clock"

	"skiff/manifests/registry"
	"skiff/orchestrator/controller"
	"skiff/store"
)

// Component is the source of the scheduler's events.
const Component = "default-scheduler"

// maxMessage is how long an event's message may be.
const maxMessage = 1024

// Pods reads pods and writes their status; a registry.Client is one.
type Pods interface {
	Get(namespace, name string) (*corev1.Pod, error)
	UpdateStatus(ctx context.Context, namespace, name string, change func(*corev1.Pod) error) (*corev1.Pod, error)
}

// Binder assigns a pod to a node; registry.Pods is one.
type Binder interface {
	Assign(ctx context.Context, namespace string, binding *corev1.Binding, o registry.CreateOptions) error
}

// Recorder records events; an *events.Recorder is one.
type Recorder interface {
	Event(object runtime.Object, eventType, reason, format string, args ...any)
}

// Options are what the scheduler needs.
type Options struct {
	Pods     Pods
	Binder   Binder
	Recorder Recorder
	Feeds    *controller.Feeds
	// Workers is how many bindings are written at a time; nodes are chosen one
	// pod after the other.
	Workers int
	Clock   clock.WithTicker
	Logger  *slog.Logger
	Metrics *controller.Metrics
}

// Scheduler binds pending pods to nodes.
type Scheduler struct {
	options Options

	mu      sync.Mutex
	cache   *cache
	waiting waiting
	turn    int
	queue   queue // nil until Run follows the first feed
}

// New returns a scheduler.
func New(o Options) *Scheduler {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	return &Scheduler{options: o, cache: newCache(), waiting: waiting{}}
}

// Run schedules until ctx ends.
func (s *Scheduler) Run(ctx context.Context) error {
	loop := controller.Loop[types.NamespacedName]{
		Name: "scheduler", Workers: s.options.Workers, Reconcile: s.reconcile,
		// Nodes first, so that a pod is not tried before there is one.
		Sources: []controller.Source[types.NamespacedName]{
			s.follow("nodes", s.nodeChanged), s.follow("pods", s.podChanged),
		},
		Clock: s.options.Clock, Logger: s.options.Logger, Metrics: s.options.Metrics,
	}
	return loop.Run(ctx)
}

type queue = controller.Queue[types.NamespacedName]

// follow brings a feed's changes to the cache, in order.
func (s *Scheduler) follow(resource string, changed func(store.Event)) controller.Source[types.NamespacedName] {
	return func(ctx context.Context, q queue) (func(), error) {
		return s.options.Feeds.Of(resource).Subscribe(ctx, func(e store.Event) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.queue = q
			changed(e)
		})
	}
}

func (s *Scheduler) nodeChanged(e store.Event) {
	object := e.Object.(*corev1.Node)
	if e.Type == watch.Deleted {
		s.cache.removeNode(object.Name)
		return
	}
	if s.cache.setNode(object) {
		s.wake(nodeChanged)
	}
}

func (s *Scheduler) podChanged(e store.Event) {
	p := e.Object.(*corev1.Pod)
	name := controller.NameOf(p)
	if e.Type != watch.Deleted && occupies(p) {
		if !s.cache.seen(p) {
			s.cache.put(newPod(p), p.Spec.NodeName, false)
		}
		delete(s.waiting, name)
		return
	}
	if s.cache.placed[p.UID] != nil && (e.Type == watch.Deleted || p.Spec.NodeName != "") && s.cache.take(p.UID) {
		s.wake(podLeft)
	}
	before, _ := e.Previous.(*corev1.Pod)
	switch {
	case e.Type == watch.Deleted || !pending(p):
		delete(s.waiting, name)
	case before == nil || !pending(before) || !apiequality.Semantic.DeepEqual(before.Spec, p.Spec):
		s.queue.Add(name)
	}
}

func (s *Scheduler) wake(c change) {
	s.waiting.wake(c, s.options.Clock.Now(), s.queue.AddAfter)
}

// reconcile tries to find a node for one pod.
func (s *Scheduler) reconcile(ctx context.Context, name types.NamespacedName) (time.Duration, error) {
	p, err := s.options.Pods.Get(name.Namespace, name.Name)
	if apierrors.IsNotFound(err) || err == nil && !pending(p) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading pod %s: %w", name, err)
	}
	node, cause := s.assign(newPod(p))
	switch {
	case cause != "":
		return 0, s.reject(ctx, p, cause)
	case node != "":
		return 0, s.bind(ctx, p, node)
	}
	return 0, nil
}

// assign chooses a node and counts the pod as being there, or as waiting. Both
// are one step, so that nothing that would help slips in between. It returns the
// node, or why there is none, or neither for a pod that another has bound
// meanwhile.
func (s *Scheduler) assign(p *pod) (node, cause string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cache.placed[p.UID] != nil {
		return "", ""
	}
	s.turn++
	node, failure := choose(p, s.cache, s.turn)
	if failure != nil {
		s.waiting.failed(controller.NameOf(p), p.UID, failure.room(), s.options.Clock.Now())
		return "", failure.Error()
	}
	s.cache.put(p, node, true)
	return node, ""
}

func (s *Scheduler) bind(ctx context.Context, p *corev1.Pod, node string) error {
	err := s.options.Binder.Assign(ctx, p.Namespace, &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, UID: p.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: node},
	}, registry.CreateOptions{})
	if err != nil {
		s.forget(p)
		if current, gone := s.options.Pods.Get(p.Namespace, p.Name); gone != nil || current.UID != p.UID || !pending(current) {
			return nil // it was deleted or bound meanwhile
		}
		return fmt.Errorf("binding pod %s/%s to node %s: %w", p.Namespace, p.Name, node, err)
	}
	s.options.Recorder.Event(p, corev1.EventTypeNormal, "Scheduled",
		"Successfully assigned %s/%s to %s", p.Namespace, p.Name, node)
	return nil
}

// forget takes back that the pod was counted on a node: others may fit there now.
func (s *Scheduler) forget(p *corev1.Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cache.forget(p.UID) {
		s.wake(podLeft)
	}
}

// reject says why a pod fits nowhere. It is tried again when that may change.
func (s *Scheduler) reject(ctx context.Context, p *corev1.Pod, message string) error {
	short := message
	if len(short) > maxMessage {
		short = short[:maxMessage-4] + " ..."
	}
	s.options.Recorder.Event(p, corev1.EventTypeWarning, "FailedScheduling", "%s", short)
	now := metav1.NewTime(s.options.Clock.Now())
	_, err := s.options.Pods.UpdateStatus(ctx, p.Namespace, p.Name, func(current *corev1.Pod) error {
		if current.UID == p.UID && current.Spec.NodeName == "" {
			setUnscheduled(current, message, now)
		}
		return nil
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("writing why pod %s/%s is not scheduled: %w", p.Namespace, p.Name, err)
	}
	return nil
}

func setUnscheduled(p *corev1.Pod, message string, now metav1.Time) {
	condition := corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
		Message: message, ObservedGeneration: p.Generation, LastTransitionTime: now,
	}
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
