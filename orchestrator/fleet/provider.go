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
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"skiff/docker"
	"skiff/manifests/nodefacts"
	"skiff/manifests/registry"
	"skiff/orchestrator/node"
	"skiff/orchestrator/node/pod"
)

// ProviderOptions are what machines are made from.
type ProviderOptions struct {
	// Node is what all agents have in common with that of the machine's own node: registry, feeds,
	// engine, addresses, prober, clock, periods and so on. Each node has a directory in its
	// MemoryDir. The node's own name, directory and recorder are filled in.
	Node node.Options
	// Dir has a directory for each virtual node, with its pods' volumes.
	Dir string
	// Recorder returns the recorder of a node's agent.
	Recorder func(node string) node.Recorder
	// HostIP returns what gives a node's InternalIP, for nodes that run containers. If it is nil, all
	// nodes have that of Node.
	HostIP func(node string) func() netip.Addr
	// Logger is told what is left behind.
	Logger *slog.Logger
}

// provider makes machines: on the engine, or in memory.
type provider struct {
	ProviderOptions
	// simulated allocates the addresses of pods that run in memory.
	simulated *docker.Addresses
}

// simulatedPods is the range of simulated pods' addresses. It is reserved for benchmarks of
// networks (RFC 2544), so no real address is in it.
var simulatedPods = netip.MustParsePrefix("198.18.0.0/15")

// NewProvider returns the provider of a daemon's virtual nodes.
func NewProvider(o ProviderOptions) Provider {
	return &provider{ProviderOptions: o, simulated: docker.NewAddresses(simulatedPods, simulatedPods.Addr().Next())}
}

// Machine implements Provider.
func (p *provider) Machine(n *corev1.Node) Machine {
	if nodefacts.Simulated(n) {
		return newSimulation(p, n.Name)
	}
	return &engineMachine{provider: p, name: n.Name}
}

// options are the options of a node's agent.
func (p *provider) options(n *corev1.Node) (node.Options, error) {
	o := p.Node
	o.Name, o.Registered, o.UID = n.Name, true, n.UID
	o.Recorder = p.Recorder(n.Name)
	var err error
	if o.Capacity, err = capacity(n); err != nil {
		o.Recorder.Event(n, corev1.EventTypeWarning, "InvalidCapacity", "%v", err)
	}
	return o, err
}

// checkName refuses what can't be the name of a node. Names are read from the labels of containers,
// which anybody may write, and become paths.
func checkName(name string) error {
	if wrong := validation.IsDNS1123Subdomain(name); len(wrong) > 0 {
		return fmt.Errorf("%q is not the name of a node: %s", name, strings.Join(wrong, "; "))
	}
	return nil
}

func (p *provider) dir(name string) string { return filepath.Join(p.Dir, name) }

// memoryDir is where a node's pods have their volumes in memory, empty if the daemon has no place
// for these.
func (p *provider) memoryDir(name string) string {
	if p.Node.MemoryDir == "" {
		return ""
	}
	return filepath.Join(p.Node.MemoryDir, name)
}

// Orphans implements Provider.
func (p *provider) Orphans(ctx context.Context, known func(string) bool) ([]string, error) {
	list, err := p.Node.Runtime.List(ctx)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(p.Dir)
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
			p.Logger.Warn("ignoring what looks like the rest of a node", "error", err)
			return
		}
		names = append(names, name)
	}
	for _, c := range list {
		add(pod.NodeOf(c.Labels))
	}
	for _, e := range entries {
		add(e.Name())
	}
	return names, nil
}

// Watch implements Provider.
func (p *provider) Watch(ctx context.Context, started func(node string)) error {
	for e := range p.Node.Runtime.Events(ctx) {
		switch name := pod.NodeOf(e.Labels); {
		case e.Action == docker.ActionResync:
			started("")
		case e.Action == docker.ActionStart && name != "" && checkName(name) == nil:
			started(name)
		}
	}
	return nil
}

// parallel is how many containers are killed or removed at a time.
const parallel = 4

