// Package orchestrator starts the controllers: what brings the objects in the
// store, and through the node agents the containers, to what they should be.
package orchestrator

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"

	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/orchestrator/cluster/claims"
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
	// Clock is the real one unless set.
	Clock clock.WithTicker
	// Logger discards unless set.
	Logger *slog.Logger
	// Metrics may be nil.
	Metrics prometheus.Registerer
}

// Runner is a controller, or a node agent.
type Runner interface {
	// Run works until ctx ends, and returns when all it started has ended.
	Run(ctx context.Context) error
}

// Orchestrator is the controllers and what they share.
type Orchestrator struct {
	feeds       *controller.Feeds
	events      *events.Broker
	metrics     *controller.Metrics
	controllers []Runner
}

// New makes the controllers.
func New(o Options) *Orchestrator {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Orchestrator{
		feeds: controller.NewFeeds(o.Registry.Store()),
		events: events.New(events.Options{
			Writer: registry.For[*corev1.Event](o.Registry), Scheme: manifests.Scheme(),
			Clock: o.Clock, Logger: o.Logger, Metrics: o.Metrics,
		}),
		metrics: controller.NewMetrics(o.Metrics),
	}
	s.controllers = append(s.workloads(o), s.cluster(o)...)
	return s
}

// Recorder records events that come from a component, on a host if it has one:
// the node agent's is "kubelet" on its node.
func (s *Orchestrator) Recorder(component, host string) *events.Recorder {
	return s.events.Recorder(component, host)
}

// Feeds are the shared watches of the store, which run while Run does.
func (s *Orchestrator) Feeds() *controller.Feeds { return s.feeds }

// Metrics are those of all loops, nil without a registerer.
func (s *Orchestrator) Metrics() *controller.Metrics { return s.metrics }

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
	for _, r := range append([]Runner{s.feeds}, append(s.controllers, others...)...) {
		group.Go(func() error { return r.Run(ctx) })
	}
	err := group.Wait()
	stop()
	return errors.Join(err, recorder.Wait())
}
