package orchestrator

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"

	"skiff/orchestrator/cluster/claims"
	"skiff/orchestrator/cluster/disruption"
	"skiff/orchestrator/cluster/endpoints"
	"skiff/orchestrator/cluster/endpointslicemirroring"
	"skiff/orchestrator/cluster/endpointslices"
	"skiff/orchestrator/cluster/garbage"
	"skiff/orchestrator/cluster/namespaces"
	"skiff/orchestrator/cluster/nodelife"
	"skiff/orchestrator/cluster/podgc"
	"skiff/orchestrator/cluster/quota"
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

// runAs runs a controller as the user that upstream's of the same purpose is: webhooks and policies tell
// writers apart by it. Those that have none upstream write as the server itself.
func runAs(ctx context.Context, r Runner) error {
	if name := account(r); name != "" {
		ctx = request.WithUser(ctx, serviceaccount.UserInfo("kube-system", name, ""))
	}
	if _, ok := r.(*scheduling.Scheduler); ok {
		ctx = request.WithUser(ctx, &user.DefaultInfo{Name: user.KubeScheduler, Groups: []string{user.AllAuthenticated}})
	}
	return r.Run(ctx)
}

// account is the name of upstream's service account for a controller.
// https://kubernetes.io/docs/reference/access-authn-authz/rbac/#controller-roles
func account(r Runner) string {
	switch r.(type) {
	case *replicas.Controller[*appsv1.ReplicaSet]:
		return "replicaset-controller"
	case *replicas.Controller[*corev1.ReplicationController]:
		return "replication-controller"
	case *job.Controller:
		return "job-controller"
	case *job.Sweeper:
		return "ttl-after-finished-controller"
	case *cronjob.Controller:
		return "cronjob-controller"
	case *deployment.Controller:
		return "deployment-controller"
	case *daemonset.Controller:
		return "daemon-set-controller"
	case *statefulset.Controller:
		return "statefulset-controller"
	}
	return clusterAccount(r)
}

func clusterAccount(r Runner) string {
	switch r.(type) {
	case *namespaces.Defaults:
		return "service-account-controller"
	case *namespaces.Deletion:
		return "namespace-controller"
	case *disruption.Controller:
		return "disruption-controller"
	case *claims.Controller:
		return "persistent-volume-binder"
	case *garbage.Collector:
		return "generic-garbage-collector"
	case *quota.Controller:
		return "resourcequota-controller"
	case *servicecidrs.Controller:
		return "service-cidrs-controller"
	case *podgc.Collector:
		return "pod-garbage-collector"
	case *nodelife.Controller:
		return "node-controller"
	case *tainteviction.Controller:
		return "taint-eviction-controller"
	case *endpointslices.Controller:
		return "endpointslice-controller"
	case *endpoints.Controller:
		return "endpoint-controller"
	case *endpointslicemirroring.Controller:
		return "endpointslicemirroring-controller"
	}
	return ""
}
