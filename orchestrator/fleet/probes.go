package fleet

import (
	"context"
	"sync"

	"skiff/probe"
)

// Probes is one pool that probes the containers of all nodes on the engine. It is the node.Prober
// of their agents.
type Probes struct {
	pool *probe.Pool
	// reports are what to call with results: a func(probe.Result) by probe.Key.
	reports sync.Map
}

// NewProbes makes the pool. It replaces the options' Report.
func NewProbes(o probe.Options) (*Probes, error) {
	p := &Probes{}
	o.Report = p.report
	var err error
	p.pool, err = probe.New(o)
	return p, err
}

// Run probes until ctx ends.
func (p *Probes) Run(ctx context.Context) error { return p.pool.Run(ctx) }

func (p *Probes) report(r probe.Result) {
	if report, ok := p.reports.Load(r.Key); ok {
		report.(func(probe.Result))(r)
	}
}

// Set implements node.Prober.
func (p *Probes) Set(c probe.Container, report func(probe.Result)) {
	p.reports.Store(c.Key, report)
	p.pool.Set(c)
}

// Remove implements node.Prober.
func (p *Probes) Remove(key probe.Key) {
	p.pool.Remove(key)
	p.reports.Delete(key)
}

// State implements node.Prober.
func (p *Probes) State(key probe.Key) (probe.State, bool) { return p.pool.State(key) }

// alwaysHealthy is the prober of simulated nodes: every probe of their containers succeeds.
type alwaysHealthy struct{}

func (alwaysHealthy) Set(probe.Container, func(probe.Result)) {}
func (alwaysHealthy) Remove(probe.Key)                        {}
func (alwaysHealthy) State(probe.Key) (probe.State, bool) {
	return probe.State{Startup: probe.Success, Liveness: probe.Success, Readiness: probe.Success}, true
}
