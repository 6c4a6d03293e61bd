// Package docker runs one instance's containers on a Docker Engine. It knows nothing of Kubernetes.
//
// Everything an [Engine] makes carries the label skiff/instance, and an Engine sees and removes
// only what carries its own: several daemons share a machine's engine without touching each other's
// containers.
package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/tlsconfig"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"
	"k8s.io/utils/clock"
)

// InstanceLabel is on every container, network and volume; its value is the instance's name.
const InstanceLabel = "skiff/instance"

// MinAPIVersion is the oldest Engine API skiff works with: that of Engine 20.10.
const MinAPIVersion = "1.41"

// Options for Connect. Only Instance is required.
type Options struct {
	// Instance names the owner of what is made: letters, digits, "_", "." and "-", at most 48 of
	// them.
	Instance string
	// Host is the engine's address (unix:///…, tcp://…). Empty means, in this order, as the docker
	// CLI has it: DOCKER_HOST, the context named by DOCKER_CONTEXT, the current context of
	// ~/.docker/config.json, the default socket.
	Host string
	// ConfigDir is the docker CLI's configuration directory; empty means DOCKER_CONFIG or
	// ~/.docker.
	ConfigDir string
	// Starts bounds how many containers start at once; 0 means three a CPU, but from 4 to 16.
	Starts int
	// Subnet is the IPv4 prefix of the instance's network, a /26 or larger; the zero value lets
	// EnsureNetwork choose a free one.
	Subnet netip.Prefix
	// Timeout bounds each call that is not a stream, a pull or a stop; 0 means two minutes. An
	// engine that hangs is ErrTimeout after it, and for Ping ErrUnavailable.
	Timeout time.Duration
	// Logger defaults to slog.Default, Clock to the real one; Metrics may be nil.
	Logger  *slog.Logger
	Clock   clock.Clock
	Metrics prometheus.Registerer
	// Getenv defaults to os.Getenv.
	Getenv func(string) string
}

// Engine runs the containers of one instance. It is safe for concurrent use and outlives the engine
// it talks to: while that is away, calls fail with ErrUnavailable, and work again once it is back,
// even if it came back in another version.
type Engine struct {
	instance  string
	at        endpoint
	configDir string
	subnet    netip.Prefix
	timeout   time.Duration
	log       *slog.Logger
	clock     clock.Clock
	metrics   *metrics
	getenv    func(string) string
	// routes lists the prefixes this machine reaches without its default route.
	routes func() ([]netip.Prefix, error)

	// conn is nil until a ping has told the API version to speak, and again after a failure.
	conn   atomic.Pointer[client.Client]
	starts *semaphore.Weighted
	ends   *semaphore.Weighted
	// warned holds the engine's warnings that have been logged.
	warned sync.Map
	// cgroups are those of this machine; memory is that of the engine's, 0 until it was asked for.
	cgroups cgroups
	memory  atomic.Int64
	streams usageStreams
}

