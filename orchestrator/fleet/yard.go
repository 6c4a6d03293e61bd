package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"skiff/docker"
	"skiff/manifests/registry"
	"skiff/orchestrator/node"
	"skiff/orchestrator/node/memory"
)

// YardOptions are what machines are made from.
type YardOptions struct {
	// Node is what all agents have in common with that of the machine's own node:
	// registry, feeds, engine, addresses, clock, periods and so on. Of MemoryDir each has a directory. What is a node's
	// own (its name, directory, recorder, prober) is filled in.
	Node node.Options
	// Dir is where virtual nodes keep their pods' volumes, a directory each.
	Dir string
	// Recorder gives the recorder of a node's agent.
	Recorder func(node string) node.Recorder
	Probes   *Probes
	Logger   *slog.Logger
}

// yard makes machines: on the engine, or in memory.
type yard struct {
	YardOptions
	// simulated gives the addresses of pods that run in memory.
	simulated *docker.Addresses
}

// simulatedPods is where simulated pods have their addresses: the range that is
// kept for benchmarks of networks (RFC 2544), in which nothing real is.
var simulatedPods = netip.MustParsePrefix("198.18.0.0/15")

// NewYard returns the yard of a daemon.
func NewYard(o YardOptions) Yard {
	return &yard{YardOptions: o, simulated: docker.NewAddresses(simulatedPods, simulatedPods.Addr().Next())}
}

func (y *yard) Machine(n *corev1.Node) Machine {
	if Simulated(n) {
		return newSimulation(y, n.Name)
	}
	return &share{yard: y, name: n.Name}
}

// options are those of a node's agent.
func (y *yard) options(n *corev1.Node) (node.Options, error) {
	o := y.Node
	o.Name, o.Registered = n.Name, true
	o.Recorder = y.Recorder(n.Name)
	var err error
	if o.Capacity, err = capacity(n); err != nil {
		o.Recorder.Event(n, corev1.EventTypeWarning, "InvalidCapacity", "%v", err)
	}
	return o, err
}

// checkName refuses what can't be the name of a node: names are read from the
// labels of containers, which anybody may write, and become paths.
func checkName(name string) error {
	if wrong := validation.IsDNS1123Subdomain(name); len(wrong) > 0 {
		return fmt.Errorf("%q is not the name of a node: %s", name, strings.Join(wrong, "; "))
	}
	return nil
}

func (y *yard) dir(name string) string { return filepath.Join(y.Dir, name) }

// memory is where a node's pods have their volumes in memory, none if the daemon has no place for those.
func (y *yard) memory(name string) string {
	if y.Node.MemoryDir == "" {
		return ""
	}
	return filepath.Join(y.Node.MemoryDir, name)
}

func (y *yard) Abandoned(ctx context.Context, known func(string) bool) ([]string, error) {
	list, err := y.Node.Runtime.List(ctx)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(y.Dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var names []string
	seen := map[string]bool{}
	add := func(name string) {
		if name == "" || seen[name] || known(name) {
			return
		}
		seen[name] = true
		if err := checkName(name); err != nil {
			y.Logger.Warn("not what a node has left", "error", err)
			return
		}
		names = append(names, name)
	}
	for _, c := range list {
		add(node.Of(c.Labels))
	}
	for _, e := range entries {
		add(e.Name())
	}
	return names, nil
}

// hands is how many containers are killed or removed at a time.
const hands = 4

// ofNode does something with each of a node's containers.
func (y *yard) ofNode(ctx context.Context, name string, do func(docker.Container) error) error {
	list, err := y.Node.Runtime.List(ctx)
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(hands)
	for _, c := range list {
		if node.Of(c.Labels) == name {
			group.Go(func() error { return do(c) })
		}
	}
	return group.Wait()
}

func (y *yard) Scrap(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return fmt.Errorf("removing what a node has left: %w", err)
	}
	err := y.ofNode(ctx, name, func(c docker.Container) error {
		if err := y.Node.Runtime.Remove(ctx, c.ID); err != nil {
			return fmt.Errorf("removing container %s: %w", c.Name, err)
		}
		y.Node.Addresses.Release(string(node.PodOf(c.Labels)))
		return nil
	})
	if err != nil {
		return err
	}
	if dir := y.memory(name); dir != "" {
		err = os.RemoveAll(dir)
	}
	if err := errors.Join(err, os.RemoveAll(y.dir(name))); err != nil {
		// A daemon that is not root can't remove what a container's root has written.
		y.Logger.Error("volumes of a node are left behind", "node", name, "error", err)
	}
	return nil
}