// eachContainer calls do for each of a node's containers.
func (p *provider) eachContainer(ctx context.Context, name string, do func(docker.Container) error) error {
	list, err := p.Node.Runtime.List(ctx)
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(parallel)
	for _, c := range list {
		if pod.NodeOf(c.Labels) == name {
			group.Go(func() error { return do(c) })
		}
	}
	return group.Wait()
}

// Destroy implements Provider.
func (p *provider) Destroy(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return fmt.Errorf("removing what a node has left: %w", err)
	}
	err := p.eachContainer(ctx, name, func(c docker.Container) error {
		if c.State == docker.Running { // Remove would kill it too, but not in its turn
			if err := p.Node.Runtime.Stop(ctx, c.ID, 0, ""); err != nil {
				return fmt.Errorf("killing container %s: %w", c.Name, err)
			}
		}
		if err := p.Node.Runtime.Remove(ctx, c.ID); err != nil {
			return fmt.Errorf("removing container %s: %w", c.Name, err)
		}
		p.Node.Addresses.Release(string(pod.UIDOf(c.Labels)))
		return nil
	})
	if err != nil {
		return err
	}
	err = p.removeVolumes(ctx, name)
	if dir := p.memoryDir(name); dir != "" {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	if err := errors.Join(err, os.RemoveAll(p.dir(name))); err != nil {
		// A daemon that is not root can't remove what a container's root has written.
		p.Logger.Error("volumes of a node are left behind", "node", name, "error", err)
	}
	return nil
}

// removeVolumes removes the engine's volumes of a node's pods.
func (p *provider) removeVolumes(ctx context.Context, name string) error {
	list, err := p.Node.Runtime.Volumes(ctx, pod.LabelNode)
	for _, v := range list {
		if pod.NodeOf(v.Labels) == name {
			err = errors.Join(err, p.Node.Runtime.RemoveVolume(ctx, v.Name))
		}
	}
	return err
}

// engineMachine is a machine on the engine that all nodes of the daemon share.
type engineMachine struct {
	provider *provider
	name     string
}

// Agent implements Machine.
func (m *engineMachine) Agent(n *corev1.Node) (*node.Agent, error) {
	o, err := m.provider.options(n)
	if err != nil {
		return nil, err
	}
	o.VolumeDir = filepath.Join(m.provider.dir(m.name), "volumes")
	o.MemoryDir = m.provider.memoryDir(m.name)
	if m.provider.HostIP != nil {
		o.HostIP = m.provider.HostIP(m.name)
	}
	return node.New(o), nil
}

// Kill implements Machine.
func (m *engineMachine) Kill(ctx context.Context) (int, error) {
	var killed atomic.Int64
	err := m.provider.eachContainer(ctx, m.name, func(c docker.Container) error {
		if c.State != docker.Running {
			return nil
		}
		killed.Add(1)
		if err := m.provider.Node.Runtime.Stop(ctx, c.ID, 0, ""); err != nil && !errors.Is(err, docker.ErrNotFound) {
			return fmt.Errorf("killing container %s: %w", c.Name, err)
		}
		return nil
	})
	if err == nil {
		m.keepAddresses()
	}
	return int(killed.Load()), err
}

// keepAddresses reserves the addresses of the node's pods while no agent does. A new daemon does
// not know them.
func (m *engineMachine) keepAddresses() {
	for _, pod := range m.provider.podsOf(m.name) {
		if addr, err := netip.ParseAddr(pod.Status.PodIP); err == nil && !pod.Spec.HostNetwork && pod.Status.Phase == corev1.PodRunning {
			// If somebody else has the address already, the pod gets another.
			_ = m.provider.Node.Addresses.Reserve(string(pod.UID), addr)
		}
	}
}

func (p *provider) podsOf(name string) []*corev1.Pod {
	return registry.For[*corev1.Pod](p.Node.Registry).ByIndex(registry.IndexNode, name)
}

// Destroy implements Machine.
func (m *engineMachine) Destroy(ctx context.Context) error { return m.provider.Destroy(ctx, m.name) }
