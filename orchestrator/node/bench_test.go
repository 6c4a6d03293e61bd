package node

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"skiff/docker"
	"skiff/orchestrator/node/memory"
)

// BenchmarkSimulatedPods measures the time from a pod's creation until it is Ready on a simulated
// node.
func BenchmarkSimulatedPods(b *testing.B) {
	d := &daemon{TB: b, dir: b.TempDir()}
	engine := memory.New(memory.Options{AnyImage: true})
	d.adapt = func(o *Options) {
		o.Runtime, o.VolumeDir, o.Logger = engine, "", slog.New(slog.DiscardHandler)
		o.Addresses = docker.NewAddresses(netip.MustParsePrefix("10.0.0.0/8"), netip.MustParseAddr("10.0.0.1"))
	}
	d.start()
	defer func() { d.stopAll() }()
	d.createNamespaces()
	ctx, cancel := context.WithTimeout(b.Context(), 10*time.Minute)
	defer cancel()
	_, changes, err := d.pods.Events(ctx)
	if err != nil {
		b.Fatal(err)
	}
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	b.ResetTimer()
	group := errgroup.Group{}
	group.SetLimit(64)
	go func() {
		for i := range b.N {
			group.Go(func() error {
				d.createPod(fmt.Sprintf("pod-%d", i), "containers: [{name: a, image: kubia}]")
				return nil
			})
		}
	}()
	for ready := map[string]bool{}; len(ready) < b.N; {
		events, _, err := changes.Next(ctx)
		if err != nil {
			b.Fatal(err)
		}
		for _, e := range events {
			p := e.Object.(*corev1.Pod)
			if condition(p, corev1.PodReady).Status == corev1.ConditionTrue {
				ready[p.Name] = true
			}
		}
	}
	b.StopTimer()
	var after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pods/s")
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(b.N), "B-live/pod")
}
