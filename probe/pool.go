package probe

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"
)

// Options say how a Pool works. Clock and Report are required.
type Options struct {
	// Clock tells when probes are due. Timeouts of the probes themselves are the network's and so
	// in real time.
	Clock clock.Clock
	// Report is told every result, outside of any lock and in order for each kind of probe of a
	// container. The check it tells of waits for it, so it must not block.
	Report func(Result)
	// Metrics is where the pool's metrics are registered; may be nil.
	Metrics prometheus.Registerer
	// Version is the Kubernetes version probes name as their user agent, "1.37" for instance.
	Version string
	// Dial connects to containers; nil is directly.
	Dial Dial
	// Network bounds HTTP, TCP and gRPC probes. Zero means 64 slots, a patience of 25 ms and at
	// most 4096: some 2,500 probes a second even if all of them hang, and room left under the usual
	// limits of open files.
	Network Limit
	// Exec bounds probes that run a command. Zero means 4 slots, a patience of 1 s and at most 64,
	// so that the engine is not busy with probes alone.
	Exec Limit
}

// limits are the limits of the lanes.
func (o *Options) limits() [laneCount]Limit {
	l := [laneCount]Limit{network: o.Network, execs: o.Exec}
	if l[network] == (Limit{}) {
		l[network] = Limit{Slots: 64, Patience: 25 * time.Millisecond, Max: 4096}
	}
	if l[execs] == (Limit{}) {
		l[execs] = Limit{Slots: 4, Patience: time.Second, Max: 64}
	}
	return l
}

// Pool asks any number of containers. Its methods are safe for concurrent use, also before Run.
type Pool struct {
	clock   clock.Clock
	report  func(Result)
	metrics *metrics

	wake chan struct{} // holds at most one wish that Run looks again

	mu       sync.Mutex
	schedule *schedule
	armed    time.Time // when Run looks again by itself, zero for never
}

// New returns a pool that asks nothing yet. The error is that of registering its metrics.
func New(o Options) (*Pool, error) {
	m, err := newMetrics(o.Metrics)
	if err != nil {
		return nil, fmt.Errorf("registering the metrics of probes: %w", err)
	}
	return &Pool{
		clock:    o.Clock,
		report:   o.Report,
		metrics:  m,
		wake:     make(chan struct{}, 1),
		schedule: newSchedule(o.Clock.Now(), o.limits(), newBuilder(o.Version, o.Dial).build),
	}, nil
}

// Set makes the pool ask a container what c says. For a key it knows, only the set of probes
// counts: kinds that are asked already go on undisturbed, kinds that are gone end. So a container
// under termination, which kubelet asks for its readiness alone, is Set again without Startup and
// Liveness. It costs O(log n).
func (p *Pool) Set(c Container) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.schedule.set(c, p.clock.Now())
	p.rearm()
}

// Remove ends the probes of a container. Those in flight are cancelled and their results dropped; a
// Report that has begun may still be running when Remove returns. An unknown key is no error. It
// costs O(log n).
func (p *Pool) Remove(key Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.schedule.remove(key)
	p.rearm()
}

// State is what has been decided about a container; false if the pool does not know it.
func (p *Pool) State(key Key) (State, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e, ok := p.schedule.entries[key]
	if !ok {
		return State{}, false
	}
	return e.state(), true
}

// Len is the number of containers the pool knows.
func (p *Pool) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.schedule.entries)
}

// rearm makes Run look again if there is something to ask before the time it sleeps until.
func (p *Pool) rearm() {
	if at := p.schedule.wake(p.clock.Now()); !at.IsZero() && (p.armed.IsZero() || at.Before(p.armed)) {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

// Run asks until ctx ends. It then cancels what is in flight, reports none of it and returns nil
// once every goroutine it started has ended. A Pool is run once.
func (p *Pool) Run(ctx context.Context) error {
	var asking sync.WaitGroup
	defer asking.Wait()
	timer := p.clock.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		at := p.askDue(ctx, &asking)
		timer.Stop()
		if !at.IsZero() {
			timer.Reset(at.Sub(p.clock.Now()))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C():
		case <-p.wake:
		}
	}
}

// askDue starts everything that is due and returns when to look again, zero for never.
func (p *Pool) askDue(ctx context.Context, asking *sync.WaitGroup) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock.Now()
	for c := p.schedule.take(now); c != nil; c = p.schedule.take(now) {
		ctx, cancel := context.WithCancel(ctx)
		c.cancel = cancel
		asking.Go(func() {
			defer cancel()
			p.askOne(ctx, c)
		})
	}
	p.armed = p.schedule.wake(now)
	return p.armed
}

// askOne asks one probe, reports its answer and gives it its next turn.
func (p *Pool) askOne(ctx context.Context, c *check) {
	a := askPatiently(ctx, c.ask, c.timeout)
	r, wanted := p.answer(c, a, ctx.Err() != nil)
	if !wanted {
		return
	}
	p.metrics.observe(c, r)
	p.report(r)

	p.mu.Lock()
	defer p.mu.Unlock()
	p.schedule.again(c, p.clock.Now())
	p.rearm()
}

// answer counts an answer, unless the probe was cancelled: then it says nothing.
func (p *Pool) answer(c *check, a answer, cancelled bool) (Result, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.dropped = c.dropped || cancelled
	r, wanted := p.schedule.answer(c, a, p.clock.Now())
	p.rearm()
	return r, wanted
}
