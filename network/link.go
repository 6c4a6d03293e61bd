// Package network is the daemon's end of the pods' network: it keeps the router there, connected and
// told of the desired state, and reaches into the network through it. It knows nothing of
// Kubernetes' types and nothing of what is stored.
package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/utils/clock"

	"skiff/docker"
	"skiff/network/program"
	"skiff/network/protocol"
	"skiff/network/tunnel"
)

// Engine is what the link needs of the Docker Engine. *docker.Engine implements most of it.
type Engine interface {
	// EnsureNetwork makes the network unless it exists.
	EnsureNetwork(ctx context.Context) (docker.Layout, error)
	// Arch is that of the engine's machine, GOARCH's name.
	Arch(ctx context.Context) (string, error)
	EnsureRouter(ctx context.Context, spec docker.RouterSpec) (id string, err error)
	Connect(ctx context.Context, id string, cmd ...string) (io.ReadWriteCloser, error)
	// NodeAddress is a node's address in the network.
	NodeAddress(name string) netip.Addr
	// Elsewhere are addresses in the network that pods have which are not in the part for pods.
	Elsewhere() []netip.Addr
}

// Options are what a Link needs. Engine, Program and Domain are required.
type Options struct {
	Engine Engine
	// Program finds the router's executable for a GOARCH: what tells it from others, and what gives it.
	Program func(arch string) (digest string, unpack func() ([]byte, error), err error)
	// Domain is the cluster's: "cluster.local".
	Domain string
	// Env is given to the router, NAME=value pairs.
	Env []string
	// Changed is called, if set, when the layout of the network is known and whenever it has become
	// another, before the router is told of it. Its error is retried.
	Changed func(context.Context, docker.Layout) error
	// Told is called, if set, after each connection and each loss of one.
	Told func(context.Context, Status)
	// Problem is called, if set, when the router has said that a service is not in force, and why.
	Problem func(ctx context.Context, service protocol.Key, why string)
	// ByRouter says that the daemon is to reach pods by way of the router even where there is a
	// direct way.
	ByRouter bool
	// Clock is the real one unless set, Logger discards unless set.
	Clock  clock.WithTicker
	Logger *slog.Logger
}

// Link is the daemon's connection to its router. Make one with New; it works while Run runs.
type Link struct {
	options Options
	clock   clock.WithTicker
	log     *slog.Logger
	desired desired
	calls   calls

	mu     sync.Mutex
	status Status
	// here says that the network's bridge is on this machine.
	here bool
	// sessions are those to the router, first for what is waited for, second for bulk; nil while
	// there are none. changed is closed when they change.
	control, bulk *tunnel.Session
	changed       chan struct{}
	// connected is when the router was told everything last.
	connected time.Time
}

// Status is how the link is.
type Status struct {
	Layout docker.Layout
	// Connected says that the router is there and has been told everything.
	Connected bool
	// Why is why it is not connected, empty if it is, or if it has not been tried yet.
	Why string
	// Direct says that the daemon reaches pods without the router.
	Direct bool
	Router protocol.Stats
	// Problems are services that are not in force, by "namespace/name".
	Problems map[string]string
}

// New returns a link that does nothing until it is run.
func New(o Options) *Link {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Link{options: o, clock: o.Clock, log: o.Logger.With("component", "network"), changed: make(chan struct{})}
	l.desired.init()
	l.calls.init()
	return l
}

// Status returns how the link is now.
func (l *Link) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

// How long to wait before the router is tried again.
const (
	minRetry = 100 * time.Millisecond
	maxRetry = 5 * time.Second
	// steady is how long a connection has lasted that was a good one: after it the router is tried at
	// once again.
	steady = time.Second
)

// Run keeps the router connected until ctx ends. The router serves on when it returns.
func (l *Link) Run(ctx context.Context) error {
	if !l.desired.await(ctx) {
		return nil
	}
	for wait := minRetry; ctx.Err() == nil; {
		err := l.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if l.wasSteady() {
			wait = minRetry
		}
		l.lost(err)
		l.report(ctx)
		if errors.Is(err, program.ErrNotBuilt) {
			<-ctx.Done() // it will not be there until the daemon is another
			return nil
		}
		l.pause(ctx, wait)
		wait = min(2*wait, maxRetry)
	}
	return nil
}

