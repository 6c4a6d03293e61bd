package orchestrator

import (
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"skiff/manifests/registry"
	"skiff/orchestrator/cluster/accounttokens"
	"skiff/orchestrator/cluster/autoscaling"
	"skiff/orchestrator/cluster/certificates"
	"skiff/orchestrator/cluster/claims"
	"skiff/orchestrator/cluster/definitions"
	"skiff/orchestrator/cluster/disruption"
	"skiff/orchestrator/cluster/endpoints"
	"skiff/orchestrator/cluster/endpointslicemirroring"
	"skiff/orchestrator/cluster/endpointslices"
	"skiff/orchestrator/cluster/flowschemas"
	"skiff/orchestrator/cluster/garbage"
	"skiff/orchestrator/cluster/ingress"
	"skiff/orchestrator/cluster/namespaces"
	"skiff/orchestrator/cluster/nodelife"
	"skiff/orchestrator/cluster/ownservices"
	"skiff/orchestrator/cluster/podgc"
	"skiff/orchestrator/cluster/publishing"
	"skiff/orchestrator/cluster/quota"
	"skiff/orchestrator/cluster/roles"
	"skiff/orchestrator/cluster/routes"
	"skiff/orchestrator/cluster/scheduling"
	"skiff/orchestrator/cluster/servicecidrs"
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
	autoscalingWorkers = 5
	addressWorkers     = 16
	endpointsWorkers   = 16 // Services' Endpoints, and as many for their slices
	mirroringWorkers   = 4
	routesWorkers      = 4
)

// workloads are the controllers of what has pods.
func (s *Orchestrator) workloads() []Runner {
	r := s.env.Registry
	pods := registry.For[*corev1.Pod](r)
	sets := replicas.Options{Env: s.env, Pods: pods, Workers: replicasWorkers}
	jobs := job.Options{Env: s.env, Pods: pods, Jobs: registry.For[*batchv1.Job](r), Workers: jobWorkers}
	revisions := registry.For[*appsv1.ControllerRevision](r)
	return []Runner{
		replicas.NewReplicaSets(registry.For[*appsv1.ReplicaSet](r), sets),
		replicas.NewReplicationControllers(registry.For[*corev1.ReplicationController](r), sets),
		job.New(jobs),
		job.NewSweeper(jobs),
		cronjob.New(cronjob.Options{
			Env: s.env, CronJobs: registry.For[*batchv1.CronJob](r), Jobs: registry.For[*batchv1.Job](r), Workers: cronJobWorkers,
		}),
		deployment.New(deployment.Options{
			Env: s.env, Deployments: registry.For[*appsv1.Deployment](r), Sets: registry.For[*appsv1.ReplicaSet](r), Pods: pods,
			Workers: deploymentsWorkers,
		}),
		daemonset.New(daemonset.Options{
			Env: s.env, Sets: registry.For[*appsv1.DaemonSet](r), Pods: pods, Nodes: registry.For[*corev1.Node](r), Revisions: revisions,
			Workers: setWorkers,
		}),
		statefulset.New(statefulset.Options{
			Env: s.env, Sets: registry.For[*appsv1.StatefulSet](r), Pods: pods, Claims: registry.For[*corev1.PersistentVolumeClaim](r),
			Revisions: revisions, Workers: setWorkers,
		}),
	}
}

// cluster are the controllers of what all workloads share.
func (s *Orchestrator) cluster(o Options) []Runner {
	r := s.env.Registry
	pods := registry.For[*corev1.Pod](r)
	spaces := namespaces.Options{Env: s.env, RootCA: o.RootCA}
	return []Runner{
		definitions.New(definitions.Options{Env: s.env}),
		namespaces.NewDefaults(spaces),
		namespaces.NewDeletion(spaces),
		disruption.New(disruption.Options{Env: s.env, Workers: disruptionWorkers}),
		scheduling.New(scheduling.Options{
			Env: s.env, Pods: pods, Nodes: registry.For[*corev1.Node](r), Binder: r.Pods(), Workers: schedulerWorkers,
		}),
		claims.New(claims.Options{
			Env: s.env, Claims: registry.For[*corev1.PersistentVolumeClaim](r), Volumes: registry.For[*corev1.PersistentVolume](r),
			Classes: registry.For[*storagev1.StorageClass](r), Pods: pods, Engine: o.Volumes, Workers: volumeWorkers,
		}),
		garbage.New(garbage.Options{Env: s.env, Workers: garbageWorkers}),
		quota.New(quota.Options{Env: s.env, Workers: quotaWorkers}),
		autoscaling.New(autoscaling.Options{Env: s.env, Meter: o.Meter, Period: o.AutoscalerPeriod, Workers: autoscalingWorkers}),
		flowschemas.New(s.env),
		servicecidrs.New(servicecidrs.Options{Env: s.env, Workers: addressWorkers}),
		podgc.New(podgc.Options{Env: s.env, Threshold: o.PodThreshold}),
		nodelife.New(nodelife.Options{Env: s.env, GracePeriod: o.NodeGracePeriod, EvictionRate: o.NodeEvictionRate}),
		tainteviction.New(tainteviction.Options{Env: s.env, Workers: evictionWorkers}),
		endpointslices.New(endpointslices.Options{Env: s.env, Workers: endpointsWorkers}),
		endpoints.New(endpoints.Options{Env: s.env, Workers: endpointsWorkers}),
		endpointslicemirroring.New(endpointslicemirroring.Options{Env: s.env, Workers: mirroringWorkers}),
		ownservices.New(ownservices.Options{Env: s.env, Backends: []*ownservices.Backend{s.api, s.dns}}),
	}
}

// identity are the controllers of who may do what, and of how they show who they are.
func (s *Orchestrator) identity(o Options) []Runner {
	runners := []Runner{roles.NewAggregation(s.env)}
	if o.Tokens != nil {
		runners = append(runners, accounttokens.New(accounttokens.Options{Env: s.env, Issuer: o.Tokens, RootCA: o.RootCA}))
	}
	if o.Certificates != nil {
		runners = append(runners, certificates.New(certificates.Options{Env: s.env, Authority: o.Certificates, Authorizer: o.Authorizer}))
	}
	return runners
}

// network are the controllers that tell the pods' network and this machine where services are. There
// are none without a network, as in tests.
func (s *Orchestrator) network(n *Network) []Runner {
	if n == nil {
		return nil
	}
	runners := []Runner{
		routes.New(routes.Options{Env: s.env, Router: n.Router, Machine: n.Machine, Trouble: n.Trouble, Workers: routesWorkers}),
		publishing.New(publishing.Options{Env: s.env, Publisher: n.Publisher, At: n.PublishAt, Inside: n.Inside, NodeAddress: n.NodeAddress, Machine: n.Machine, Workers: routesWorkers}),
	}
	if n.FrontDoor.IsValid() {
		runners = append(runners, ingress.New(ingress.Options{Env: s.env, Door: n.Door, Issue: n.IssueCertificate, Address: n.FrontDoor}))
	}
	return runners
}
