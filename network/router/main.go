//go:build linux

// Router is the program of the one container beside a daemon's pods: it sends services' traffic to
// their endpoints, answers DNS, and carries connections between the daemon and the pods' network. It
// runs in an image that holds nothing else.
//
//	router            serve, as the container's first process
//	router connect    join standard input and output with the one that serves: the engine runs it for
//	                  the daemon, which may have no other way into the network
//	router health     fail unless it serves
//	router door       be the front door, as a child of the one that serves
//	router publish    lead a port of its own container into the network; it needs no rights for that
//
// Its container needs the capability NET_ADMIN and nothing else (NET_BIND_SERVICE too on engines that
// keep ports below 1024 for root's), its address on the pods' network, and the settings
// net.ipv4.ip_forward=0, as nothing may be forwarded before there are rules, and
// net.ipv4.conf.all.send_redirects=0: what comes in and goes out by one device makes the kernel tell the
// sender of a better way, which costs time and uses up what it may say of ports that are not there. All
// other settings it makes itself, by netlink. /state is written to, and is worth keeping: with it the
// router comes back by itself. /etc/resolv.conf is the engine's. SKIFF_ROUTER_DATAPATH=userland does
// without the kernel's data path.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"skiff/network/router/internal/door"
	"skiff/network/tunnel"
)

const (
	// socket is where the router takes sessions: in its network namespace, without a file.
	socket = "@skiff-router"
	// stateFile is what it comes back with by itself.
	stateFile = "/state/state.json"
	// resolvers is the engine's word on who knows other names.
	resolvers = "/etc/resolv.conf"
	// healthTimeout is how long a router that serves may take to say so.
	healthTimeout = 2 * time.Second
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "router:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	switch {
	case len(args) == 0:
		return serve(ctx)
	case args[0] == "connect":
		return connect(ctx)
	case args[0] == "health":
		return askHealth()
	case args[0] == "publish":
		return publishPort(ctx, args[1:])
	case args[0] == "door":
		if err := dropRights(); err != nil {
			return err
		}
		return door.Main(ctx, os.Stdin, args[1:], slog.New(slog.NewTextHandler(os.Stderr, nil)))
	}
	return fmt.Errorf("unknown command %q", args[0])
}

// serve is the container's first process.
func serve(ctx context.Context) error {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	// What is kept is small beside what is made of it: memory is given back early.
	debug.SetGCPercent(40)
	l, err := net.Listen("unix", socket)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	r := newRouter(stateFile, resolvers, os.Getenv("SKIFF_ROUTER_DATAPATH") == dataPathUserland)
	return r.run(ctx, l)
}

// connect carries a daemon's bytes. It ends when either side does.
func connect(ctx context.Context) error {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	// Reading standard input can't be interrupted: the process's end does.
	ended := make(chan error, 2)
	go func() {
		_, err := io.Copy(c, os.Stdin)
		ended <- err
	}()
	go func() {
		_, err := io.Copy(os.Stdout, c)
		ended <- err
	}()
	return <-ended
}

func askHealth() error {
	c, err := net.DialTimeout("unix", socket, healthTimeout)
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	if err := c.SetDeadline(time.Now().Add(healthTimeout)); err != nil {
		return fmt.Errorf("health: %w", err)
	}
	s, err := tunnel.Client(c)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }() // the answer counts
	if _, err := s.Ping(); err != nil {
		return fmt.Errorf("health: %w", err)
	}
	return nil
}
