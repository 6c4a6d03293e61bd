package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"golang.org/x/sync/errgroup"
)

// rawImage is what every scenario runs.
const rawImage = "ksfzhaohui/kubia"

var rawCount atomic.Int64

// rawNetwork makes a bridge network for the raw containers, which also live in network namespaces of their own.
func (b *bench) rawNetwork(ctx context.Context) (name string, remove func() error, err error) {
	name = fmt.Sprintf("skiff-bench-raw-%d", rawCount.Add(1))
	made, err := b.engine.NetworkCreate(ctx, name, network.CreateOptions{Driver: "bridge"})
	if err != nil {
		return "", nil, err
	}
	return name, func() error { return b.engine.NetworkRemove(context.WithoutCancel(ctx), made.ID) }, nil
}

// rawRun creates and starts n containers, at most parallel at once, and returns how long that took. remove takes them away.
func (b *bench) rawRun(ctx context.Context, net string, n, parallel int) (took time.Duration, remove func() error, err error) {
	ids := make([]string, n)
	began := time.Now()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i := range n {
		g.Go(func() (err error) { ids[i], err = b.rawStart(gctx, net); return err })
	}
	err = g.Wait()
	took = time.Since(began)
	return took, func() error { return b.rawRemove(context.WithoutCancel(ctx), ids) }, err
}

func (b *bench) rawStart(ctx context.Context, net string) (string, error) {
	made, err := b.engine.ContainerCreate(ctx, &container.Config{Image: rawImage}, &container.HostConfig{NetworkMode: container.NetworkMode(net)}, nil, nil, "")
	if err != nil {
		return "", err
	}
	return made.ID, b.engine.ContainerStart(ctx, made.ID, container.StartOptions{})
}

func (b *bench) rawRemove(ctx context.Context, ids []string) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for _, id := range ids {
		if id != "" {
			g.Go(func() error { return b.engine.ContainerRemove(ctx, id, container.RemoveOptions{Force: true}) })
		}
	}
	return g.Wait()
}
