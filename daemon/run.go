package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/utils/clock"

	"skiff/api"
	"skiff/api/authn"
	"skiff/api/credentials"
	"skiff/api/filters"
	"skiff/api/openapi"
	"skiff/daemon/config"
	"skiff/daemon/datadir"
	"skiff/docker"
	"skiff/manifests"
	"skiff/manifests/admission"
	"skiff/manifests/rbac"
	"skiff/manifests/registry"
	"skiff/manifests/tokens"
	"skiff/manifests/webhook"
	"skiff/network"
	"skiff/network/publish"
	"skiff/orchestrator"
	"skiff/orchestrator/cluster"
	"skiff/orchestrator/cluster/roles"
	"skiff/orchestrator/fleet"
	"skiff/orchestrator/node"
	"skiff/orchestrator/node/joblog"
	"skiff/orchestrator/usage"
	"skiff/probe"
	"skiff/store"
)

// eventLife is how long an event is kept after its last occurrence: upstream's --event-ttl.
const eventLife = time.Hour

// garbagePercent is GOGC for the daemon. Go's own default is 100.
const garbagePercent = 75

// engineAnswers is how long the daemon delays its readiness for the engine to describe its machine,
// which takes some 20 ms.
const engineAnswers = 2 * time.Second

// Run is the daemon: it locks the data directory, opens the store, serves the API and reconciles
// until ctx ends. It calls ready once the API answers and the kubeconfig is in place. Workloads
// keep running when it returns, and the next Run adopts them.
func Run(ctx context.Context, c config.Config, log *slog.Logger, ready func() error) (err error) {
	if err := c.Dir.Prepare(); err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		// The daemon shares its machine with the workloads, so it trades time for memory. Each
		// percent is that of the live heap, some 160 MB with ten thousand pods.
		debug.SetGCPercent(garbagePercent)
	}
	l, err := c.Dir.Acquire(ctx, clock.RealClock{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Release()) }()
	// A kubeconfig that a killed predecessor left behind leads nowhere.
	if err := c.Dir.RemoveKubeconfig(); err != nil {
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
	config     config.Config
	log        *slog.Logger
	store      *store.Store
	registry   *registry.Registry
	documents  *openapi.Documents
	creds      *credentials.Credentials
	tokens     *tokens.Issuer
	authorizer *rbac.Authorizer
	// The engine, and what leads into the pods' network, are nil in a daemon without an engine.
	engine      *docker.Engine
	network     *networkedEngine
	link        *network.Link
	ports       *publish.Publisher
	helper      *portHelper
	meter       *usage.Meter
	controllers *orchestrator.Orchestrator
	prober      *fleet.Probes
	agent       *node.Agent
	fleet       *fleet.Fleet
	jobLogs     *joblog.Keeper
	// auditing, and the file that it writes to, are nil in a daemon that records no requests.
	auditing  *filters.Auditing
	auditFile *os.File
	api       *api.Server
	// started is closed when the objects that every cluster has exist, roleful when its roles do too.
	started, roleful chan struct{}
	listener         net.Listener
	door             *net.TCPListener // of the front door, nil if there is none
}

func assemble(ctx context.Context, c config.Config, log *slog.Logger) (*daemon, error) {
	d := &daemon{config: c, log: log, started: make(chan struct{}), roleful: make(chan struct{})}
	id, err := c.Dir.InstanceID()
	if err != nil {
		return nil, err
	}
	c.ClusterDomain = cmp.Or(c.ClusterDomain, config.ClusterDomain)
	if !c.PublishAddress.IsValid() {
		c.PublishAddress = netip.MustParseAddr(config.PublishAddress)
	}
	d.config = c
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if d.listener, err = listen(ctx, c, config.Listen, log); err != nil {
		return nil, err
	}
	if !c.PublishAddress.IsLoopback() {
		log.Warn("node ports, load balancers and the front door are open to others: --publish-address is no loopback address", "address", c.PublishAddress)
	}
	if d.door, err = listenDoor(ctx, c, log); err != nil {
		return nil, errors.Join(err, d.listener.Close())
	}
	for _, step := range []func() error{
		func() (err error) { d.auditing, d.auditFile, err = openAudit(c); return err },
		func() (err error) { d.store, err = openStore(c, log, metrics); return err },
		func() (err error) { d.creds, err = loadCredentials(c); return err },
		func() error { return d.connect(ctx, id, metrics) },
		func() error { return d.wire(metrics) },
	} {
		if err := step(); err != nil {
			return nil, errors.Join(err, d.abandon())
		}
	}
	return d, nil
}

