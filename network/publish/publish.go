// Package publish opens ports of this machine that lead into the pods' network.
package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"

	"skiff/network/protocol"
)

// Port is a port of this machine and where it leads.
type Port struct {
	// Protocol is protocol.TCP or protocol.UDP.
	Protocol string
	At       netip.AddrPort
	// To is in the pods' network.
	To netip.AddrPort
	// Proxy says that each connection, of TCP, begins with a line that says who calls (the PROXY
	// protocol, version 1: https://www.haproxy.org/download/1.8/doc/proxy-protocol.txt).
	Proxy bool
}

// String is "tcp 127.0.0.1:80".
func (p Port) String() string { return p.Protocol + " " + p.At.String() }

// Result is what became of a port.
type Result struct {
	Port
	// Err is nil while the port is open. ErrTaken and ErrPrivileged are told apart.
	Err error
}

var (
	// ErrTaken says that somebody else has the port.
	ErrTaken = errors.New("port is taken")
	// ErrPrivileged says that this process may not open the port.
	ErrPrivileged = errors.New("not permitted")
)

// Dial connects into the pods' network.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Helper opens ports that this process may not open, by other means.
type Helper interface {
	// Open opens a port, or leads an open one elsewhere.
	Open(ctx context.Context, p Port) error
	// Close closes a port that Open has opened.
	Close(ctx context.Context, p Port) error
	// CloseAll closes all of them, a former publisher's too.
	CloseAll(ctx context.Context) error
}

// Options are what a Publisher needs. Dial is required.
type Options struct {
	Dial Dial
	// Helper is asked for ports that this process may not open; there are none of those without.
	Helper Helper
	// Logger discards unless set.
	Logger *slog.Logger
}

// Publisher holds the open ports. Make one with New; it forwards while Run runs, which can be once.
type Publisher struct {
	dial Dial
	help *helped
	log  *slog.Logger
	// tcp and udp open a port.
	tcp, udp func(*listener) error

	mu sync.Mutex
	// open are the open ports by what they are, owners who has them.
	open   map[place]*listener
	closed bool

	// ctx is Run's, started is closed when it is there.
	ctx     context.Context
	started chan struct{}
	group   sync.WaitGroup
}

// place is what can be open only once.
type place struct {
	protocol string
	at       netip.AddrPort
}

// listener is an open port.
type listener struct {
	owner string
	port  Port
	close func() error
	// to is where it leads now.
	mu sync.Mutex
	to netip.AddrPort
}

func (l *listener) target() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to.String()
}

func (l *listener) lead(to netip.AddrPort) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.to = to
}

// New returns a publisher without open ports.
func New(o Options) *Publisher {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Publisher{dial: o.Dial, log: o.Logger.With("component", "publish"), open: map[place]*listener{}, started: make(chan struct{})}
	p.tcp, p.udp = p.listenTCP, p.listenUDP
	if o.Helper != nil {
		p.help = &helped{helper: o.Helper, open: map[place]owned{}}
	}
	return p
}

// Run forwards until ctx ends, and returns when all ports are closed and all connections have ended.
func (p *Publisher) Run(ctx context.Context) error {
	p.ctx = ctx
	close(p.started)
	<-ctx.Done()
	p.mu.Lock()
	p.closed = true
	var errs []error
	for at, l := range p.open {
		errs = append(errs, l.close())
		delete(p.open, at)
	}
	p.mu.Unlock()
	p.group.Wait()
	return errors.Join(append(errs, p.help.end(context.WithoutCancel(ctx)))...)
}

// Set says which ports an owner wants, and returns what became of each, in their order. Ports that
// it had and does not want any more are closed; connections that they have brought live on. Ports of
// other owners are taken. It waits for Run.
func (p *Publisher) Set(owner string, want []Port) []Result {
	<-p.started
	results := p.set(owner, want)
	if err := p.help.set(p.ctx, owner, results); err != nil {
		p.log.Warn("port not closed", "error", err)
	}
	for i := range results { // without the lock: whoever has a port is looked for in all processes
		results[i].Err = explain(results[i].Port, results[i].Err)
	}
	return results
}

func (p *Publisher) set(owner string, want []Port) []Result {
	p.mu.Lock()
	defer p.mu.Unlock()
	for at, l := range p.open {
		if l.owner == owner && !slices.ContainsFunc(want, func(w Port) bool { return place{w.Protocol, w.At} == at }) {
			if err := l.close(); err != nil {
				p.log.Warn("port not closed", "port", l.port, "error", err)
			}
			delete(p.open, at)
		}
	}
	results := make([]Result, len(want))
	for i, port := range want {
		results[i] = Result{port, p.ensure(owner, port)}
	}
	return results
}

// Serve forwards what comes to an open listener, which the publisher closes in the end, as if an
// owner had set the port. When it is called again, the port leads elsewhere. It waits for Run.
func (p *Publisher) Serve(owner string, open *net.TCPListener, port Port) {
	<-p.started
	p.mu.Lock()
	defer p.mu.Unlock()
	at := place{port.Protocol, port.At}
	switch served := p.open[at]; {
	case p.closed:
		_ = open.Close() // it may be closed already
	case served != nil:
		served.lead(port.To)
	default:
		l := &listener{owner: owner, port: port, to: port.To, close: open.Close}
		p.open[at] = l
		p.group.Go(func() { p.acceptTCP(open, l) })
	}
}

// ensure opens a port unless it is open. p.mu is held.
func (p *Publisher) ensure(owner string, port Port) error {
	at := place{port.Protocol, port.At}
	if l, ok := p.open[at]; ok {
		if l.owner != owner {
			return fmt.Errorf("%w by %s", ErrTaken, l.owner)
		}
		l.lead(port.To)
		return nil
	}
	if p.closed {
		return errors.New("the daemon is stopping")
	}
	l := &listener{owner: owner, port: port, to: port.To}
	listen := p.tcp
	if port.Protocol == protocol.UDP {
		listen = p.udp
	}
	if err := listen(l); err != nil {
		return err
	}
	p.open[at] = l
	return nil
}

// explain says who has a port.
func explain(port Port, err error) error {
	switch {
	case InUse(err):
		if holder := holderOf(port); holder != "" {
			return fmt.Errorf("%w by %s", ErrTaken, holder)
		}
		return fmt.Errorf("%w by another program", ErrTaken)
	case forbidden(err):
		return fmt.Errorf("%w: ports below 1024 are for root: %w", ErrPrivileged, err)
	}
	return err
}
