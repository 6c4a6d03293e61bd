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
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"

	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/orchestrator/cluster/claims"
	"skiff/orchestrator/cluster/disruption"
	"skiff/orchestrator/cluster/garbage"
	"skiff/orchestrator/cluster/namespaces"
	"skiff/orchestrator/cluster/nodelife"
	"skiff/orchestrator/cluster/podgc"
	"skiff/orchestrator/cluster/quota"
	"skiff/orchestrator/cluster/scheduling"
	"skiff/orchestrator/cluster/tainteviction"
	"skiff/orchestrator/controller"
	"skiff/orchestrator/events"
	"skiff/orchestrator/workload/cronjob"
	"skiff/orchestrator/workload/daemonset"
	"skiff/orchestrator/workload/deployment"
	"skiff/orchestrator/workload/job"
	"skiff/orchestrator/workload/replicas"
	"skiff/orchestrator/workload/statefulset"
)

// How many keys the controllers work on at a time. Their work is to wait for the
// store, which commits together what waits together.
const (
	replicasWorkers    = 16
	jobWorkers         = 32
	cronJobWorkers     = 32
	garbageWorkers     = 32
	schedulerWorkers   = 64
	deploymentsWorkers = 8
	disruptionWorkers  = 4
	setWorkers         = 8 // DaemonSets, and as many StatefulSets
	volumeWorkers      = 4
	evictionWorkers    = 16
	quotaWorkers       = 4
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
	NodeEvictionRate float64
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
	jobs := job.Options{
		Pods: pods, Jobs: registry.For[*batchv1.Job](o.Registry), Recorder: s.Recorder(job.Component, ""), Feeds: s.feeds,
		Workers: jobWorkers, Clock: o.Clock, Logger: o.Logger, Metrics: metrics,
	}
	return []Runner{
		job.New(jobs),
		job.NewSweeper(jobs),
		cronjob.New(cronjob.Options{
			CronJobs: registry.For[*batchv1.CronJob](o.Registry), Jobs: registry.For[*batchv1.Job](o.Registry),
			Recorder: s.Recorder(cronjob.Component, ""), Feeds: s.feeds,
			Workers: cronJobWorkers, Clock: o.Clock, Logger: o.Logger, Metrics: metrics,
		}),
		replicas.NewReplicaSets(registry.For[*appsv1.ReplicaSet](o.Registry), sets),
		replicas.NewReplicationControllers(registry.For[*corev1.ReplicationController](o.Registry), sets),
		deployment.New(deployment.Options{
			Deployments: registry.For[*appsv1.Deployment](o.Registry), Sets: registry.For[*appsv1.ReplicaSet](o.Registry), Pods: pods,
			Recorder: s.Recorder(deployment.Component, ""), Feeds: s.feeds,
			Workers: deploymentsWorkers, Clock: o.Clock, Logger: o.Logger, Metrics: metrics,
		}),
		disruption.New(disruption.Options{
			Registry: o.Registry, Recorder: s.Recorder(disruption.Component, ""), Feeds: s.feeds,
			Workers: disruptionWorkers, Clock: o.Clock, Logger: o.Logger, Metrics: metrics,
		}),
		daemonset.New(daemonset.Options{
			Sets: registry.For[*appsv1.DaemonSet](o.Registry), Pods: pods, Nodes: registry.For[*corev1.Node](o.Registry),
			Revisions: registry.For[*appsv1.ControllerRevision](o.Registry), Recorder: s.Recorder(daemonset.Component, ""), Feeds: s.feeds,
			Workers: setWorkers, Clock: o.Clock, Logger: o.Logger, Metrics: metrics,
		}),
		statefulset.New(statefulset.Options{
			Sets: registry.For[*appsv1.StatefulSet](o.Registry), Pods: pods, Claims: registry.For[*corev1.PersistentVolumeClaim](o.Registry),
			Revisions: registry.For[*appsv1.ControllerRevision](o.Registry), Recorder: s.Recorder(statefulset.Component, ""), Feeds: s.feeds,
			Workers: setWorkers, Clock: o.Clock, Logger: o.Logger, Metrics: metrics,
		}),
		scheduling.New(scheduling.Options{
			Pods: pods, Binder: o.Registry.Pods(), Recorder: s.Recorder(scheduling.Component, ""), Feeds: s.feeds,
			Workers: schedulerWorkers, Clock: o.Clock, Logger: o.Logger, Metrics: metrics,
		}),
		claims.New(claims.Options{
			Claims: registry.For[*corev1.PersistentVolumeClaim](o.Registry), Volumes: registry.For[*corev1.PersistentVolume](o.Registry),
			Pods: pods, Engine: o.Volumes, Recorder: s.Recorder(claims.Component, ""), Feeds: s.feeds,
			Workers: volumeWorkers, Clock: o.Clock, Logger: o.Logger, Metrics: metrics,
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
		nodelife.New(nodelife.Options{
			Registry: o.Registry, Recorder: s.Recorder(nodelife.Component, ""), Feeds: s.feeds,
			GracePeriod: o.NodeGracePeriod, EvictionRate: o.NodeEvictionRate, Clock: o.Clock, Logger: o.Logger, Metrics: metrics,
		}),
		tainteviction.New(tainteviction.Options{
			Registry: o.Registry, Recorder: s.Recorder(tainteviction.Component, ""), Feeds: s.feeds,
			Workers: evictionWorkers, Clock: o.Clock, Logger: o.Logger, Metrics: metrics,
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