// wasSteady reports whether the connection that has just ended had lasted.
func (l *Link) wasSteady() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status.Connected && l.clock.Since(l.connected) >= steady
}

func (l *Link) report(ctx context.Context) {
	if l.options.Told != nil {
		l.options.Told(ctx, l.Status())
	}
}

func (l *Link) pause(ctx context.Context, d time.Duration) {
	timer := l.clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C():
	}
}

// lost notes that there is no connection any more, and why.
func (l *Link) lost(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.status.Why
	l.status.Connected, l.status.Why = false, err.Error()
	if was != err.Error() {
		l.log.Warn("the router is not connected", "error", err)
	}
}

// session brings the router up, connects with it, and tells it the desired state until the
// connection ends.
func (l *Link) session(ctx context.Context) error {
	config, id, err := l.ensure(ctx)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	group, ctx := errgroup.WithContext(ctx)
	control, err := l.connect(ctx, id)
	if err != nil {
		return err
	}
	bulk, err := l.connect(ctx, id)
	if err != nil {
		return errors.Join(err, control.Close())
	}
	stop := context.AfterFunc(ctx, func() { _, _ = control.Close(), bulk.Close() })
	defer stop()
	group.Go(func() error { return control.Accept(l.serve) })
	group.Go(func() error { return bulk.Accept(func(_ protocol.Greeting, s *tunnel.Stream) { _ = s.Close() }) })
	group.Go(func() error { return l.tell(ctx, control, bulk, config) })
	err = group.Wait()
	l.use(nil, nil)
	return errors.Join(err, control.Close(), bulk.Close())
}

// ensure brings the network and the router up, and returns the router's container.
func (l *Link) ensure(ctx context.Context) (protocol.Config, string, error) {
	layout, err := l.options.Engine.EnsureNetwork(ctx)
	if err != nil {
		return protocol.Config{}, "", err
	}
	if err := l.learn(ctx, layout); err != nil {
		return protocol.Config{}, "", err
	}
	arch, err := l.options.Engine.Arch(ctx)
	if err != nil {
		return protocol.Config{}, "", err
	}
	digest, unpack, err := l.options.Program(arch)
	if err != nil {
		return protocol.Config{}, "", err
	}
	id, err := l.options.Engine.EnsureRouter(ctx, docker.RouterSpec{Digest: digest, Program: unpack, Env: l.options.Env, Layout: layout})
	if err != nil {
		return protocol.Config{}, "", err
	}
	l.log.Debug("the router runs", "container", id)
	return configOf(layout, l.options.Domain, l.options.Engine.Elsewhere()), id, nil
}

func (l *Link) learn(ctx context.Context, layout docker.Layout) error {
	if l.Status().Layout == layout {
		return nil
	}
	if l.options.Changed != nil {
		if err := l.options.Changed(ctx, layout); err != nil {
			return fmt.Errorf("taking the network's addresses in: %w", err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.Layout, l.here = layout, OwnAddress(layout.Gateway)
	return nil
}

func configOf(l docker.Layout, domain string, elsewhere []netip.Addr) protocol.Config {
	c := protocol.Config{
		Subnet: l.Subnet, Gateway: l.Gateway, Router: l.Router, Pods: l.Pods, Shadows: l.Shadows, Services: l.Services, Nodes: l.Nodes,
		Domain: domain,
	}
	for _, a := range elsewhere {
		if l.Shadows.Contains(a) || l.Services.Contains(a) || l.Nodes.Contains(a) {
			c.Kept = append(c.Kept, a)
		}
	}
	return c
}

// connect opens a session by way of the engine.
func (l *Link) connect(ctx context.Context, id string) (*tunnel.Session, error) {
	conn, err := l.options.Engine.Connect(ctx, id, "/router", "connect")
	if err != nil {
		return nil, err
	}
	s, err := tunnel.Client(conn)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return s, nil
}

// use makes sessions those through which the network is reached.
func (l *Link) use(control, bulk *tunnel.Session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.control, l.bulk = control, bulk
	close(l.changed)
	l.changed = make(chan struct{})
}
