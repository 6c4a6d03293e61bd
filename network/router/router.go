//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"skiff/network/protocol"
	"skiff/network/router/internal/datapath"
	"skiff/network/router/internal/door"
	"skiff/network/router/internal/health"
	"skiff/network/router/internal/link"
	"skiff/network/router/internal/names"
	"skiff/network/router/internal/state"
)

// Data paths, as Stats name them.
const (
	dataPathTables   = "nftables"
	dataPathUserland = "userland"
)

// dataPath sends services' traffic to their endpoints.
type dataPath interface {
	// Apply brings a change of the state in force. Problems are services that are not.
	Apply(*state.State, state.Change) (problems map[protocol.Key]error, err error)
	Run(context.Context) error
	Close() error
}

// router is the container's first process: the desired state as the daemon has told it, and the parts
// that bring it in force.
type router struct {
	file, resolvers string
	// userland says that the kernel's data path is not wanted.
	userland bool
	sessions sessions
	callers  callers
	save     chan struct{}

	// ctx is run's, running counts what it waits for.
	ctx     context.Context
	running sync.WaitGroup

	mu    sync.Mutex // over what follows: one update at a time
	state state.State
	names *names.Index
	// pending is what is not in force yet, problems are services that are not, and why.
	pending  state.Change
	problems map[protocol.Key]error
	// path is nil until there is a configuration, kind and why are as Stats have them.
	path      dataPath
	kind, why string
	at        netip.Addr
	device    *net.Interface
	routes    []link.Route
	checks    *health.Checks
	door      *door.Supervisor
	// answerNames begins to answer DNS, when it is called for the first time.
	answerNames func()
}

func newRouter(file, resolvers string, userland bool) *router {
	return &router{
		file: file, resolvers: resolvers, userland: userland,
		sessions: sessions{changed: make(chan struct{})}, save: make(chan struct{}, 1), names: names.NewIndex(),
		problems: map[protocol.Key]error{},
	}
}

// run serves sessions at l until ctx ends, and returns when all that it has started has ended.
func (r *router) run(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	r.ctx = ctx
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	defer r.running.Wait()
	defer cancel()
	r.restore()
	r.running.Go(func() { r.keepFile(ctx) })
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			return r.close()
		}
		if err != nil {
			return fmt.Errorf("take sessions: %w", errors.Join(err, r.close()))
		}
		r.running.Go(func() { r.serveSession(ctx, c) })
	}
}

// close ends the data path and the health checks, without waiting for the rest.
func (r *router) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	if r.path != nil {
		errs = append(errs, r.path.Close())
	}
	if r.checks != nil {
		errs = append(errs, r.checks.Close())
	}
	return errors.Join(errs...)
}

// restore brings in force what a former router knew, so that one that the engine has restarted needs no
// daemon.
func (r *router) restore() {
	u, err := state.Read(r.file)
	if err != nil {
		slog.Error("begin without a state", "err", err)
		return
	}
	if u == nil {
		return
	}
	begin := time.Now()
	if _, err := r.update([]*protocol.Update{u}); err != nil {
		slog.Error("the former state is not in force", "err", err)
		return
	}
	slog.Info("the former state is in force", "services", len(u.Set), "after", time.Since(begin).Round(time.Millisecond))
}

// update brings updates in force, all at once, and returns an answer to each. The error is of the last
// resort: nothing is in force.
func (r *router) update(updates []*protocol.Update) ([]protocol.Answer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	begin := time.Now()
	answers := make([]protocol.Answer, len(updates))
	var change state.Change
	for i, u := range updates {
		answers[i].Sequence = u.Sequence
		one, err := r.state.Apply(u)
		if err != nil {
			answers[i].Error = err.Error()
			continue
		}
		change = change.Merge(one)
	}
	err := r.force(change)
	for i, u := range updates {
		if answers[i].Error == "" && err != nil {
			answers[i].Error = err.Error()
		}
		answers[i].Problems = r.problemsOf(u)
		answers[i].Stats = r.stats(time.Since(begin))
	}
	if !change.Empty() {
		select {
		case r.save <- struct{}{}:
		default:
		}
	}
	return answers, err
}

// problemsOf are the problems of the services that an update sets; of all services if that is all of
// them.
func (r *router) problemsOf(u *protocol.Update) map[string]string {
	texts := map[string]string{}
	if u.Whole {
		for key, err := range r.problems {
			texts[key.String()] = err.Error()
		}
		return texts
	}
	for i := range u.Set {
		if err := r.problems[u.Set[i].Key]; err != nil {
			texts[u.Set[i].String()] = err.Error()
		}
	}
	return texts
}

// force brings in force what has changed, and what could not be before. Names come after the addresses
// that they stand for.
func (r *router) force(change state.Change) error {
	r.pending = r.pending.Merge(change)
	if r.state.Config == nil || r.pending.Empty() {
		return nil
	}
	if r.path == nil {
		if err := r.open(); err != nil {
			return err
		}
	}
	if r.state.Config.Router != r.at {
		return fmt.Errorf("the router is at %s, not at %s", r.at, r.state.Config.Router)
	}
	if err := r.forceTraffic(); err != nil {
		return err
	}
	r.names.Configure(r.state.Config)
	for _, key := range r.pending.Services {
		if s := r.state.Services[key]; s != nil {
			r.names.Set(s)
		} else {
			r.names.Delete(key)
		}
	}
	r.answerNames()
	if r.pending.Door && r.door != nil {
		r.door.Set(r.state.Door)
	}
	r.pending = state.Change{}
	return nil
}

// forceTraffic brings rules and routes in force. The kernel's rules come before the routes: a packet of
// an established connection that no rule redirects would be answered with a reset. The proxy's listeners
// need the routes.
func (r *router) forceTraffic() error {
	if r.kind == dataPathUserland {
		if err := r.route(); err != nil {
			return err
		}
	}
	looked, err := r.path.Apply(&r.state, r.pending)
	if err != nil {
		return fmt.Errorf("data path: %w", err)
	}
	for _, key := range r.pending.Services {
		delete(r.problems, key)
	}
	maps.Copy(looked, r.pending.Problems)
	for key, err := range looked {
		if delete(r.problems, key); err != nil {
			r.problems[key] = err
			slog.Warn("a service is not in force", "service", key, "err", err)
		}
	}
	if err := r.route(); err != nil {
		return err
	}
	if err := r.checks.Apply(&r.state); err != nil {
		slog.Warn("a health check does not answer", "err", err)
	}
	return nil
}

// route makes the kernel answer for the network's parts that are the router's. Until it does so for the
// first time nothing is forwarded: a packet that came before the rules would go on as it is, to nobody,
// and its sender would hear three seconds later that there is no such host.
func (r *router) route() error {
	c := r.state.Config
	routes := link.Taken([]netip.Prefix{c.Services, c.Shadows, c.Nodes}, c.Kept)
	if slices.Equal(routes, r.routes) {
		return nil
	}
	if r.routes == nil && r.kind == dataPathTables {
		if err := datapath.FlushConnections(); err != nil {
			slog.Warn("connections from before may not be translated", "err", err)
		}
	}
	if r.routes == nil {
		if err := link.Forward(r.device, true); err != nil {
			return err
		}
	}
	if err := link.Replace(r.device, r.routes, routes); err != nil {
		return err
	}
	r.routes = routes
	return nil
}