// connect connects to the engine, if there is to be one.
func (d *daemon) connect(ctx context.Context, instance string, metrics prometheus.Registerer) (err error) {
	c := d.config
	if c.EngineHost == config.NoEngine {
		return nil
	}
	d.engine, err = docker.Connect(ctx, docker.Options{Instance: instance, Host: c.EngineHost, Subnet: c.Subnet, Starts: c.StartLimit, Logger: d.log, Metrics: metrics})
	return err
}

// abandon closes what a daemon that will not run has opened.
func (d *daemon) abandon() error {
	err := d.listener.Close()
	if d.door != nil {
		err = errors.Join(err, d.door.Close())
	}
	if d.engine != nil {
		err = errors.Join(err, d.engine.Close())
	}
	if d.store != nil {
		err = errors.Join(err, d.store.Close())
	}
	if d.auditFile != nil {
		err = errors.Join(err, d.auditFile.Close())
	}
	return err
}

// wire puts registry, controllers, node agent and API on top of the store and the engine.
func (d *daemon) wire(metrics *prometheus.Registry) error {
	documents, err := openapi.New()
	if err != nil {
		return err
	}
	d.documents = documents
	if err := d.makeIdentity(); err != nil {
		return err
	}
	caller := webhook.NewCaller(d.dialService)
	extension := d.makeExtension(caller)
	tolerated := d.config.DefaultTolerationSeconds
	d.registry = registry.New(registry.Options{
		Store: d.store, Clock: clock.RealClock{}, Extension: extension, ConversionWebhook: conversions{caller},
		Admission: admission.Chain(d.store, admission.Options{NotReadySeconds: &tolerated, UnreachableSeconds: &tolerated}),
	})
	extension.Attach(d.registry)
	name, err := nodeName(d.config)
	if err != nil {
		return err
	}
	d.meter = d.newMeter(name)
	options := orchestrator.Options{
		Registry: d.registry, RootCA: d.creds.CA(), Logger: d.log, Metrics: metrics,
		Tokens: d.tokens, Certificates: d.creds, Authorizer: d.authorizer,
		NodeGracePeriod: d.config.NodeGracePeriod, NodeEvictionRate: d.config.NodeEvictionRate,
		Meter: d.meter, AutoscalerPeriod: d.config.AutoscalerPeriod,
	}
	if d.engine != nil {
		d.makeLink()
		options.Volumes, options.Network = d.engine, d.networkOptions(name)
	}
	d.controllers = orchestrator.New(options)
	build := serverVersion()
	if err := d.makeAgent(name, build, metrics); err != nil {
		return err
	}
	return d.makeAPI(build, metrics)
}

// makeIdentity makes what says who somebody is and what they may do: tokens of service accounts, and roles.
func (d *daemon) makeIdentity() error {
	keys, err := tokens.LoadKeys(d.config.Dir.Credentials(), clock.RealClock{})
	if err != nil {
		return err
	}
	d.tokens = tokens.New(tokens.Options{
		Keys: keys, State: d.store, Issuer: "https://kubernetes.default.svc." + d.config.ClusterDomain, Clock: clock.RealClock{},
	})
	d.authorizer = rbac.NewAuthorizer(d.store, d.roleful)
	return nil
}

// makeAgent makes the agent of the machine's own node, the fleet of virtual ones beside it, and the
// pool that runs the probes of them all.
func (d *daemon) makeAgent(name string, build version.Info, metrics prometheus.Registerer) (err error) {
	if err := node.CheckSysctlPatterns(d.config.AllowedUnsafeSysctls); err != nil {
		return fmt.Errorf("--allowed-unsafe-sysctls: %w", err)
	}
	probing := probe.Options{Clock: clock.RealClock{}, Metrics: metrics, Version: build.Major + "." + build.Minor}
	if d.link != nil {
		probing.Dial = d.link.Dial
	}
	if d.prober, err = fleet.NewProbes(probing); err != nil {
		return err
	}
	shared := node.Options{
		Registry: d.registry, Feeds: d.controllers.Feeds(), Prober: d.prober,
		Logger: d.log, Metrics: d.controllers.Metrics(), Version: build.GitVersion,
		AllowedUnsafeSysctls: d.config.AllowedUnsafeSysctls,
		CrashBackoff:         d.config.CrashBackoff, MaxCrashBackoff: d.config.MaxBackoff, LeaseInterval: leaseInterval(d.config.NodeGracePeriod),
	}
	d.jobLogs = &joblog.Keeper{Dir: d.config.Dir.JobLogs()}
	shared.JobLogs = d.jobLogs
	shared.Tokens = d.tokens
	shared.HostIP = remembered(hostIP, hostIPAge)
	shared.ClusterDomain = d.config.ClusterDomain
	d.useEngine(&shared)
	own := shared
	if own.MemoryDir != "" {
		own.MemoryDir = filepath.Join(own.MemoryDir, name)
	}
	own.HostIP = d.nodeAddress(name)
	own.Name, own.Recorder, own.VolumeDir = name, d.controllers.Recorder("kubelet", name), d.config.Dir.Volumes()
	if d.engine == nil {
		own = fleet.Simulated(own)
	}
	d.agent = node.New(own)
	d.fleet = fleet.New(fleet.Options{
		OwnSimulated: d.engine == nil,
		Registry:     d.registry, Feeds: d.controllers.Feeds(), Own: d.agent, Logger: d.log, Metrics: d.controllers.Metrics(),
		Provider: fleet.NewProvider(fleet.ProviderOptions{
			Node: shared, Dir: d.config.Dir.VirtualNodes(), Logger: d.log,
			Recorder: func(name string) node.Recorder { return d.controllers.Recorder("kubelet", name) },
			HostIP:   d.nodeAddress,
		}),
	})
	return nil
}