// share is a machine made of the engine that all nodes of the daemon share.
type share struct {
	yard *yard
	name string
}

func (s *share) Agent(n *corev1.Node) (*node.Agent, error) {
	o, err := s.yard.options(n)
	if err != nil {
		return nil, err
	}
	o.VolumeDir = filepath.Join(s.yard.dir(s.name), "volumes")
	o.MemoryDir = s.yard.memory(s.name)
	return s.yard.Probes.Agent(o), nil
}

func (s *share) Halt(ctx context.Context) (int, error) {
	var ended atomic.Int64
	err := s.yard.ofNode(ctx, s.name, func(c docker.Container) error {
		if c.State != docker.Running {
			return nil
		}
		ended.Add(1)
		if err := s.yard.Node.Runtime.Stop(ctx, c.ID, 0, ""); err != nil && !errors.Is(err, docker.ErrNotFound) {
			return fmt.Errorf("killing container %s: %w", c.Name, err)
		}
		return nil
	})
	if err == nil {
		s.keepAddresses()
	}
	return int(ended.Load()), err
}

// keepAddresses keeps the addresses of the node's pods from being given to others while no agent does: a new daemon knows
// nothing of them.
func (s *share) keepAddresses() {
	for _, pod := range s.yard.podsOf(s.name) {
		if addr, err := netip.ParseAddr(pod.Status.PodIP); err == nil && !pod.Spec.HostNetwork && pod.Status.Phase == corev1.PodRunning {
			// One that somebody else has got already is lost; the pod gets another.
			_ = s.yard.Node.Addresses.Reserve(string(pod.UID), addr)
		}
	}
}

func (y *yard) podsOf(name string) []*corev1.Pod {
	return registry.For[*corev1.Pod](y.Node.Registry).ByIndex(registry.IndexNode, name)
}

func (s *share) Scrap(ctx context.Context) error { return s.yard.Scrap(ctx, s.name) }

// simulation is a machine that runs nothing.
type simulation struct {
	yard *yard
	name string

	keys *lease

	mu       sync.Mutex
	engine   *memory.Runtime
	recalled bool
}

func newSimulation(y *yard, name string) *simulation {
	return &simulation{yard: y, name: name, engine: memory.New(memory.Options{AnyImage: true, Lean: true, Prefix: simulatedPods}), keys: newLease(y.simulated)}
}

// Simulated nodes are as large as kwok's.
func simulatedCapacity() corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse("32"),
		corev1.ResourceMemory:           resource.MustParse("256Gi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("1Ti"),
		corev1.ResourcePods:             resource.MustParse("110"),
	}
}

func (s *simulation) Agent(n *corev1.Node) (*node.Agent, error) {
	o, err := s.yard.options(n)
	if err != nil {
		return nil, err
	}
	size := simulatedCapacity()
	for name, q := range o.Capacity {
		size[name] = q
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recall()
	o.Capacity, o.Runtime, o.Addresses, o.Prober = size, s.engine, s.keys, well{}
	// There is nothing to wait for but the store: few hands do much.
	o.VolumeDir, o.MemoryDir, o.Workers, o.Writers, o.Removals = "", "", 1, 4, 4
	// An engine in memory neither waits nor goes away.
	o.Immediate, o.EngineInterval = true, time.Hour
	// Hundreds of nodes would be hundreds of time series.
	o.Metrics = nil
	return node.New(o), nil
}

// recall brings back what an earlier daemon's engine had: what the pods' status says. s.mu is held.
func (s *simulation) recall() {
	if s.recalled {
		return
	}
	s.recalled = true
	for _, pod := range s.yard.podsOf(s.name) {
		for _, r := range node.Recall(pod) {
			s.engine.Restore(r.Container, r.Spec)
		}
	}
}

func (s *simulation) Halt(ctx context.Context) (ended int, err error) {
	s.mu.Lock()
	s.recall()
	engine := s.engine
	s.mu.Unlock()
	list, err := engine.List(ctx)
	for _, c := range list {
		if c.State != docker.Running {
			continue
		}
		ended++
		if err := engine.Stop(ctx, c.ID, 0, ""); err != nil {
			return ended, fmt.Errorf("ending container %s: %w", c.Name, err)
		}
	}
	return ended, err
}

func (s *simulation) Scrap(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.engine = memory.New(memory.Options{AnyImage: true, Lean: true, Prefix: simulatedPods})
	s.keys.releaseAll()
	return nil
}
