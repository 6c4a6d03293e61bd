// Package nodelife watches whether nodes are alive. A node that has been silent
// for too long is marked as unknown and its pods as not ready; taints keep new
// pods off nodes that are not ready or cordoned, and drive away those that do
// not tolerate it (package tainteviction does that).
//
// The rules are those of upstream's node lifecycle controller. What that does
// every five seconds is done here when it is due: a node is marked the moment
// its grace period is over.
package nodelife

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"skiff/manifests/registry"
	"skiff/orchestrator/controller"
)

// Component is the source of the controller's events.
const Component = "node-controller"

// Upstream's defaults (k8s.io/kubernetes pkg/controller/nodelifecycle/config).
const (
	// DefaultGracePeriod is how long a node may be silent.
	DefaultGracePeriod = 50 * time.Second
	// DefaultStartupGracePeriod is how long a node may take to say something at all.
	DefaultStartupGracePeriod = 60 * time.Second
	// DefaultEvictionRate is how many nodes a second may begin to lose their pods in
	// a zone.
	DefaultEvictionRate = 0.1
)

// Options are what the controller needs.
type Options struct {
	controller.Env

	// GracePeriod is upstream's unless set. StartupGracePeriod is no longer than it needs to be for
	// a shorter one, as in a test: in proportion to upstream's.
	GracePeriod, StartupGracePeriod time.Duration
	// EvictionRate is upstream's if nil; of 0, no node's pods are evicted.
	EvictionRate *float64
}

// Controller looks after the health of nodes.
type Controller struct {
	options  Options
	clock    clock.Clock
	log      *slog.Logger
	recorder controller.Recorder
	nodes    registry.Client[*corev1.Node]
	pods     registry.Client[*corev1.Pod]
	leases   registry.Client[*coordinationv1.Lease]

	pulses *pulses
	// What earlier looks have done; the loop's one worker alone uses it. evicted is
	// when a node of a zone last began to lose its pods, marked are the nodes whose
	// pods were marked as not ready, down reports whether no node was ready.
	evicted map[string]time.Time
	marked  map[types.UID]bool
	down    bool
}

// New returns the controller.
func New(o Options) *Controller {
	o.GracePeriod = cmp.Or(o.GracePeriod, DefaultGracePeriod)
	o.StartupGracePeriod = cmp.Or(o.StartupGracePeriod, min(DefaultStartupGracePeriod, o.GracePeriod*6/5))
	o.EvictionRate = cmp.Or(o.EvictionRate, ptr.To(DefaultEvictionRate))
	return &Controller{
		options: o, clock: o.Clock, log: o.Logger.With("controller", "nodelife"), recorder: o.Recorder(Component),
		nodes: registry.For[*corev1.Node](o.Registry), pods: registry.For[*corev1.Pod](o.Registry),
		leases: registry.For[*coordinationv1.Lease](o.Registry),
		pulses: newPulses(), evicted: map[string]time.Time{},
	}
}

// all is the one key of the loop: what becomes of a node depends on how the others
// are.
type all struct{}

func (all) String() string { return "all nodes" }

// Run watches nodes until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	loop := controller.Loop[all]{
		Name: "nodelife", Reconcile: c.reconcile,
		Sources: []controller.Source[all]{
			controller.Follow(c.options.Feeds.Of("leases.coordination.k8s.io"), c.leaseChanged),
			controller.Follow(c.options.Feeds.Of("nodes"), c.nodeChanged),
		},
		Env: c.options.Env,
	}
	return loop.Run(ctx)
}

// leaseChanged takes in a heartbeat. It changes nothing that needs a look: a node
// comes back with its status.
func (c *Controller) leaseChanged(now, _ *coordinationv1.Lease, _ func(all)) {
	if now != nil && now.Namespace == corev1.NamespaceNodeLease {
		c.pulses.lease(now, c.clock.Now())
	}
}

func (c *Controller) nodeChanged(now, before *corev1.Node, add func(all)) {
	switch {
	case now != nil:
		if c.pulses.node(now, c.clock.Now()) {
			c.tell(now, "RegisteredNode", "Registered Node "+now.Name+" in Controller")
		}
	case before != nil:
		c.pulses.forget(before.Name)
		c.tell(before, "RemovingNode", "Removing Node "+before.Name+" from Controller")
	}
	add(all{})
}

func (c *Controller) tell(n *corev1.Node, reason, message string) {
	c.recorder.Event(n, corev1.EventTypeNormal, reason, "Node %s event: %s", n.Name, message)
}

// reconcile looks at all nodes.
func (c *Controller) reconcile(ctx context.Context, _ all) (time.Duration, error) {
	nodes, p, err := c.hear(ctx)
	made, failed := c.execute(ctx, p)
	p.taints = made
	if err := errors.Join(err, failed); err != nil {
		p.unready = nil // some of their pods may not be marked yet
		c.remember(nodes, p)
		return 0, err
	}
	c.remember(nodes, p)
	if c.down && !p.down {
		// Whatever kept all of them from being heard is over: each gets its time.
		c.pulses.forgive(c.clock.Now())
		p.wake = min(cmp.Or(p.wake, c.options.GracePeriod), c.options.GracePeriod)
	}
	c.down = p.down
	return p.wake, nil
}

// hear marks the silent nodes and returns the plan of what else is to be done. A
// plan by which a node is silent that has spoken meanwhile is given up for another:
// what becomes of the others depends on that node too.
func (c *Controller) hear(ctx context.Context) ([]*corev1.Node, plan, error) {
	spoke := map[string]time.Time{}
	for {
		nodes := c.nodes.List("", nil)
		heard := c.pulses.all(nodes, c.clock.Now())
		maps.Copy(heard, spoke)
		p := makePlan(snapshot{
			nodes: nodes, heard: heard, grace: c.options.GracePeriod, startup: c.options.StartupGracePeriod,
			rate: *c.options.EvictionRate, evicted: c.evicted, marked: c.marked, now: c.clock.Now(),
		})
		for _, s := range p.silent {
			c.log.Info("node is silent", "node", s.node.Name, "cause", s.cause)
		}
		names, err := c.markSilent(ctx, p.silent)
		if len(names) == 0 {
			return nodes, p, err
		}
		for _, name := range names {
			spoke[name] = c.clock.Now()
		}
	}
}

// remember notes what has been done.
func (c *Controller) remember(nodes []*corev1.Node, p plan) {
	for _, t := range p.taints {
		if t.evict {
			c.evicted[zoneOf(t.node)] = c.clock.Now()
		}
	}
	marked := map[types.UID]bool{}
	for _, n := range p.unready {
		marked[n.UID] = true
	}
	for _, n := range nodes {
		ready := condition(&n.Status, corev1.NodeReady)
		if c.marked[n.UID] && ready != nil && ready.Status == corev1.ConditionUnknown {
			marked[n.UID] = true
		}
	}
	c.marked = marked
}