// useEngine has agents run their pods on the engine, in its network; without one, in memory.
func (d *daemon) useEngine(o *node.Options) {
	if d.engine == nil {
		*o = fleet.Simulated(*o)
		return
	}
	o.Runtime, o.Addresses = d.network, d.network
	o.DialContext, o.HostDial = d.link.DialBulk, d.gateway
	o.ClusterDNS = d.clusterDNS
	o.MemoryDir = memoryDir(sharedMemory, d.engine.Instance(), d.engine.Host())
}

// leaseInterval is how often nodes renew their Leases: several times in the period for which they
// may be silent.
func leaseInterval(grace time.Duration) time.Duration {
	const usual = 10 * time.Second // kubelet's
	if grace <= 0 {
		return usual
	}
	return min(usual, grace/4)
}

func (d *daemon) makeAPI(build version.Info, metrics *prometheus.Registry) (err error) {
	d.api, err = api.New(api.Options{
		Registry: d.registry, OpenAPI: d.documents, Metrics: metrics, PodStreams: podStreams{d.fleet}, Meter: d.meter, KeptLogs: keptLogs{d.jobLogs}, Version: build, Logger: d.log,
		Authenticator: authn.New(authn.NewClientCertificate(d.creds.Roots(), clock.RealClock{}), d.tokens),
		Authorizer:    d.authorizer,
		Auditing:      d.auditing,
		Tokens:        d.tokens,
		MaxInFlight:   d.config.MaxInFlight,
		// The engine is no health check: it recovers by itself, and until then its node reports
		// that it is not ready.
		Checks: []api.Check{{Name: "store", Do: func(context.Context) error { return d.store.Healthy() }}},
	})
	return err
}

func openStore(c config.Config, log *slog.Logger, metrics prometheus.Registerer) (*store.Store, error) {
	return store.Open(store.Options{
		Path: c.Dir.Database(), Codec: manifests.StoreCodec(), Clock: clock.RealClock{}, Logger: log, Metrics: metrics,
		Indexes: registry.Indexes(), OtherIndexes: registry.OtherIndexes(), TTL: map[string]time.Duration{"events": eventLife},
	})
}

func loadCredentials(c config.Config) (*credentials.Credentials, error) {
	host, _, err := net.SplitHostPort(cmp.Or(c.Listen, config.Listen))
	if err != nil {
		return nil, fmt.Errorf("reading the address to listen on: %w", err)
	}
	var hosts []string
	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
		hosts = []string{host}
	}
	hosts = append(hosts, apiNames(c.ClusterDomain)...)
	return credentials.Load(credentials.Options{
		Dir: c.Dir.Credentials(), Hosts: hosts, Clock: clock.RealClock{},
		ClientCAFile: c.ClientCAFile, ServerCertFile: c.TLSCertFile, ServerKeyFile: c.TLSKeyFile,
	})
}

