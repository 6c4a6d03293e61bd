//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"time"

	"skiff/network/protocol"
	"skiff/network/router/internal/datapath"
	"skiff/network/router/internal/door"
	"skiff/network/router/internal/health"
	"skiff/network/router/internal/link"
	"skiff/network/router/internal/names"
	"skiff/network/router/internal/userland"
)

// open starts the parts that need to know the network: the data path, DNS, and the API's port.
func (r *router) open() error {
	c := r.state.Config
	device, err := link.Device(c.Router)
	if err != nil {
		return err
	}
	if err := link.Forward(device, false); err != nil {
		return err
	}
	// A router before this one in the same namespace may have left routes. They come last.
	if err := link.Replace(device, link.Taken([]netip.Prefix{c.Services, c.Shadows, c.Nodes}, c.Kept), nil); err != nil {
		return err
	}
	if err := r.listen(c); err != nil {
		return err
	}
	r.device, r.at = device, c.Router
	r.checks = health.New(r.ctx)
	r.path, r.kind, r.why = r.newPath(c)
	if r.why != "" {
		slog.Warn("traffic goes by way of userland", "why", r.why)
	}
	r.running.Go(func() {
		if err := r.path.Run(r.ctx); err != nil {
			slog.Error("data path", "err", err)
		}
	})
	return nil
}

// newPath chooses the data path, and says why it is not the kernel's.
func (r *router) newPath(c *protocol.Config) (path dataPath, kind, why string) {
	if r.userland {
		return userland.New(r.ctx, r.handToDaemon), dataPathUserland, "SKIFF_ROUTER_DATAPATH says so"
	}
	tables, err := datapath.Open(c)
	if err != nil {
		return userland.New(r.ctx, r.handToDaemon), dataPathUserland, err.Error()
	}
	return tables, dataPathTables, ""
}

// listen opens the router's own ports. Questions of DNS wait until the names are there: a router that
// takes another's place would deny them.
func (r *router) listen(c *protocol.Config) error {
	dns, err := names.Listen(r.ctx, netip.AddrPortFrom(c.Router, protocol.DNSPort))
	if err != nil {
		return err
	}
	api, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.Router, protocol.APIPort)))
	if err != nil {
		return errors.Join(fmt.Errorf("the API's port: %w", err), dns.Close())
	}
	servers, err := names.Resolvers(r.resolvers)
	if err != nil {
		slog.Warn("only names of the cluster are known", "err", err)
	}
	r.answerNames = sync.OnceFunc(func() {
		server := names.NewServer(r.names, servers)
		r.running.Go(func() {
			if err := server.Run(r.ctx, dns); err != nil {
				slog.Error("dns", "err", err)
			}
		})
	})
	r.running.Go(func() { r.serveAPI(r.ctx, api) })
	if err := r.openDoor(c); err != nil {
		slog.Error("there is no front door", "err", err) // everything else works without
	}
	return nil
}

// openDoor starts the front door, which is a process of its own: a fault in it leaves the rest alone.
func (r *router) openDoor(c *protocol.Config) error {
	listener, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.Router, protocol.DoorPort)))
	if err != nil {
		return err
	}
	command, release, err := door.Command(listener, "/proc/self/exe", []string{"door", c.Gateway.String(), c.Router.String()}, os.Stderr)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	r.door = door.Supervise(r.ctx, command, slog.Default())
	r.running.Go(func() {
		r.door.Wait()
		release()
		_ = listener.Close() // the router ends
	})
	return nil
}

// serveAPI takes connections to the Kubernetes API.
func (r *router) serveAPI(ctx context.Context, l *net.TCPListener) {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		c, err := l.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			pause(ctx, 10*time.Millisecond) // out of files, say: some will be free
			continue
		}
		r.running.Go(func() { r.handToDaemon(ctx, c) })
	}
}

// pause waits for a time, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// stats describe the router after an update that took so long.
func (r *router) stats(applied time.Duration) protocol.Stats {
	return protocol.Stats{
		Version: protocol.Version, DataPath: r.kind, Why: r.why, Services: len(r.state.Services),
		Resident: resident(), Applied: applied.Microseconds(),
	}
}

// resident is the process's memory, 0 if the system doesn't say (man 5 proc_pid_statm).
func resident() int64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(data)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
