package fleet

import (
	"context"
	"sync"

	"skiff/orchestrator/node"
	"skiff/probe"
)

// Probes is one pool that asks the containers of all nodes on the engine, and
// tells each node's agent about its own.
type Probes struct {
	pool *probe.Pool
	// owners are the agents by the run of a container that they have asked about.
	owners sync.Map // of probe.Key to *node.Agent
}

// NewProbes makes the pool. Its Report is set here.
func NewProbes(o probe.Options) (*Probes, error) {
	p := &Probes{}
	o.Report = p.report
	var err error
	p.pool, err = probe.New(o)
	return p, err
}

// Run asks until ctx ends.
func (p *Probes) Run(ctx context.Context) error { return p.pool.Run(ctx) }

// Agent makes an agent that has its containers asked here.
func (p *Probes) Agent(o node.Options) *node.Agent {
	mine := &prober{probes: p}
	o.Prober = mine
	mine.agent = node.New(o)
	return mine.agent
}

func (p *Probes) report(r probe.Result) {
	if owner, ok := p.owners.Load(r.Key); ok {
		owner.(*node.Agent).ProbeResult(r)
	}
}

// prober is an agent's part of the pool.
type prober struct {
	probes *Probes
	agent  *node.Agent
}

func (p *prober) Set(c probe.Container) {
	p.probes.owners.Store(c.Key, p.agent)
	p.probes.pool.Set(c)
}

func (p *prober) Remove(key probe.Key) {
	p.probes.pool.Remove(key)
	p.probes.owners.Delete(key)
}

func (p *prober) State(key probe.Key) (probe.State, bool) { return p.probes.pool.State(key) }

// well is the prober of simulated nodes: nobody is there to be asked, and all are
// well.
type well struct{}

func (well) Set(probe.Container) {}
func (well) Remove(probe.Key)    {}
func (well) State(probe.Key) (probe.State, bool) {
	return probe.State{Startup: probe.Success, Liveness: probe.Success, Readiness: probe.Success}, true
}
