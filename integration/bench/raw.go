package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"golang.org/x/sync/errgroup"
)

// rawImage is what every scenario runs.
const rawImage = "ksfzhaohui/kubia"

// Networks of the raw side. On a network that a user has defined the engine also starts a resolver
// for each container, which costs it a process of its own.
const (
	defaultBridge = "the default bridge"
	userDefined   = "a user-defined network"
)

// rawWay is a way in which plain API calls do the same work as skiff.
type rawWay struct {
	network string
	// parallel is how many containers are started at once.
	parallel int
}

func (w rawWay) String() string { return fmt.Sprintf("%s, %d at a time", w.network, w.parallel) }

// The sweep starts so many containers in each way, so often.
const sweepContainers, sweepRounds = 16, 3

// sweepParallel are the degrees of parallelism that the sweep tries.
var sweepParallel = []int{2, 3, 4, 6, 8}

// sweep finds the fastest way on each network. All ways take turns, so that whatever else the
// machine does hits them alike; of each the fastest round counts.
func (b *bench) sweep(ctx context.Context) error {
	fastest := map[rawWay]time.Duration{}
	for range sweepRounds {
		for _, net := range []string{defaultBridge, userDefined} {
			for _, parallel := range sweepParallel {
				way := rawWay{net, parallel}
				took, err := b.rawReplicas(ctx, way, sweepContainers)
				if err != nil {
					return fmt.Errorf("raw starts on %s: %w", way, err)
				}
				if best, ok := fastest[way]; !ok || took < best {
					fastest[way] = took
				}
			}
		}
	}
	b.best, b.bestOwn = fastestOn(fastest, ""), fastestOn(fastest, userDefined)
	fmt.Fprintf(os.Stderr, "raw Engine calls, %d starts:\n", sweepContainers)
	for _, net := range []string{defaultBridge, userDefined} {
		for _, parallel := range sweepParallel {
			way := rawWay{net, parallel}
			fmt.Fprintf(os.Stderr, "  %-40s %.0f ms\n", way, ms(fastest[way]))
		}
	}
	return nil
}

// fastestOn is the fastest of the ways on one network, or on any where none is named.
func fastestOn(took map[rawWay]time.Duration, net string) rawWay {
	var ways []rawWay
	for way := range took {
		if net == "" || way.network == net {
			ways = append(ways, way)
		}
	}
	return slices.MinFunc(ways, func(a, b rawWay) int { return int(took[a] - took[b]) })
}

var rawCount atomic.Int64

// rawNetwork is the network of one round's raw containers, which also live in network namespaces of
// their own: the engine's default bridge, or one made for the round.
func (b *bench) rawNetwork(ctx context.Context, way rawWay) (name string, remove func() error, err error) {
	if way.network == defaultBridge {
		return "bridge", func() error { return nil }, nil
	}
	name = fmt.Sprintf("skiff-bench-raw-%d", rawCount.Add(1))
	made, err := b.engine.NetworkCreate(ctx, name, network.CreateOptions{Driver: "bridge"})
	if err != nil {
		return "", nil, err
	}
	return name, func() error { return b.engine.NetworkRemove(context.WithoutCancel(ctx), made.ID) }, nil
}

// rawReplicas is how long it takes to create and start n containers.
func (b *bench) rawReplicas(ctx context.Context, way rawWay, n int) (took time.Duration, err error) {
	net, dropNet, err := b.rawNetwork(ctx, way)
	if err != nil {
		return 0, err
	}
	ids := make([]string, n)
	began := time.Now()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(way.parallel)
	for i := range n {
		g.Go(func() (err error) { ids[i], err = b.rawStart(gctx, net); return err })
	}
	err = g.Wait()
	took = time.Since(began)
	return took, errors.Join(err, b.rawRemove(context.WithoutCancel(ctx), ids), dropNet())
}

func (b *bench) rawStart(ctx context.Context, net string) (string, error) {
	made, err := b.engine.ContainerCreate(ctx, &container.Config{Image: rawImage},
		&container.HostConfig{NetworkMode: container.NetworkMode(net)}, nil, nil, "")
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
