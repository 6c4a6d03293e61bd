package replicas

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"

	"skiff/manifests/registry"
	"skiff/orchestrator/internal/testbed"
	"skiff/store"
)

// BenchmarkSets is what it costs to bring up ReplicaSets of 10 pods, durable
// writes and status included, per pod. It must not grow with their number.
func BenchmarkSets(b *testing.B) {
	for _, sets := range []int{100, 1000} {
		b.Run(fmt.Sprintf("%d sets x 10 pods", sets), func(b *testing.B) {
			for range b.N {
				bringUp(b, sets)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*sets*10), "µs/pod")
		})
	}
}

func bringUp(b *testing.B, sets int) {
	b.StopTimer()
	bed := testbed.New(b)
	c := NewReplicaSets(registry.For[*appsv1.ReplicaSet](bed.Registry), Options{
		Pods: registry.For[*corev1.Pod](bed.Registry), Env: bed.Env(), Workers: 16,
	})
	defer bed.Run(c.Run)()
	done := make(chan struct{})
	var settled atomic.Int64
	detach, err := bed.Feeds.Of("replicasets.apps").Subscribe(b.Context(), func(e store.Event) {
		rs := e.Object.(*appsv1.ReplicaSet)
		if e.Type == watch.Modified && rs.Status.Replicas == 10 && settled.Add(1) == int64(sets) {
			close(done)
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	defer detach()
	b.StartTimer()
	group, ctx := errgroup.WithContext(context.WithoutCancel(b.Context()))
	group.SetLimit(32)
	client := registry.For[*appsv1.ReplicaSet](bed.Registry)
	for i := range sets {
		group.Go(func() error {
			_, err := client.Create(ctx, replicaSet(fmt.Sprintf("set-%d", i), 10, map[string]string{"app": fmt.Sprint(i)}))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	<-done
	b.StopTimer()
}
