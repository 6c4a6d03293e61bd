// Package orchestrator starts the controllers: what brings the objects in the
// store, and through the node agents the containers, to what they should be.
package orchestrator

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/utils/clock"

	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/orchestrator/cluster/accounttokens"
	"skiff/orchestrator/cluster/autoscaling"
	"skiff/orchestrator/cluster/certificates"
	"skiff/orchestrator/cluster/claims"
	"skiff/orchestrator/cluster/ingress"
	"skiff/orchestrator/cluster/ownservices"
	"skiff/orchestrator/cluster/publishing"
	"skiff/orchestrator/cluster/routes"
	"skiff/orchestrator/controller"
	"skiff/orchestrator/events"
)

// Options are what the controllers need.
type Options struct {
	// Registry must have been made on a store with registry.Indexes.
	Registry *registry.Registry
	// RootCA is the PEM of the certificate authority that signed the API's
	// certificate; each namespace has it as a ConfigMap.
	RootCA []byte
	// Tokens issues the tokens of service accounts that secrets hold, and Certificates signs what
	// CertificateSigningRequests ask for; nobody does if they are nil, as in tests.
	Tokens       accounttokens.Issuer
	Certificates certificates.Authority
	// Authorizer decides whose requests for certificates are approved at once.
	Authorizer authorizer.UnconditionalAuthorizer
	// Volumes hold the data of persistent volumes; nil when there is none to remove.
	Volumes claims.Engine
	// PodThreshold is how many ended pods are kept, podgc.DefaultThreshold unless
	// set.
	PodThreshold int
	// NodeGracePeriod is how long a node may be silent and NodeEvictionRate how
	// many nodes a second may begin to lose their pods: nodelife's defaults unless
	// set.
	NodeGracePeriod  time.Duration
	NodeEvictionRate *float64
	// Meter measures pods for the autoscaler; nil if nobody does. AutoscalerPeriod is how often it
	// looks, autoscaling.Period unless set.
	Meter            autoscaling.Meter
	AutoscalerPeriod time.Duration
	// Network is the pods' network; nil if there is none.
	Network *Network
	// Clock is the real one unless set.
	Clock clock.WithTicker
	// Logger discards unless set.
	Logger *slog.Logger
	// Metrics may be nil.
	Metrics prometheus.Registerer
}

// Network is what the controllers of the pods' network need.
type Network struct {
	// Router is told where services lead, Door what each name of the front door leads to.
	Router routes.Router
	Door   ingress.Door
	// Publisher opens ports of this machine, on the address PublishAt. FrontDoor is where the front
	// door listens; the zero value means that there is none.
	Publisher publishing.Publisher
	PublishAt netip.Addr
	// Inside is this machine's address in the network, invalid if it has none, or none yet; and
	// NodeAddress is where the router serves a node's ports.
	Inside      func() netip.Addr
	NodeAddress func(name string) netip.Addr
	FrontDoor   netip.AddrPort
	// IssueCertificate makes a certificate of skiff's own authority.
	IssueCertificate func(names []string) (cert, key []byte, err error)
	// Machine is the name of the node that is the engine's machine.
	Machine string
	// Trouble is why no traffic is ever going to reach services, empty if it will.
	Trouble string
}

// Runner is a controller, or a node agent.
type Runner interface {
	// Run works until ctx ends, and returns when all it started has ended.
	Run(ctx context.Context) error
}

// Orchestrator is the controllers and what they share.
type Orchestrator struct {
	env         controller.Env
	events      *events.Broker
	api, dns    *ownservices.Backend
	controllers []Runner
}

// New makes the controllers.
func New(o Options) *Orchestrator {
	s := &Orchestrator{events: events.New(events.Options{
		Writer: registry.For[*corev1.Event](o.Registry), Scheme: manifests.Scheme(),
		Clock: o.Clock, Logger: o.Logger, Metrics: o.Metrics,
	}), api: ownservices.API(), dns: ownservices.DNS()}
	s.env = controller.Env{
		Registry: o.Registry, Feeds: controller.NewFeeds(o.Registry.Store()),
		Recorder: func(component string) controller.Recorder { return s.Recorder(component, "") },
		Clock:    o.Clock, Logger: o.Logger, Metrics: controller.NewMetrics(o.Metrics),
	}.WithDefaults()
	s.controllers = slices.Concat(s.workloads(), s.cluster(o), s.identity(o), s.network(o.Network))
	return s
}

// Recorder records events that come from a component, on a host if it has one:
// the node agent's is "kubelet" on its node.
func (s *Orchestrator) Recorder(component, host string) *events.Recorder {
	return s.events.Recorder(component, host)
}

// API is what the Service default/kubernetes leads to. Somebody has to Set it.
func (s *Orchestrator) API() *ownservices.Backend { return s.api }

// DNS is what the Service kube-system/kube-dns leads to, if there is one. Somebody has to Set it.
func (s *Orchestrator) DNS() *ownservices.Backend { return s.dns }

// Feeds are the shared watches of the store, which run while Run does.
func (s *Orchestrator) Feeds() *controller.Feeds { return s.env.Feeds }

// Metrics are those of all loops, nil without a registerer.
func (s *Orchestrator) Metrics() *controller.Metrics { return s.env.Metrics }

// Run runs the controllers and all others, node agents for example, until ctx
// ends or one of them fails, which ends them all. It returns when all have
// ended and the events they recorded are written; the store must run until then.
func (s *Orchestrator) Run(ctx context.Context, others ...Runner) error {
	// Events are written for as long as there is somebody to record them.
	recording, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var recorder errgroup.Group
	recorder.Go(func() error { return s.events.Run(recording) })

	group, ctx := errgroup.WithContext(ctx)
	for _, r := range append([]Runner{s.env.Feeds}, append(s.controllers, others...)...) {
		group.Go(func() error { return runAs(ctx, r) })
	}
	err := group.Wait()
	stop()
	return errors.Join(err, recorder.Wait())
}
