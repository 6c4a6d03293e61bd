package orchestrator

import (
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

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

// workloads are the controllers of what has pods.
func (s *Orchestrator) workloads(o Options) []Runner {
	pods := registry.For[*corev1.Pod](o.Registry)
	sets := replicas.Options{
		Pods: pods, Feeds: s.feeds, Workers: replicasWorkers,
		Recorder: func(component string) replicas.Recorder { return s.Recorder(component, "") },
		Clock:    o.Clock, Logger: o.Logger, Metrics: s.metrics,
	}
	jobs := job.Options{
		Pods: pods, Jobs: registry.For[*batchv1.Job](o.Registry), Recorder: s.Recorder(job.Component, ""), Feeds: s.feeds,
		Workers: jobWorkers, Clock: o.Clock, Logger: o.Logger, Metrics: s.metrics,
	}
	return []Runner{
		replicas.NewReplicaSets(registry.For[*appsv1.ReplicaSet](o.Registry), sets),
		replicas.NewReplicationControllers(registry.For[*corev1.ReplicationController](o.Registry), sets),
		job.New(jobs),
		job.NewSweeper(jobs),
		cronjob.New(cronjob.Options{
			CronJobs: registry.For[*batchv1.CronJob](o.Registry), Jobs: registry.For[*batchv1.Job](o.Registry),
			Recorder: s.Recorder(cronjob.Component, ""), Feeds: s.feeds,
			Workers: cronJobWorkers, Clock: o.Clock, Logger: o.Logger, Metrics: s.metrics,
		}),
		deployment.New(deployment.Options{
			Deployments: registry.For[*appsv1.Deployment](o.Registry), Sets: registry.For[*appsv1.ReplicaSet](o.Registry), Pods: pods,
			Recorder: s.Recorder(deployment.Component, ""), Feeds: s.feeds,
			Workers: deploymentsWorkers, Clock: o.Clock, Logger: o.Logger, Metrics: s.metrics,
		}),
		daemonset.New(daemonset.Options{
			Sets: registry.For[*appsv1.DaemonSet](o.Registry), Pods: pods, Nodes: registry.For[*corev1.Node](o.Registry),
			Revisions: registry.For[*appsv1.ControllerRevision](o.Registry), Recorder: s.Recorder(daemonset.Component, ""), Feeds: s.feeds,
			Workers: setWorkers, Clock: o.Clock, Logger: o.Logger, Metrics: s.metrics,
		}),
		statefulset.New(statefulset.Options{
			Sets: registry.For[*appsv1.StatefulSet](o.Registry), Pods: pods, Claims: registry.For[*corev1.PersistentVolumeClaim](o.Registry),
			Revisions: registry.For[*appsv1.ControllerRevision](o.Registry), Recorder: s.Recorder(statefulset.Component, ""), Feeds: s.feeds,
			Workers: setWorkers, Clock: o.Clock, Logger: o.Logger, Metrics: s.metrics,
		}),
	}
}

// cluster are the controllers of what all workloads share.
func (s *Orchestrator) cluster(o Options) []Runner {
	pods := registry.For[*corev1.Pod](o.Registry)
	spaces := namespaces.Options{
		Registry: o.Registry, Feeds: s.feeds, RootCA: o.RootCA, Clock: o.Clock, Logger: o.Logger, Metrics: s.metrics,
	}
	return []Runner{
		namespaces.NewDefaults(spaces),
		namespaces.NewDeletion(spaces),
		disruption.New(disruption.Options{
			Registry: o.Registry, Recorder: s.Recorder(disruption.Component, ""), Feeds: s.feeds,
			Workers: disruptionWorkers, Clock: o.Clock, Logger: o.Logger, Metrics: s.metrics,
		}),
		scheduling.New(scheduling.Options{
			Pods: pods, Binder: o.Registry.Pods(), Recorder: s.Recorder(scheduling.Component, ""), Feeds: s.feeds,
			Workers: schedulerWorkers, Clock: o.Clock, Logger: o.Logger, Metrics: s.metrics,
		}),
		claims.New(claims.Options{
			Claims: registry.For[*corev1.PersistentVolumeClaim](o.Registry), Volumes: registry.For[*corev1.PersistentVolume](o.Registry),
			Pods: pods, Engine: o.Volumes, Recorder: s.Recorder(claims.Component, ""), Feeds: s.feeds,
			Workers: volumeWorkers, Clock: o.Clock, Logger: o.Logger, Metrics: s.metrics,
		}),
		garbage.New(garbage.Options{
			Registry: o.Registry, Recorder: s.Recorder(garbage.Component, ""), Feeds: s.feeds,
			Workers: garbageWorkers, Clock: o.Clock, Logger: o.Logger, Metrics: s.metrics,
		}),
		quota.New(quota.Options{
			Registry: o.Registry, Feeds: s.feeds, Workers: quotaWorkers, Clock: o.Clock, Logger: o.Logger, Metrics: s.metrics,
		}),
		podgc.New(podgc.Options{
			Registry: o.Registry, Threshold: o.PodThreshold, Clock: o.Clock, Logger: o.Logger, Metrics: s.metrics,
		}),
		nodelife.New(nodelife.Options{
			Registry: o.Registry, Recorder: s.Recorder(nodelife.Component, ""), Feeds: s.feeds,
			GracePeriod: o.NodeGracePeriod, EvictionRate: o.NodeEvictionRate, Clock: o.Clock, Logger: o.Logger, Metrics: s.metrics,
		}),
		tainteviction.New(tainteviction.Options{
			Registry: o.Registry, Recorder: s.Recorder(tainteviction.Component, ""), Feeds: s.feeds,
			Workers: evictionWorkers, Clock: o.Clock, Logger: o.Logger, Metrics: s.metrics,
		}),
	}
}
