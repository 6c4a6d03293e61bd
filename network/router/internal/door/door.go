// Package door is the front door: an HTTP reverse proxy, a process of its own in the router's
// container, so that what strangers send is not read by the process that holds the network. It knows
// what the daemon has told (protocol.Door) and nothing else.
//
// A connection begins with a line of the PROXY protocol. HTTP/1.1 requests of the usual kind are
// carried by quick.go; whatever is out of the ordinary, every other protocol and every error is
// net/http's business, to which the connection is handed over for the rest of its life.
package door

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"skiff/network/protocol"
)

// Limits of clients.
const (
	// proxyLineTimeout is how long a connection may take to say who calls.
	proxyLineTimeout = 5 * time.Second
	// headTimeout is how long the head of a request may take from its first byte on, or a TLS
	// handshake.
	headTimeout = 30 * time.Second
	// idleTimeout is how long a connection may say nothing.
	idleTimeout = 3 * time.Minute
	// maxHead is the largest head of a request, in bytes.
	maxHead = 64 << 10
	// acceptPause is how long to wait when no connection can be accepted, for want of files for
	// example.
	acceptPause = 50 * time.Millisecond
	// quietTime is how long there are no connections before the memory that they took is given back.
	quietTime = 10 * time.Second
)

// Options are settings of a door.
type Options struct {
	// Log is told of each failed request, at debug. Default: nobody is told.
	Log *slog.Logger
	// From are the addresses that connections may come from: the daemon's. Others are closed at once,
	// for whoever gets in may say who calls. None is everybody.
	From []netip.Addr
}

// door is a running front door.
type door struct {
	ctx       context.Context // Run's
	log       *slog.Logger
	from      []netip.Addr
	tls       *tls.Config
	table     atomic.Pointer[table]
	addresses map[target]*address // of the goroutine that reads states
	server    *http.Server
	handover  *handover

	mu     sync.Mutex
	closed bool
	open   map[*conn]struct{}
	quiet  *time.Timer    // runs while there are no connections
	group  sync.WaitGroup // connections, and requests that net/http serves
}

// Run serves the connections of a listener by what it reads from in: protocol.Door values in JSON,
// of which each replaces the one before. Until the first has come, connections wait. It returns nil
// when ctx or in has ended, and an error if what in says can't be read; by then listener and all
// connections are closed. If it is ctx that has ended, in is being read until the caller closes it.
func Run(ctx context.Context, in io.Reader, listener net.Listener, o Options) error {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d := newDoor(ctx, listener.Addr(), o.Log.With("component", "door"))
	d.from = o.From
	states := json.NewDecoder(in)
	ended := make(chan error, 1)
	go func() { ended <- d.follow(states, func() { d.start(listener) }) }()
	var err error
	select {
	case <-ctx.Done():
	case err = <-ended:
	}
	cancel()
	d.stop(listener)
	return err
}

func newDoor(ctx context.Context, at net.Addr, log *slog.Logger) *door {
	d := &door{
		ctx: ctx, log: log, addresses: map[target]*address{},
		open: map[*conn]struct{}{}, handover: newHandover(at),
	}
	d.tls, d.server = d.newTLS(), d.newServer()
	d.quiet = time.AfterFunc(quietTime, debug.FreeOSMemory)
	return d
}

// follow takes over one state after another, and calls first when there is one.
func (d *door) follow(states *json.Decoder, first func()) error {
	for {
		var state protocol.Door
		if err := states.Decode(&state); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading what the front door is to serve: %w", err)
		}
		if !d.set(&state) {
			return nil
		}
		if first != nil {
			first()
			first = nil
		}
	}
}

// set takes over a state. It reports whether the door is still open.
func (d *door) set(state *protocol.Door) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	t := d.compile(state)
	d.table.Store(t)
	d.forget(t)
	return true
}

// start begins to take connections.
func (d *door) start(listener net.Listener) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	d.group.Go(func() { d.accept(listener) })
	d.group.Go(func() {
		if err := d.server.Serve(d.handover); !errors.Is(err, http.ErrServerClosed) {
			d.log.Error("front door has stopped serving", "error", err)
		}
	})
}

// stop ends all that start began.
func (d *door) stop(listener net.Listener) {
	d.mu.Lock()
	d.closed = true
	d.quiet.Stop()
	open := make([]*conn, 0, len(d.open))
	for c := range d.open {
		open = append(open, c)
	}
	d.mu.Unlock()
	_ = listener.Close() // it may be closed already
	_ = d.handover.Close()
	_ = d.server.Close()
	for _, c := range open {
		_ = c.Close()
	}
	d.group.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget(&table{})
}

func (d *door) accept(listener net.Listener) {
	for {
		accepted, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			d.log.Warn("connection not accepted", "error", err)
			select {
			case <-d.handover.done:
			case <-time.After(acceptPause):
			}
			continue
		}
		if c := d.admit(accepted); c != nil {
			go d.greet(c)
		}
	}
}

// admit notes a connection; nil if the door is closed.
func (d *door) admit(accepted net.Conn) *conn {
	c := &conn{Conn: accepted}
	c.ended = func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.open, c)
		if len(d.open) == 0 && !d.closed {
			d.quiet.Reset(quietTime)
		}
		d.group.Done()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		_ = accepted.Close()
		return nil
	}
	d.open[c] = struct{}{}
	d.quiet.Stop()
	d.group.Add(1)
	return c
}

// enter counts a request in that net/http serves; it reports false if the door is closed.
func (d *door) enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.group.Add(1)
	return true
}
