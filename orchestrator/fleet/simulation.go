package fleet

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"skiff/docker"
	"skiff/manifests/registry"
	"skiff/orchestrator/node"
	"skiff/orchestrator/node/memory"
	"skiff/orchestrator/node/pod"
)

// simulation is a machine whose engine is in memory and runs nothing.
type simulation struct {
	provider  *provider
	name      string
	addresses *nodeAddresses

	mu       sync.Mutex
	engine   *memory.Runtime
	recalled bool
}

func newSimulation(p *provider, name string) *simulation {
	return &simulation{provider: p, name: name, engine: simulatedEngine(), addresses: newNodeAddresses(p.simulated)}
}

func simulatedEngine() *memory.Runtime {
	return memory.New(memory.Options{AnyImage: true, Lean: true, Prefix: simulatedPods})
}

// simulatedCapacity is that of kwok's nodes.
func simulatedCapacity() corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse("32"),
		corev1.ResourceMemory:           resource.MustParse("256Gi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("1Ti"),
		corev1.ResourcePods:             resource.MustParse("110"),
	}
}

// Agent implements Machine.
func (s *simulation) Agent(n *corev1.Node) (*node.Agent, error) {
	o, err := s.provider.options(n)
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
	o.Capacity, o.Runtime, o.Addresses = size, s.engine, s.addresses
	// Hundreds of nodes would be hundreds of time series.
	o.Metrics = nil
	return node.New(inMemory(o)), nil
}

// inMemory fits an agent's options to a runtime in memory.
func inMemory(o node.Options) node.Options {
	o.Prober = alwaysHealthy{}
	// There is nothing to wait for but the store, so a few workers are enough.
	o.JobLogs = nil
	o.VolumeDir, o.MemoryDir, o.Workers, o.Writers, o.Removals = "", "", 1, 4, 4
	// An engine in memory starts containers without delay and is always available.
	o.Immediate, o.EngineInterval = true, time.Hour
	return o
}

// Simulated makes the agents that have these options run their pods in memory: those of a daemon without
// an engine. If the options name a node, its pods are as they were.
func Simulated(o node.Options) node.Options {
	engine := simulatedEngine()
	if o.Name != "" {
		recall(engine, registry.For[*corev1.Pod](o.Registry).ByIndex(registry.IndexNode, o.Name))
		o.Capacity = simulatedCapacity()
	}
	o.Runtime, o.Addresses = engine, docker.NewAddresses(simulatedPods, simulatedPods.Addr().Next())
	return inMemory(o)
}

// recall restores the containers that an earlier daemon's engine had, by the pods' status. s.mu is
// held.
func (s *simulation) recall() {
	if s.recalled {
		return
	}
	s.recalled = true
	recall(s.engine, s.provider.podsOf(s.name))
}

func recall(engine *memory.Runtime, pods []*corev1.Pod) {
	for _, p := range pods {
		for _, r := range pod.Recall(p) {
			engine.Restore(r.Container, r.Spec)
		}
	}
}

// Kill implements Machine.
func (s *simulation) Kill(ctx context.Context) (killed int, err error) {
	s.mu.Lock()
	s.recall()
	engine := s.engine
	s.mu.Unlock()
	list, err := engine.List(ctx)
	for _, c := range list {
		if c.State != docker.Running {
			continue
		}
		killed++
		if err := engine.Stop(ctx, c.ID, 0, ""); err != nil {
			return killed, fmt.Errorf("killing container %s: %w", c.Name, err)
		}
	}
	return killed, err
}

// Destroy implements Machine.
func (s *simulation) Destroy(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.engine.Wait()
	s.engine = simulatedEngine()
	s.addresses.releaseAll()
	return nil
}
