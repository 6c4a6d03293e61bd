package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/utils/clock"

	"skiff/api"
	"skiff/api/authn"
	"skiff/api/credentials"
	"skiff/api/openapi"
	"skiff/docker"
	"skiff/manifests"
	"skiff/manifests/admission"
	"skiff/manifests/registry"
	"skiff/orchestrator"
	"skiff/orchestrator/cluster"
	"skiff/orchestrator/fleet"
	"skiff/orchestrator/node"
	"skiff/probe"
	"skiff/store"
)

// eventLife is how long an event is kept after it was last counted: upstream's --event-ttl.
const eventLife = time.Hour

// garbagePercent is how much garbage may gather beside what is alive before it is collected. Go's own is 100.
const garbagePercent = 75

// engineAnswers is how long the daemon holds back that it is ready, for the engine to say what machine it is on. It takes some
// 20 ms.
const engineAnswers = 2 * time.Second

// Run is the daemon: it takes the data directory, opens the store, serves the API and works on the desired state until ctx
// ends. It calls ready once the API answers and the kubeconfig is in place. Workloads run on when it returns, and the next Run
// takes them over.
func Run(ctx context.Context, c Config, log *slog.Logger, ready func() error) (err error) {
	if err := c.prepare(); err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		// The daemon shares its machine with the workloads: less memory for a little more time. Each percent is that of what
		// is alive, some 160 MB with ten thousand pods.
		debug.SetGCPercent(garbagePercent)
	}
	l, err := acquire(ctx, c, clock.RealClock{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.release()) }()
	// A kubeconfig that a killed predecessor left behind points nowhere.
	if err := removeKubeconfig(c); err != nil {
		return err
	}
	d, err := assemble(ctx, c, log)
	if err != nil {
		return err
	}
	return d.run(ctx, ready)
}

// daemon is all parts, put together but not yet running.
type daemon struct {
	config      Config
	log         *slog.Logger
	store       *store.Store
	registry    *registry.Registry
	creds       *credentials.Credentials
	engine      *docker.Engine
	controllers *orchestrator.Orchestrator
	prober      *fleet.Probes
	agent       *node.Agent
	fleet       *fleet.Fleet
	api         *api.Server
	listener    net.Listener
}

func assemble(ctx context.Context, c Config, log *slog.Logger) (*daemon, error) {
	d := &daemon{config: c, log: log}
	id, err := instanceID(c)
	if err != nil {
		return nil, err
	}
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if d.listener, err = listen(ctx, c); err != nil {
		return nil, err
	}
	for _, step := range []func() error{
		func() (err error) { d.store, err = openStore(c, log, metrics); return err },
		func() (err error) { d.creds, err = loadCredentials(c); return err },
		func() (err error) {
			d.engine, err = docker.Connect(ctx, docker.Options{Instance: id, Host: c.EngineHost, Starts: c.StartLimit, Logger: log, Metrics: metrics})
			return err
		},
		func() error { return d.wire(metrics) },
	} {
		if err := step(); err != nil {
			return nil, errors.Join(err, d.abandon())
		}
	}
	return d, nil
}

// abandon closes what was opened by a daemon that will not run.
func (d *daemon) abandon() error {
	err := d.listener.Close()
	if d.engine != nil {
		err = errors.Join(err, d.engine.Close())
	}
	if d.store != nil {
		err = errors.Join(err, d.store.Close())
	}
	return err
}

// wire puts registry, controllers, node agent and API on top of the store and the engine.
func (d *daemon) wire(metrics *prometheus.Registry) error {
	tolerated := d.config.DefaultTolerationSeconds
	d.registry = registry.New(registry.Options{
		Store: d.store, Clock: clock.RealClock{},
		Admission: admission.Chain(d.store, admission.Options{NotReadySeconds: &tolerated, UnreachableSeconds: &tolerated}),
	})
	d.controllers = orchestrator.New(orchestrator.Options{
		Registry: d.registry, RootCA: d.creds.CA(), Volumes: d.engine, Logger: d.log, Metrics: metrics,
		NodeGracePeriod: d.config.NodeGracePeriod, NodeEvictionRate: d.config.NodeEvictionRate,
	})
	build := serverVersion()
	if err := d.makeAgent(build, metrics); err != nil {
		return err
	}
	return d.makeAPI(build, metrics)
}

// makeAgent makes the agent of the one node every daemon has, the machine itself, the fleet of virtual ones beside it, and the
// pool that probes for all of them.
func (d *daemon) makeAgent(build version.Info, metrics prometheus.Registerer) (err error) {
	name, err := nodeName(d.config)
	if err != nil {
		return err
	}
	d.prober, err = fleet.NewProbes(probe.Options{
		Clock: clock.RealClock{}, Metrics: metrics, Version: build.Major + "." + build.Minor,
	})
	if err != nil {
		return err
	}
	engine := &networkedEngine{Engine: d.engine}
	shared := node.Options{
		Registry: d.registry, Feeds: d.controllers.Feeds(), Runtime: engine, Addresses: engine,
		Logger: d.log, Metrics: d.controllers.Metrics(), HostIP: hostIP(), Version: build.GitVersion,
		CrashBackoff: d.config.CrashBackoff, MaxCrashBackoff: d.config.MaxBackoff, LeaseInterval: leaseInterval(d.config.NodeGracePeriod),
	}
	shared.MemoryDir = memoryDir(sharedMemory, d.engine.Instance(), d.engine.Host())
	own := shared
	if own.MemoryDir != "" {
		own.MemoryDir = filepath.Join(own.MemoryDir, name)
	}
	own.Name, own.Recorder, own.VolumeDir = name, d.controllers.Recorder("kubelet", name), d.config.volumes()
	d.agent = d.prober.Agent(own)
	d.fleet = fleet.New(fleet.Options{
		Registry: d.registry, Feeds: d.controllers.Feeds(), Own: d.agent, Logger: d.log, Metrics: d.controllers.Metrics(),
		Yard: fleet.NewYard(fleet.YardOptions{
			Node: shared, Dir: d.config.virtualNodes(), Probes: d.prober, Logger: d.log,
			Recorder: func(name string) node.Recorder { return d.controllers.Recorder("kubelet", name) },
		}),
	})
	return nil
}

