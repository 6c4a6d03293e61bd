// Package fleet runs the virtual nodes: for each Node object with the label skiff/virtual, an agent
// of its own beside that of the machine itself. What is wanted of a node is in its object, so that
// every Kubernetes client can create, fail and remove nodes, and a new daemon finds them all again.
//
// A node whose power is off behaves like one that has failed: its containers are dead and its agent
// is silent. Other controllers react to that.
package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"skiff/manifests/nodefacts"
	"skiff/manifests/registry"
	"skiff/orchestrator/controller"
	"skiff/orchestrator/node"
)

// workers is how many nodes are started, stopped and removed at a time.
const workers = 8

// Options configure a Fleet. Registry, Feeds, Own and Provider are required.
type Options struct {
	Registry *registry.Registry
	Feeds    *controller.Feeds
	// Own is the agent of the machine's own node, which the fleet does not run.
	Own *node.Agent
	// OwnSimulated says that its pods run in memory only.
	OwnSimulated bool
	// Provider provides the machines of the virtual nodes.
	Provider Provider
	// Clock is the real one unless set.
	Clock clock.WithTicker
	// Logger discards unless set.
	Logger *slog.Logger
	// Metrics may be nil.
	Metrics *controller.Metrics
}

// Fleet is the nodes of this daemon.
type Fleet struct {
	options Options
	clock   clock.Clock
	log     *slog.Logger
	nodes   registry.Client[*corev1.Node]
	pods    registry.Client[*corev1.Pod]

	queue  controller.Queue[string] // the loop's
	agents *errgroup.Group
	ctx    context.Context // that of the agents

	mu       sync.Mutex
	virtuals map[string]*virtual
}

// virtual is a virtual node that the fleet has a machine for.
type virtual struct {
	uid      types.UID
	machine  Machine
	settings string
	killed   bool
	// agent is nil while none runs. cancel ends it, and ended is closed when everything that it had
	// under way is over.
	agent  *node.Agent
	cancel context.CancelCauseFunc
	ended  chan struct{}
}

// New returns a fleet that does nothing until it is run.
func New(o Options) *Fleet {
	o.Clock = cmp.Or[clock.WithTicker](o.Clock, clock.RealClock{})
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Fleet{
		options: o, clock: o.Clock, log: o.Logger.With("controller", "fleet"),
		nodes: registry.For[*corev1.Node](o.Registry), pods: registry.For[*corev1.Pod](o.Registry),
		virtuals: map[string]*virtual{},
	}
}

// Run runs the nodes until ctx ends, and returns when all agents have ended. Containers keep
// running.
func (f *Fleet) Run(ctx context.Context) error {
	f.agents, f.ctx = errgroup.WithContext(ctx)
	loop := controller.Loop[string]{
		Name: "fleet", Workers: workers, Reconcile: f.reconcile,
		Sources: []controller.Source[string]{
			controller.Follow(f.options.Feeds.Of("nodes"), f.nodeChanged),
			func(_ context.Context, queue controller.Queue[string]) (func(), error) {
				f.queue = queue
				queue.Add(orphans)
				f.agents.Go(func() error { return f.options.Provider.Watch(f.ctx, f.containerStarted) })
				return func() {}, nil
			},
		},
		Env: controller.Env{Clock: f.options.Clock, Logger: f.options.Logger, Metrics: f.options.Metrics},
	}
	err := loop.Run(f.ctx)
	return errors.Join(err, f.agents.Wait())
}

// orphans is the key under which the fleet looks for what earlier daemons have left of removed
// nodes. It is retried until the engine answers. No node can have this name.
const orphans = "(orphans)"

func (f *Fleet) nodeChanged(now, before *corev1.Node, add func(string)) {
	// Heartbeats in the status do not concern the fleet.
	if now != nil && before != nil && now.UID == before.UID && nodefacts.Off(now) == nodefacts.Off(before) && nodefacts.Virtual(now) == nodefacts.Virtual(before) && settingsOf(now) == settingsOf(before) {
		return
	}
	for _, n := range []*corev1.Node{now, before} {
		if n != nil && nodefacts.Virtual(n) {
			add(n.Name)
			return
		}
	}
}

// containerStarted requeues a node without a running agent when one of its containers starts: the
// engine was still starting it when the agent ended or its daemon died, or somebody starts it by
// hand.
func (f *Fleet) containerStarted(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if name == "" {
		f.queue.Add(orphans)
		for name, v := range f.virtuals {
			f.requeueStopped(name, v)
		}
	} else if name != f.options.Own.Name {
		f.requeueStopped(name, f.virtuals[name])
	}
}

// requeueStopped requeues a node unless an agent runs there. f.mu is held.
func (f *Fleet) requeueStopped(name string, v *virtual) {
	if v != nil && v.agent != nil {
		return
	}
	if v != nil {
		v.killed = false
	}
	f.queue.Add(name)
}

// Agent returns the agent that runs a node's pods now, nil if none does.
func (f *Fleet) Agent(name string) *node.Agent {
	if name == f.options.Own.Name {
		return f.options.Own
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if v := f.virtuals[name]; v != nil {
		return v.agent
	}
	return nil
}

// Simulates reports whether a node's pods run in memory only.
func (f *Fleet) Simulates(name string) bool {
	if name == f.options.Own.Name {
		return f.options.OwnSimulated
	}
	n, err := f.nodes.Get("", name)
	return err == nil && nodefacts.Virtual(n) && nodefacts.Simulated(n)
}

func (f *Fleet) virtual(name string) *virtual {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.virtuals[name]
}

// reconcile observes one node, makes a plan and carries it out.
func (f *Fleet) reconcile(ctx context.Context, name string) (time.Duration, error) {
	if name == orphans {
		return 0, f.queueOrphans(ctx)
	}
	if name == f.options.Own.Name {
		return 0, nil // whatever its labels say
	}
	n, err := f.nodes.Get("", name)
	if err != nil && !apierrors.IsNotFound(err) {
		return 0, fmt.Errorf("reading node %s: %w", name, err)
	}
	s := snapshot{exists: err == nil}
	if s.exists && nodefacts.Virtual(n) {
		s.node = n
	}
	if v := f.virtual(name); v != nil {
		s.uid, s.running, s.settings, s.killed = v.uid, v.agent != nil, v.settings, v.killed
	}
	p := makePlan(s)
	if len(p) > 0 {
		f.log.Info("node", "node", name, "plan", strings.ReplaceAll(p.String(), "\n", "; "))
	}
	return f.execute(ctx, name, n, p)
}

// queueOrphans queues the nodes of which something is left although they have no object.
func (f *Fleet) queueOrphans(ctx context.Context) error {
	names, err := f.options.Provider.Orphans(ctx, func(name string) bool {
		_, err := f.nodes.Get("", name)
		return err == nil || name == f.options.Own.Name
	})
	if err != nil {
		return fmt.Errorf("looking for what removed nodes have left: %w", err)
	}
	for _, name := range names {
		f.queue.Add(name)
	}
	return nil
}