// run starts all parts and returns when all have ended: the store last, because everything writes
// to it until the end.
func (d *daemon) run(ctx context.Context, ready func() error) error {
	storing, stopStore := context.WithCancel(context.WithoutCancel(ctx))
	defer stopStore()
	var state errgroup.Group
	state.Go(func() error { return d.store.Run(storing) })

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return d.controllers.Run(ctx, d.agent, d.fleet, d.prober) })
	listeners := []net.Listener{d.listener}
	if d.link != nil {
		listeners = append(listeners, d.link.API())
		group.Go(func() error { return d.link.Run(ctx) })
		group.Go(func() error { return d.ports.Run(ctx) })
	}
	group.Go(func() error { return d.api.Serve(ctx, d.creds.ServerTLS(), listeners...) })
	group.Go(func() error { return d.publish(ctx, ready) })
	group.Go(func() error { return d.makeRoles(ctx) })
	err := group.Wait()

	stopStore()
	if d.door != nil {
		_ = d.door.Close() // unless the engine has never said where it leads, it is closed
	}
	err = errors.Join(err, state.Wait(), d.store.Close())
	if d.engine != nil {
		err = errors.Join(err, d.engine.Close())
	}
	if d.auditFile != nil {
		err = errors.Join(err, d.auditFile.Close())
	}
	return err
}

// publish publishes the kubeconfig while the daemon serves and removes it first on shutdown.
func (d *daemon) publish(ctx context.Context, ready func() error) error {
	err := d.announce(ctx, ready)
	if err == nil {
		d.settle(ctx)
		<-ctx.Done()
	}
	return errors.Join(err, d.config.Dir.RemoveKubeconfig())
}

// settling is how long the start of what nobody waits for may take, the network above all.
const settling = 5 * time.Second

// settle gives back what starting has taken.
func (d *daemon) settle(ctx context.Context) {
	timer := clock.RealClock{}.NewTimer(settling)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return
	case <-timer.C():
	}
	debug.FreeOSMemory()
	if err := trimProgram(); err != nil {
		d.log.Warn("the daemon takes more memory than it needs", "error", err)
	}
}

// announce writes the kubeconfig once the objects that every cluster has exist, and then reports
// that the daemon is ready. The listener has been accepting connections all along.
func (d *daemon) announce(ctx context.Context, ready func() error) error {
	if err := cluster.Bootstrap(registry.WithoutExtension(ctx), d.registry, d.controllers.Recorder(cluster.ServicesComponent, ""), d.likelyServices()); err != nil {
		return err
	}
	close(d.started)
	address := clientAddress(d.listener.Addr())
	id := datadir.ClientIdentity{CA: d.creds.Trusted(), Cert: d.creds.AdminCert(), Key: d.creds.AdminKey()}
	access := datadir.NewKubeconfig(address, id)
	if err := d.tellAddresses(ctx); err != nil {
		return err
	}
	if err := d.config.Dir.RecallNamespace(access); err != nil {
		return err
	}
	if err := d.config.Dir.WriteKubeconfig(access); err != nil {
		return err
	}
	if err := d.keepAddress(); err != nil {
		d.log.Warn("the API's address may change with the next start", "error", err)
	}
	d.awaitNode(ctx)
	if d.engine != nil {
		d.log.Info("ready", "api", address, "data", d.config.Dir, "instance", d.engine.Instance(), "engine", d.engine.Host())
	} else {
		d.log.Info("ready, without an engine: pods run in memory", "api", address, "data", d.config.Dir)
	}
	return ready()
}

// rolesRetry is how long the daemon waits before it tries again to make the default roles.
const rolesRetry = 10 * time.Second

// makeRoles makes the roles that every cluster has. The administrator needs none, so the daemon is
// ready before; whoever else asks for something waits until it has been tried.
func (d *daemon) makeRoles(ctx context.Context) error {
	select {
	case <-d.started:
	case <-ctx.Done():
		return nil
	}
	err := roles.EnsureDefaults(ctx, d.registry)
	close(d.roleful)
	for err != nil && ctx.Err() == nil {
		d.log.Error("some default roles are missing, will retry", "error", err, "after", rolesRetry)
		timer := clock.RealClock{}.NewTimer(rolesRetry)
		select {
		case <-timer.C():
		case <-ctx.Done():
		}
		timer.Stop()
		err = roles.EnsureDefaults(ctx, d.registry)
	}
	return nil
}

// awaitNode returns once the machine's own node exists, for whoever waits for the daemon asks for
// it next. An engine that does not answer delays nobody for longer than engineAnswers.
func (d *daemon) awaitNode(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, engineAnswers)
	defer cancel()
	select {
	case <-d.agent.Introduced():
	case <-ctx.Done():
	}
}

// clientAddress is the address at which clients on this machine reach a listener, which may listen
// on all addresses.
func clientAddress(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return a.String()
	}
	return net.JoinHostPort("127.0.0.1", fmt.Sprint(tcp.Port))
}
