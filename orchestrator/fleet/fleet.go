// Package fleet runs the virtual nodes: for each Node object with the label
// skiff/virtual an agent of its own, beside that of the machine itself. What is
// wanted of a node stands in its object, so that every Kubernetes client can make,
// fail and remove nodes, and a new daemon finds them all again.
//
// A node whose power is off behaves as one that has failed: its containers are
// dead and its agent says nothing. What the cluster makes of that is other
// controllers' business.
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

	"skiff/manifests/registry"
	"skiff/orchestrator/controller"
	"skiff/orchestrator/node"
)

// workers is how many nodes are started, stopped and removed at a time.
const workers = 8

// Options are what a fleet needs. Registry, Feeds, Own and Yard are required.
type Options struct {
	Registry *registry.Registry
	Feeds    *controller.Feeds
	// Own is the agent of the machine's own node, which the fleet does not run.
	Own     *node.Agent
	Yard    Yard
	Clock   clock.WithTicker
	Logger  *slog.Logger
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

	mu    sync.Mutex
	units map[string]*unit
}

// unit is a virtual node as the fleet has it.
type unit struct {
	uid      types.UID
	machine  Machine
	settings string
	halted   bool
	// agent is nil while none runs. cancel ends it, and ended is closed when it has.
	agent  *node.Agent
	cancel context.CancelFunc
	ended  chan struct{}
}

// New returns a fleet.
func New(o Options) *Fleet {
	o.Clock = cmp.Or[clock.WithTicker](o.Clock, clock.RealClock{})
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Fleet{
		options: o, clock: o.Clock, log: o.Logger.With("controller", "fleet"),
		nodes: registry.For[*corev1.Node](o.Registry), pods: registry.For[*corev1.Pod](o.Registry),
		units: map[string]*unit{},
	}
}

// Run runs the nodes until ctx ends, and returns when all agents have ended.
// Containers go on running.
func (f *Fleet) Run(ctx context.Context) error {
	f.agents, f.ctx = errgroup.WithContext(ctx)
	loop := controller.Loop[string]{
		Name: "fleet", Workers: workers, Reconcile: f.reconcile,
		Sources: []controller.Source[string]{
			controller.Follow(f.options.Feeds.Of("nodes"), f.nodeChanged),
			func(_ context.Context, queue controller.Queue[string]) (func(), error) {
				f.queue = queue
				queue.Add(abandoned)
				return func() {}, nil
			},
		},
		Clock: f.options.Clock, Logger: f.options.Logger, Metrics: f.options.Metrics,
	}
	err := loop.Run(f.ctx)
	return errors.Join(err, f.agents.Wait())
}

// abandoned is the key under which what earlier daemons have left is looked for,
// once, and again until the engine has answered. No node can bear it.
const abandoned = "(abandoned)"

func (f *Fleet) nodeChanged(now, before *corev1.Node, add func(string)) {
	// A heartbeat in a status is nothing to look at.
	if now != nil && before != nil && now.UID == before.UID && off(now) == off(before) && Virtual(now) == Virtual(before) && settingsOf(now) == settingsOf(before) {
		return
	}
	for _, n := range []*corev1.Node{now, before} {
		if n != nil && Virtual(n) {
			add(n.Name)
			return
		}
	}
}

// Agent returns the agent that runs a node's pods now, nil if none does.
func (f *Fleet) Agent(name string) *node.Agent {
	if name == f.options.Own.Name {
		return f.options.Own
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if u := f.units[name]; u != nil {
		return u.agent
	}
	return nil
}

// Simulates tells whether a node's pods run in memory only.
func (f *Fleet) Simulates(name string) bool {
	n, err := f.nodes.Get("", name)
	return err == nil && Virtual(n) && Simulated(n)
}

func (f *Fleet) unit(name string) *unit {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.units[name]
}

// reconcile looks at one node.
func (f *Fleet) reconcile(ctx context.Context, name string) (time.Duration, error) {
	if name == abandoned {
		return 0, f.collect(ctx)
	}
	if name == f.options.Own.Name {
		return 0, nil // whatever its labels say
	}
	n, err := f.nodes.Get("", name)
	if err != nil && !apierrors.IsNotFound(err) {
		return 0, fmt.Errorf("reading node %s: %w", name, err)
	}
	s := snapshot{exists: err == nil}
	if s.exists && Virtual(n) {
		s.node = n
	}
	if u := f.unit(name); u != nil {
		s.uid, s.running, s.settings, s.halted = u.uid, u.agent != nil, u.settings, u.halted
	}
	p := makePlan(s)
	if len(p) > 0 {
		f.log.Info("node", "node", name, "plan", strings.ReplaceAll(p.String(), "\n", "; "))
	}
	return f.execute(ctx, name, n, p)
}

// collect has the nodes looked at of which something is left without an object.
func (f *Fleet) collect(ctx context.Context) error {
	names, err := f.options.Yard.Abandoned(ctx, func(name string) bool {
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
