package fleet

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"skiff/manifests/nodefacts"
	"skiff/manifests/registry"
)

// BenchmarkSimulatedPods measures a whole daemon with pods on a hundred simulated nodes, from the
// creation of their ReplicaSet until all are Ready.
func BenchmarkSimulatedPods(b *testing.B) {
	for _, pods := range []int{1_000, 10_000} {
		b.Run(fmt.Sprint(pods), func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				w := newWorld(b)
				for i := range 100 {
					w.add(fmt.Sprintf("sim-%d", i), "simulated")
				}
				wait(b, func() bool {
					for i := range 100 {
						if w.ready(fmt.Sprintf("sim-%d", i)) != "True" {
							return false
						}
					}
					return true
				})
				before, written := live(), w.registry.Store().Snapshot("pods").Revision()
				b.StartTimer()
				w.replicas("kubia", int32(pods), map[string]string{nodefacts.LabelSimulated: "true"})
				sets := registry.For[*appsv1.ReplicaSet](w.registry)
				wait(b, func() bool {
					rs, err := sets.Get("default", "kubia")
					return err == nil && int(rs.Status.ReadyReplicas) == pods
				})
				b.StopTimer()
				b.ReportMetric(float64(live()-before)/float64(pods), "B-live/pod")
				b.ReportMetric(float64(w.registry.Store().Snapshot("pods").Revision()-written)/float64(pods), "writes/pod")
				w.stop()
				w.stop = func() {}
				b.StartTimer()
			}
			b.ReportMetric(float64(b.N*pods)/b.Elapsed().Seconds(), "pods/s")
		})
	}
}

func live() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func wait(t testing.TB, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for !ok() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("not in time")
		}
	}
}