// leaseInterval is how often nodes renew their Leases: several times in the period for which they may be silent.
func leaseInterval(grace time.Duration) time.Duration {
	const usual = 10 * time.Second // kubelet's
	if grace <= 0 {
		return usual
	}
	return min(usual, grace/4)
}

func (d *daemon) makeAPI(build version.Info, metrics *prometheus.Registry) error {
	documents, err := openapi.New()
	if err != nil {
		return err
	}
	d.api, err = api.New(api.Options{
		Registry: d.registry, OpenAPI: documents, Metrics: metrics, PodStreams: podStreams{d.fleet}, Version: build, Logger: d.log,
		Authenticator: authn.NewClientCertificate(d.creds.Roots(), clock.RealClock{}),
		// The engine is no health check: it comes back by itself, and meanwhile its node says that it is not ready.
		Checks: []api.Check{{Name: "store", Do: func(context.Context) error { return d.store.Healthy() }}},
	})
	return err
}

func openStore(c Config, log *slog.Logger, metrics prometheus.Registerer) (*store.Store, error) {
	return store.Open(store.Options{
		Path: c.database(), Codec: manifests.StoreCodec(), Clock: clock.RealClock{}, Logger: log, Metrics: metrics,
		Indexes: registry.Indexes(), TTL: map[string]time.Duration{"events": eventLife},
	})
}

func loadCredentials(c Config) (*credentials.Credentials, error) {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return nil, fmt.Errorf("reading the address to listen on: %w", err)
	}
	var hosts []string
	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
		hosts = []string{host}
	}
	return credentials.Load(credentials.Options{Dir: c.credentials(), Hosts: hosts, Clock: clock.RealClock{}})
}

func listen(ctx context.Context, c Config) (net.Listener, error) {
	var cfg net.ListenConfig
	l, err := cfg.Listen(ctx, "tcp", c.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("another program listens on %s: choose another address with --listen or SKIFF_LISTEN (127.0.0.1:0 takes a free port)", c.Listen)
	}
	if err != nil {
		return nil, fmt.Errorf("listening on %s (choose an address with --listen or SKIFF_LISTEN): %w", c.Listen, err)
	}
	return l, nil
}

// run starts all parts and returns when all have ended: the store last, because everybody writes to it until the end.
func (d *daemon) run(ctx context.Context, ready func() error) error {
	storing, stopStore := context.WithCancel(context.WithoutCancel(ctx))
	defer stopStore()
	var state errgroup.Group
	state.Go(func() error { return d.store.Run(storing) })

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return d.controllers.Run(ctx, d.agent, d.fleet, d.prober) })
	group.Go(func() error { return d.api.Serve(ctx, d.listener, d.creds.ServerTLS()) })
	group.Go(func() error { return d.beFound(ctx, ready) })
	err := group.Wait()

	stopStore()
	return errors.Join(err, state.Wait(), d.store.Close(), d.engine.Close())
}

// beFound has the kubeconfig there from when all is ready until the end begins: it is the first thing to go, so that nobody
// turns to a daemon that is ending.
func (d *daemon) beFound(ctx context.Context, ready func() error) error {
	err := d.announce(ctx, ready)
	if err == nil {
		<-ctx.Done()
	}
	return errors.Join(err, removeKubeconfig(d.config))
}

// announce writes the kubeconfig once what every cluster has is there, and says that all is ready. The listener has been
// taking connections all along.
func (d *daemon) announce(ctx context.Context, ready func() error) error {
	if err := cluster.Bootstrap(ctx, d.registry); err != nil {
		return err
	}
	address := clientAddress(d.listener.Addr())
	id := clientIdentity{ca: d.creds.CA(), cert: d.creds.AdminCert(), key: d.creds.AdminKey()}
	access := newKubeconfig(address, id)
	if err := recallNamespace(d.config, access); err != nil {
		return err
	}
	if err := writeKubeconfig(d.config.kubeconfig(), access); err != nil {
		return err
	}
	d.awaitNode(ctx)
	d.log.Info("ready", "api", address, "data", d.config.DataDir, "instance", d.engine.Instance(), "engine", d.engine.Host())
	if err := ready(); err != nil {
		return err
	}
	if err := trimProgram(); err != nil {
		d.log.Warn("the daemon takes more memory than it needs", "error", err)
	}
	return nil
}

// awaitNode returns once the machine's own node can be seen, for whoever waits for the daemon asks for it next. An engine that
// does not answer delays nobody for longer than engineAnswers.
func (d *daemon) awaitNode(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, engineAnswers)
	defer cancel()
	select {
	case <-d.agent.Introduced():
	case <-ctx.Done():
	}
}

func removeKubeconfig(c Config) error {
	if err := keepNamespace(c); err != nil {
		return err
	}
	if err := os.Remove(c.kubeconfig()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the kubeconfig: %w", err)
	}
	return nil
}

// clientAddress is where clients on this machine reach a listener, which may listen on all addresses.
func clientAddress(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return a.String()
	}
	return net.JoinHostPort("127.0.0.1", fmt.Sprint(tcp.Port))
}
