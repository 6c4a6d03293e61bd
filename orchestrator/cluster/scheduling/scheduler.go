// Package scheduling finds a node for each pod that has none: filters rule nodes
// out, scores choose among the rest, and where no node is left, preemption makes
// room. Filters and scores are lists of functions over a cache of nodes and of
// what their pods use; a further rule is a further function.
//
// One goroutine decides, the most important pod first, on the cache; the node that it
// has chosen it looks up in the store. What it decided counts at once. Others write it
// down, many at a time, because the store commits together what waits together.
package scheduling

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/manifests/registry"
	"skiff/orchestrator/controller"
)

// Component is the source of the scheduler's events.
const Component = "default-scheduler"

// Pods reads and deletes pods and writes their status; a registry.Client is one.
type Pods interface {
	Get(namespace, name string) (*corev1.Pod, error)
	UpdateStatus(ctx context.Context, namespace, name string, change func(*corev1.Pod) error) (*corev1.Pod, error)
	Delete(ctx context.Context, namespace, name string, o metav1.DeleteOptions) error
}

// Nodes reads nodes; a registry.Client is one.
type Nodes interface {
	Get(namespace, name string) (*corev1.Node, error)
}

// Binder assigns a pod to a node; registry.Pods is one.
type Binder interface {
	Assign(ctx context.Context, namespace string, binding *corev1.Binding, o registry.CreateOptions) error
}

// Options are what the scheduler needs.
type Options struct {
	controller.Env

	Pods   Pods
	Nodes  Nodes
	Binder Binder
	// Workers is how many decisions are written at a time, 1 unless set; nodes are
	// chosen for one pod after the other.
	Workers int
}

// Scheduler binds pending pods to nodes.
type Scheduler struct {
	options  Options
	recorder controller.Recorder

	mu    sync.Mutex
	cache *cache
	queue *queue
	turn  int
	// moves are what the pods that wait are to be looked at for after the round.
	moves moves
	round round
}

// New returns a scheduler.
func New(o Options) *Scheduler {
	return &Scheduler{options: o, recorder: o.Recorder(Component), cache: newCache(), queue: newQueue()}
}

// Run schedules until ctx ends. It returns an error only when the store could
// not be followed.
func (s *Scheduler) Run(ctx context.Context) error {
	detach, err := s.follow(ctx)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("scheduler: %w", err)
	}
	defer detach()
	defer s.options.Metrics.Depth("scheduler", s.depth)()
	decisions := make(chan *decision)
	var group errgroup.Group
	for range max(s.options.Workers, 1) {
		group.Go(func() error {
			for d := range decisions {
				s.carryOut(ctx, d)
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(decisions)
		s.decideAll(ctx, decisions)
		return nil
	})
	return group.Wait()
}

func (s *Scheduler) depth() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue.ready.entries)
}

// decideAll decides about one pod after the other until ctx ends.
func (s *Scheduler) decideAll(ctx context.Context, decisions chan<- *decision) {
	alarm := s.options.Clock.NewTimer(longPause)
	defer alarm.Stop()
	for {
		d, idle := s.decideNext()
		switch {
		case d != nil:
			select {
			case decisions <- d:
			case <-ctx.Done():
				return
			}
		case idle != 0:
			alarm.Reset(idle)
			select {
			case <-s.queue.news:
			case <-alarm.C():
			case <-ctx.Done():
				return
			}
		}
	}
}

// forever is a time to wait when there is nothing to wait for.
const forever = 24 * time.Hour

// decideNext decides about the pod whose turn it is. It returns how long there
// will be nothing to do when there is none, and neither when there is nothing to
// be done about it.
func (s *Scheduler) decideNext() (*decision, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.options.Clock.Now()
	if s.lookAround(now) {
		return nil, 0
	}
	e, due := s.queue.next(now)
	if e == nil {
		if due.IsZero() {
			return nil, forever
		}
		return nil, max(due.Sub(now), time.Nanosecond)
	}
	return s.decide(e, now), 0
}
