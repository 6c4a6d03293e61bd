// Package node is the node agent, skiff's kubelet. It makes the containers on its engine match the
// pods that are bound to its node, and reports the result in their status.
//
// For each pod it observes (the object in the store, the containers on the engine, the probes),
// makes a plan and carries it out. The plan is a pure function of what was observed and prints as
// text; see package pod. Operations that take time run in the background, one for each container,
// and are part of the next observation, so a pod can be reconciled at any moment, and anything more
// urgent can interrupt what is under way. Everything the agent keeps in memory can be found again
// in the labels of the containers and the status of the pods: a new daemon takes over from an old
// one without touching a container.
package node

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sync/errgroup"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"

	"skiff/manifests/registry"
	"skiff/orchestrator/node/pod"
	"skiff/orchestrator/node/volume"
)

// New returns an agent that does nothing until it is run.
func New(o Options) *Agent {
	o = o.withDefaults()
	a := &Agent{
		Options:     o,
		log:         o.Logger.With("node", o.Name),
		pods:        registry.For[*corev1.Pod](o.Registry),
		nodes:       registry.For[*corev1.Node](o.Registry),
		leases:      registry.For[*coordinationv1.Lease](o.Registry),
		configMaps:  registry.For[*corev1.ConfigMap](o.Registry),
		secrets:     registry.For[*corev1.Secret](o.Registry),
		claims:      registry.For[*corev1.PersistentVolumeClaim](o.Registry),
		jobs:        registry.For[*batchv1.Job](o.Registry),
		persistent:  registry.For[*corev1.PersistentVolume](o.Registry),
		services:    registry.For[*corev1.Service](o.Registry),
		crashPolicy: pod.BackoffPolicy{First: o.CrashBackoff, Max: o.MaxCrashBackoff},
		pullPolicy:  pod.BackoffPolicy{First: o.PullBackoff, Max: o.MaxPullBackoff},
		removals:    make(chan struct{}, o.Removals),
		engine:      engineState{down: notListedYet},
		introduced:  make(chan struct{}),
		records:     newRecords(),
	}
	a.volumes = &volume.Manager{Dir: o.VolumeDir, MemoryDir: o.MemoryDir, Node: o.Name, Sources: a, Claims: a, Tokens: o.Tokens, Clock: o.Clock, Engine: o.Runtime,
		ResolvConf: a.resolvConf, ClusterDomain: o.ClusterDomain}
	a.images = newImages(o.Runtime, o.Clock)
	return a
}

// Run runs the node's pods until ctx ends and returns when everything it started has ended. It can
// be called once. Containers keep running, but what is left of deleted pods is removed, unless the
// cause of ctx's end is ErrFailed. An error means that the store could not be followed.
func (a *Agent) Run(ctx context.Context) error {
	if a.VolumeDir != "" {
		if err := os.MkdirAll(a.VolumeDir, 0o700); err != nil {
			return fmt.Errorf("making the directory of pods' volumes: %w", err)
		}
	}
	ctx = request.WithUser(ctx, &user.DefaultInfo{Name: "system:node:" + a.Name, Groups: []string{user.NodesGroup, user.AllAuthenticated}})
	group, running := errgroup.WithContext(ctx)
	a.background.open(running)
	group.Go(func() error { return a.planLoop().Run(running) })
	group.Go(func() error { return a.writeLoop().Run(running) })
	group.Go(func() error { return a.followEngine(running) })
	group.Go(func() error { return a.watchEngine(running) })
	group.Go(func() error { return a.keepNode(running) })
	err := group.Wait()
	a.background.wait()
	a.dropProbes()
	if !errors.Is(context.Cause(ctx), ErrFailed) {
		a.drain(context.WithoutCancel(ctx))
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("node agent of %s: %w", a.Name, err)
	}
	return nil
}
