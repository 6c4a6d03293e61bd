// Package orchestrator starts the controllers: what brings the objects in the
// store, and through the node agents the containers, to what they should be.
package orchestrator

import (
	"context"
	"errors"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"

	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/orchestrator/cluster/garbage"
	"skiff/orchestrator/cluster/namespaces"
	"skiff/orchestrator/cluster/podgc"
	"skiff/orchestrator/cluster/quota"
	"skiff/orchestrator/cluster/scheduling"
	"skiff/orchestrator/controller"
	"skiff/orchestrator/events"
	"skiff/orchestrator/workload/replicas"
)

// How many keys the controllers work on at a time. Their work is to wait for the
// store, which commits together what waits together.
const (
	replicasWorkers  = 16
	garbageWorkers   = 32
	schedulerWorkers = 64
	quotaWorkers     = 4
)

// Options are what the controllers need.
type Options struct {
	// Registry must have been made on a store with registry.Indexes.
	Registry *registry.Registry
	// RootCA is the PEM of the certificate authority that signed the API's
	// certificate; each namespace has it as a ConfigMap.
	RootCA []byte
	// PodThreshold is how many ended pods are kept, podgc.DefaultThreshold unless
	// set.
	PodThreshold int
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
	s.controllers = s.makeControllers(o, s.metrics)
	return s
}

// makeControllers is the list of all controllers.
func (s *Orchestrator) makeControllers(o Options, metrics *controller.Metrics) []Runner {
	pods := registry.For[*corev1.Pod](o.Registry)
	sets := replicas.Options{
		Pods: pods, Feeds: s.feeds, Workers: replicasWorkers,
		Recorder: func(component string) replicas.Recorder { return s.Recorder(component, "") },
		Clock:    o.Clock, Logger: o.Logger, Metrics: metrics,
	}
	spaces := namespaces.Options{
		Registry: o.Registry, Feeds: s.feeds, RootCA: o.RootCA, Clock: o.Clock, Logger: o.Logger, Metrics: metrics,
	}
	return []Runner{
		replicas.NewReplicaSets(registry.For[*appsv1.ReplicaSet](o.Registry), sets),
		replicas.NewReplicationControllers(registry.For[*corev1.ReplicationController](o.Registry), sets),
		scheduling.New(scheduling.Options{
			Pods: pods, Binder: o.Registry.Pods(), Recorder: s.Recorder(scheduling.Component, ""), Feeds: s.feeds,
			Workers: schedulerWorkers, Clock: o.Clock, Logger: o.Logger, Metrics: metrics,
		}),
		garbage.New(garbage.Options{
			Registry: o.Registry, Recorder: s.Recorder(garbage.Component, ""), Feeds: s.feeds,
			Workers: garbageWorkers, Clock: o.Clock, Logger: o.Logger, Metrics: metrics,
		}),
		namespaces.NewDefaults(spaces),
		namespaces.NewDeletion(spaces),
		quota.New(quota.Options{
			Registry: o.Registry, Feeds: s.feeds, Workers: quotaWorkers, Clock: o.Clock, Logger: o.Logger, Metrics: metrics,
		}),
		podgc.New(podgc.Options{
			Registry: o.Registry, Threshold: o.PodThreshold, Clock: o.Clock, Logger: o.Logger, Metrics: metrics,
		}),
	}
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
