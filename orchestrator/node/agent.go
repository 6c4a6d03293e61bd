package node

import (
	"log/slog"
	"sync"

	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"

	"skiff/manifests/registry"
	"skiff/orchestrator/node/pod"
	"skiff/orchestrator/node/volume"
)

// Agent runs the pods of one node.
type Agent struct {
	Options
	log *slog.Logger

	pods       registry.Client[*corev1.Pod]
	nodes      registry.Client[*corev1.Node]
	leases     registry.Client[*coordinationv1.Lease]
	configMaps registry.Client[*corev1.ConfigMap]
	secrets    registry.Client[*corev1.Secret]
	claims     registry.Client[*corev1.PersistentVolumeClaim]
	persistent registry.Client[*corev1.PersistentVolume]
	jobs       registry.Client[*batchv1.Job]
	services   registry.Client[*corev1.Service]

	volumes     *volume.Manager
	images      *images
	crashPolicy pod.BackoffPolicy
	pullPolicy  pod.BackoffPolicy

	// toPlan and toWrite are the pods to reconcile and those whose status may have to be written.
	toPlan, toWrite earlyQueue
	background      background
	removals        chan struct{}
	engine          engineState
	// admission is held while it is decided whether a pod is admitted.
	admission  sync.Mutex
	machine    machine
	introduced chan struct{}
	records    *records
}

// hostIP is the node's address, empty if it has none.
func (a *Agent) hostIP() string {
	return addressText(a.HostIP())
}
