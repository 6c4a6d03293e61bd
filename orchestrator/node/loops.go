package node

import (
	"context"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/orchestrator/controller"
	"skiff/store"
)

// earlyQueue is a queue that accepts keys before its loop starts.
type earlyQueue struct {
	mu     sync.Mutex
	queue  controller.Queue[types.UID]
	before []types.UID
}

// source is the controller.Source through which the agent gets the loop's queue.
func (q *earlyQueue) source(_ context.Context, queue controller.Queue[types.UID]) (detach func(), err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queue = queue
	for _, uid := range q.before {
		queue.Add(uid)
	}
	q.before = nil
	return func() {}, nil
}

func (q *earlyQueue) add(uid types.UID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.queue == nil {
		q.before = append(q.before, uid)
		return
	}
	q.queue.Add(uid)
}

// ofNode divides pods by their nodes.
var ofNode = controller.Part{Name: "node", Of: func(o store.Object) string { return o.(*corev1.Pod).Spec.NodeName }}

func (a *Agent) planLoop() *controller.Loop[types.UID] {
	return &controller.Loop[types.UID]{
		Name:      "node/" + a.Name,
		Workers:   a.Workers,
		Reconcile: a.reconcile,
		Sources: []controller.Source[types.UID]{
			a.toPlan.source,
			controller.FollowPart(a.Feeds.Of("pods"), ofNode, a.Name, a.podChanged),
			controller.Follow(a.Feeds.Of("configmaps"), sourcesChanged[*corev1.ConfigMap](a, "configmap")),
			controller.Follow(a.Feeds.Of("secrets"), sourcesChanged[*corev1.Secret](a, "secret")),
			controller.Follow(a.Feeds.Of("serviceaccounts"), sourcesChanged[*corev1.ServiceAccount](a, "serviceaccount")),
			controller.Follow(a.Feeds.Of("persistentvolumeclaims"), sourcesChanged[*corev1.PersistentVolumeClaim](a, "claim")),
		},
		Env: controller.Env{Clock: a.Clock, Logger: a.log, Metrics: a.Metrics},
	}
}

func (a *Agent) writeLoop() *controller.Loop[types.UID] {
	return &controller.Loop[types.UID]{
		Name:      "node-status/" + a.Name,
		Workers:   a.Writers,
		Reconcile: a.writeStatus,
		Sources:   []controller.Source[types.UID]{a.toWrite.source},
		Env:       controller.Env{Clock: a.Clock, Logger: a.log, Metrics: a.Metrics},
	}
}
