// Package memory is a container engine that runs nothing: its containers exist in memory only. It
// is for the node agent's tests, and for simulated nodes with thousands of pods on one machine. A
// container costs no goroutine.
//
// A container runs until it is stopped, unless its command or its environment says otherwise: see
// Behaviour. Tests end it with Exit, and have further methods that no real engine has.
package memory

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"skiff/docker"
)

// Options configure a Runtime. Every field may be left out.
type Options struct {
	Clock clock.WithTickerAndDelayedExecution
	// Instance becomes the label skiff/instance of each container.
	Instance string
	// Info is what Runtime.Info returns, a very large machine unless set.
	Info docker.Info
	// AnyImage says that the engine has every image, for simulated nodes.
	AnyImage bool
	// Lean says that containers do not keep their specs, for simulated nodes: Spec fails then.
	Lean bool
	// Prefix is the network's, 10.0.0.0/8 unless set.
	Prefix netip.Prefix
}

// Runtime is the engine. Its methods are safe for concurrent use.
type Runtime struct {
	clock clock.WithTickerAndDelayedExecution
	o     Options

	// goroutines pass on events and end containers.
	goroutines sync.WaitGroup

	mu         sync.Mutex
	outage     error
	created    int
	containers map[string]*container
	names      map[string]*container
	addresses  map[netip.Addr]*container
	volumes    map[string]map[string]string // the labels of each
	images     map[string]docker.Image
	registry   map[string]docker.Image
	behaviours map[string]Behaviour
	faults     map[string]error
	exec       func(c docker.Container, command []string) (int, string)
	streams    []*stream
	calls      map[string]int
}

// container is one container.
type container struct {
	docker.Container
	spec      *docker.ContainerSpec // nil if the engine is lean
	ip        netip.Addr
	behaviour Behaviour
	life      int // counts starts: the end of one life must not end the next
	dead      chan struct{}
	log       []line
	used      int64 // memory in bytes
}

type line struct {
	at   time.Time
	text string
}

// New returns an engine without containers and images.
func New(o Options) *Runtime {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if !o.Prefix.IsValid() {
		o.Prefix = netip.MustParsePrefix("10.0.0.0/8")
	}
	if o.Info.CPUs == 0 {
		o.Info = docker.Info{
			CPUs: 1000, MemoryBytes: 1 << 43, OS: "linux", Arch: "amd64", EngineVersion: "memory",
			KernelVersion: "none", OSImage: "simulated", MachineID: "simulated",
		}
	}
	return &Runtime{
		clock: o.Clock, o: o,
		containers: map[string]*container{},
		names:      map[string]*container{},
		addresses:  map[netip.Addr]*container{},
		volumes:    map[string]map[string]string{},
		images:     map[string]docker.Image{},
		registry:   map[string]docker.Image{},
		behaviours: map[string]Behaviour{},
		faults:     map[string]error{},
		calls:      map[string]int{},
	}
}

// Wait returns when the runtime's goroutines have ended: those of event streams end with their
// contexts.
func (r *Runtime) Wait() { r.goroutines.Wait() }

// enter counts a call and fails it during an outage, or if the test wants it to fail. r.mu is held
// on return if it does not.
func (r *Runtime) enter(ctx context.Context, call string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	r.calls[call]++
	if r.outage != nil {
		defer r.mu.Unlock()
		return fmt.Errorf("%s: %w", call, r.outage)
	}
	if err := r.faults[call]; err != nil {
		defer r.mu.Unlock()
		return fmt.Errorf("%s: %w", call, err)
	}
	return nil
}

// Ping fails during an outage.
func (r *Runtime) Ping(ctx context.Context) error {
	if err := r.enter(ctx, "ping"); err != nil {
		return err
	}
	r.mu.Unlock()
	return nil
}

// Info is the machine of Options.
func (r *Runtime) Info(ctx context.Context) (docker.Info, error) {
	if err := r.enter(ctx, "info"); err != nil {
		return docker.Info{}, err
	}
	defer r.mu.Unlock()
	return r.o.Info, nil
}

// EnsureNetwork returns the network of Options.
func (r *Runtime) EnsureNetwork(ctx context.Context) (docker.Layout, error) {
	if err := r.enter(ctx, "network"); err != nil {
		return docker.Layout{}, err
	}
	defer r.mu.Unlock()
	return docker.Divide(r.o.Prefix)
}

// List returns all containers, without the details that a real engine leaves out.
func (r *Runtime) List(ctx context.Context) ([]docker.Container, error) {
	if err := r.enter(ctx, "list"); err != nil {
		return nil, err
	}
	defer r.mu.Unlock()
	out := make([]docker.Container, 0, len(r.containers))
	for _, c := range r.containers {
		out = append(out, docker.Container{
			ID: c.ID, Name: c.Name, Image: c.Image, ImageID: c.ImageID, Labels: c.Labels,
			State: c.State, ExitCode: c.ExitCode, CreatedAt: c.CreatedAt, IP: c.IP,
		})
	}
	slices.SortFunc(out, func(a, b docker.Container) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return out, nil
}

// Inspect finds a container by ID or name.
func (r *Runtime) Inspect(ctx context.Context, id string) (docker.Container, error) {
	if err := r.enter(ctx, "inspect"); err != nil {
		return docker.Container{}, err
	}
	defer r.mu.Unlock()
	c, err := r.find(id)
	if err != nil {
		return docker.Container{}, err
	}
	return c.Container, nil
}

func (r *Runtime) find(id string) (*container, error) {
	if c, ok := r.containers[id]; ok {
		return c, nil
	}
	if c, ok := r.names[id]; ok {
		return c, nil
	}
	return nil, fmt.Errorf("no such container %q: %w", id, docker.ErrNotFound)
}

// Create creates a container. If one with the name and the same labels exists, it returns that one.
func (r *Runtime) Create(ctx context.Context, spec docker.ContainerSpec) (string, error) {
	now := r.clock.Now()
	if err := r.enter(ctx, "create"); err != nil {
		return "", err
	}
	defer r.mu.Unlock()
	labels := r.labels(spec.Labels)
	if c, ok := r.names[spec.Name]; ok {
		if maps.Equal(c.Labels, labels) {
			return c.ID, nil
		}
		return "", fmt.Errorf("name %q is taken: %w", spec.Name, docker.ErrConflict)
	}
	image, ok := r.image(spec.Image)
	if !ok {
		return "", fmt.Errorf("no such image %q: %w", spec.Image, docker.ErrImageNotFound)
	}
	if join := spec.Network.Join; join != "" {
		if _, err := r.find(join); err != nil {
			return "", err
		}
	}
	r.created++
	c := &container{ip: spec.Network.IP, behaviour: r.behaviour(spec)}
	if !r.o.Lean {
		c.spec = &spec
	}
	c.Container = docker.Container{
		ID: newID(r.created, spec.Name), Name: spec.Name, Image: spec.Image, ImageID: image.ID,
		Labels: labels, State: docker.Created, CreatedAt: now,
	}
	r.containers[c.ID], r.names[c.Name] = c, c
	return c.ID, nil
}

// labels are a container's labels and that of the instance.
func (r *Runtime) labels(own map[string]string) map[string]string {
	if r.o.Lean {
		return own
	}
	labels := maps.Clone(own)
	if labels == nil {
		labels = map[string]string{}
	}
	labels["skiff/instance"] = r.o.Instance
	return labels
}

func newID(n int, name string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", n, name))
	return hex.EncodeToString(sum[:])
}
