// Package health answers load balancers that ask whether a node has an endpoint for traffic from
// outside, by HTTP at the health check port of each node's address, in the words of kube-proxy
// (pkg/proxy/healthcheck/service_health.go of Kubernetes).
package health

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"skiff/network/protocol"
	"skiff/network/router/internal/state"
)

const (
	// timeout is for a question and its answer, longest for the head of a question, in bytes.
	timeout = 5 * time.Second
	longest = 8 << 10
	// atOnce bounds how many are answered at a time at a port.
	atOnce = 64
)

// Checks are the open ports. Apply is called by one goroutine at a time.
type Checks struct {
	open    map[netip.AddrPort]*check
	serving sync.WaitGroup
	ctx     context.Context
	cancel  context.CancelFunc
}

// check is one node's answer for one service.
type check struct {
	*net.TCPListener
	answer atomic.Pointer[answer]
}

// answer is what is said, as kube-proxy says it.
type answer struct {
	Service struct {
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
	} `json:"service"`
	LocalEndpoints      int  `json:"localEndpoints"`
	ServiceProxyHealthy bool `json:"serviceProxyHealthy"`
}

// New returns checks that end when ctx does; Close waits for that.
func New(ctx context.Context) *Checks {
	ctx, cancel := context.WithCancel(ctx)
	return &Checks{open: map[netip.AddrPort]*check{}, ctx: ctx, cancel: cancel}
}

// Close closes all ports.
func (c *Checks) Close() error {
	c.cancel()
	for _, check := range c.open {
		_ = check.Close()
	}
	c.serving.Wait()
	return nil
}

// Apply opens and closes ports. The error names those that could not be opened.
func (c *Checks) Apply(s *state.State) error {
	wanted := wantedChecks(s)
	for at, check := range c.open {
		if wanted[at] == nil {
			_ = check.Close()
			delete(c.open, at)
		}
	}
	var errs []error
	for _, at := range slices.SortedFunc(maps.Keys(wanted), netip.AddrPort.Compare) {
		one := c.open[at]
		if one == nil {
			l, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(at))
			if err != nil {
				errs = append(errs, fmt.Errorf("health check of %s/%s: %w", wanted[at].Service.Namespace, wanted[at].Service.Name, err))
				continue
			}
			one = &check{TCPListener: l}
			c.open[at] = one
			c.serving.Go(func() { c.serve(one) })
		}
		one.answer.Store(wanted[at])
	}
	return errors.Join(errs...)
}

func wantedChecks(s *state.State) map[netip.AddrPort]*answer {
	wanted := map[netip.AddrPort]*answer{}
	for key, service := range s.Services {
		if service.HealthCheck == 0 {
			continue
		}
		for i := range s.Nodes {
			a := &answer{LocalEndpoints: endpointsAt(service, s.Nodes[i].Name), ServiceProxyHealthy: true}
			a.Service.Namespace, a.Service.Name = key.Namespace, key.Name
			wanted[netip.AddrPortFrom(s.Nodes[i].Address, service.HealthCheck)] = a
		}
	}
	return wanted
}

// endpointsAt counts a node's endpoints: pods, whatever ports they have.
func endpointsAt(s *protocol.Service, node string) int {
	pods := map[netip.Addr]bool{}
	for i := range s.Ports {
		list, ok := s.Ports[i].At[node]
		if !ok {
			list = s.Ports[i].Endpoints
		}
		for _, e := range list {
			pods[e.Addr()] = true
		}
	}
	return len(pods)
}

func (c *Checks) serve(one *check) {
	places := make(chan struct{}, atOnce)
	for {
		conn, err := one.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // the client has gone already
		}
		select {
		case places <- struct{}{}:
			c.serving.Go(func() {
				defer func() { <-places }()
				defer func() { _ = conn.Close() }() // all is said
				stop := context.AfterFunc(c.ctx, func() { _ = conn.Close() })
				defer stop()
				_ = say(conn, one.answer.Load()) // a client that has gone asks again
			})
		default:
			_ = conn.Close()
		}
	}
}

// say reads the head of a question, whatever it is, and answers. It is so little HTTP that a server for
// all of it would be most of the program.
func say(conn net.Conn, a *answer) error {
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	in := bufio.NewReader(io.LimitReader(conn, longest))
	method := ""
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		if method == "" {
			method, _, _ = strings.Cut(line, " ")
			continue
		}
		if strings.TrimRight(line, "\r\n") == "" {
			break
		}
	}
	body, err := json.Marshal(a)
	if err != nil {
		return err
	}
	status := "200 OK"
	if a.LocalEndpoints == 0 {
		status = "503 Service Unavailable"
	}
	out := fmt.Sprintf("HTTP/1.1 %s\r\nContent-Type: application/json\r\nX-Content-Type-Options: nosniff\r\n"+
		"X-Load-Balancing-Endpoint-Weight: %d\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", status, a.LocalEndpoints, len(body))
	if method != "HEAD" {
		out += string(body)
	}
	_, err = io.WriteString(conn, out)
	return err
}