var instanceName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,47}$`)

// Connect finds the engine and tries it once. An engine that does not answer is no error here (it
// is logged, and Ping tells): it may be started later, and the Engine works then. What can never
// work is an error: a bad instance name or host, a context that does not exist, certificates that
// cannot be read.
func Connect(ctx context.Context, o Options) (*Engine, error) {
	if !instanceName.MatchString(o.Instance) {
		return nil, fmt.Errorf("connect to docker: instance %q: %w: want 1 to 48 letters, digits, _ . -", o.Instance, ErrInvalid)
	}
	if o.Subnet.IsValid() {
		if _, err := Divide(o.Subnet); err != nil {
			return nil, fmt.Errorf("connect to docker: %w", err)
		}
	}
	o = o.withDefaults()
	at, err := findEndpoint(o.Host, o.ConfigDir, o.Getenv)
	if err != nil {
		return nil, fmt.Errorf("connect to docker: %w", err)
	}
	m, err := newMetrics(o.Metrics)
	if err != nil {
		return nil, fmt.Errorf("connect to docker: register metrics: %w", err)
	}
	e := &Engine{
		instance: o.Instance, at: at, configDir: o.ConfigDir, subnet: o.Subnet, timeout: o.Timeout,
		log: o.Logger, clock: o.Clock, metrics: m, getenv: o.Getenv, routes: localRoutes,
		starts: semaphore.NewWeighted(int64(o.Starts)), ends: semaphore.NewWeighted(1),
		cgroups: cgroups{root: "/sys/fs/cgroup", proc: "/proc"},
	}
	if _, err := e.newClient(); err != nil {
		return nil, fmt.Errorf("connect to docker at %s: %w", at.Host, err)
	}
	if err := e.Ping(ctx); err != nil {
		e.log.Warn("docker engine does not answer yet", "error", err)
	}
	return e, nil
}

func (o Options) withDefaults() Options {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.ConfigDir == "" {
		o.ConfigDir = configDir(o.Getenv)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	o.Starts = cmp.Or(o.Starts, defaultStarts())
	o.Timeout = cmp.Or(o.Timeout, 2*time.Minute)
	return o
}

// Instance is the name everything of this Engine is labelled with.
func (e *Engine) Instance() string { return e.instance }

// Host is the engine's address, for people.
func (e *Engine) Host() string { return e.at.Host }

// Close gives the idle connections back, and ends streams that nobody reads. Calls after it connect
// anew.
func (e *Engine) Close() error {
	e.streams.close()
	if c := e.conn.Swap(nil); c != nil {
		return c.Close()
	}
	return nil
}

// Ping asks whether the engine is there and fit: ErrUnavailable, ErrPermission or ErrUnsupported
// when not, each with a message that says what to do.
func (e *Engine) Ping(ctx context.Context) error {
	err := e.call(ctx, "ping", "", func(ctx context.Context, c *client.Client) error {
		_, err := c.Ping(ctx)
		return err
	})
	if errors.Is(err, ErrTimeout) {
		return &Error{Op: "ping", Kind: ErrUnavailable, Err: err}
	}
	return err
}

// call runs one bounded operation: it finds the connection, measures, and makes an Error of what
// went wrong. One that takes too long is ErrTimeout, not ErrUnavailable: a single slow removal does
// not mean that the engine is gone.
func (e *Engine) call(ctx context.Context, op, name string, do func(context.Context, *client.Client) error) error {
	bounded, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	return e.stream(bounded, op, name, func(bounded context.Context, c *client.Client) error {
		err := do(bounded, c)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			return e.hung(op, name)
		}
		return err
	})
}

// hung is the error of a call that the engine does not answer.
func (e *Engine) hung(op, name string) error {
	return &Error{Op: op, Name: name, Kind: ErrTimeout,
		Err: fmt.Errorf("the Docker Engine at %s has not answered within %s", e.at.Host, e.timeout)}
}

// change is call for creating and starting containers. The engine goes on with such a request when its
// client hangs up, and what comes of it would not be known. So it is not begun once ctx has ended, but
// waited for once it has been begun.
func (e *Engine) change(ctx context.Context, op, name string, do func(context.Context, *client.Client) error) error {
	if err := ctx.Err(); err != nil {
		return &Error{Op: op, Name: name, Err: err}
	}
	return e.call(context.WithoutCancel(ctx), op, name, do)
}

// stream is call for what lasts as long as the caller wants.
func (e *Engine) stream(ctx context.Context, op, name string, do func(context.Context, *client.Client) error) error {
	began := e.clock.Now()
	c, err := e.client(ctx)
	if err == nil {
		err = do(ctx, c)
	}
	err = fail(op, name, e.at.Host, err)
	if errors.Is(err, ErrUnavailable) || errors.Is(err, ErrPermission) {
		e.disconnect(c)
	}
	e.metrics.observe(op, err, e.clock.Since(began))
	return err
}

// client is the connection in use, made anew where there is none. Callers that find none at the
// same moment each try.
func (e *Engine) client(ctx context.Context) (*client.Client, error) {
	if c := e.conn.Load(); c != nil {
		return c, nil
	}
	c, err := e.newClient()
	if err != nil {
		return nil, err
	}
	ping, err := c.Ping(ctx)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if err := supported(ping.APIVersion, ping.OSType); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	c.NegotiateAPIVersionPing(ping)
	if !e.conn.CompareAndSwap(nil, c) {
		if first := e.conn.Load(); first != nil {
			return first, c.Close()
		}
	}
	return c, nil
}

// disconnect forgets c, so that the next call asks anew which engine is there.
func (e *Engine) disconnect(c *client.Client) {
	if c != nil && e.conn.CompareAndSwap(c, nil) {
		_ = c.Close() // closes idle connections only, and never fails
	}
}

func supported(api, os string) error {
	if api != "" && versions.LessThan(api, MinAPIVersion) {
		return &Error{Op: "connect", Kind: ErrUnsupported,
			Err: fmt.Errorf("this Docker Engine speaks API %s; skiff needs %s: install Docker Engine 20.10 or later", api, MinAPIVersion)}
	}
	if os != "" && os != "linux" {
		return &Error{Op: "connect", Kind: ErrUnsupported,
			Err: fmt.Errorf("this Docker Engine runs %s containers; skiff needs Linux: switch Docker Desktop to Linux containers", os)}
	}
	return nil
}

func (e *Engine) newClient() (*client.Client, error) {
	transport := &http.Transport{
		// A start, a wait, logs and probes go on side by side: the default of two kept connections
		// would dial for each.
		MaxIdleConns: 32, MaxIdleConnsPerHost: 32, IdleConnTimeout: 30 * time.Second,
	}
	if e.at.TLS != nil {
		config, err := tlsconfig.Client(*e.at.TLS)
		if err != nil {
			return nil, fmt.Errorf("read certificates: %w", err)
		}
		transport.TLSClientConfig = config
	}
	return client.NewClientWithOpts(
		client.WithHTTPClient(&http.Client{Transport: transport, CheckRedirect: client.CheckRedirect}),
		client.WithHost(e.at.Host),
		client.WithUserAgent("skiff"),
	)
}

// pause waits for d, or gives ctx's error when that ends first.
func (e *Engine) pause(ctx context.Context, d time.Duration) error {
	timer := e.clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C():
		return nil
	}
}

// own selects what belongs to this instance.
func (e *Engine) own() filters.Args {
	return filters.NewArgs(filters.Arg("label", InstanceLabel+"="+e.instance))
}
