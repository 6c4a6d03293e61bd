//go:build unix

package scheduling

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"

	"skiff/manifests/registry"
	"skiff/orchestrator/controller"
	"skiff/orchestrator/internal/testbed"
	"skiff/store"
)

func BenchmarkChoose(b *testing.B) {
	for _, perNode := range []int{10, 100} {
		b.Run(fmt.Sprintf("100 nodes x %d pods", perNode), func(b *testing.B) {
			c := newCache()
			for i := range 100 {
				c.setNode(makeNode(fmt.Sprintf("n%d pods=1000 cpu=64 memory=256Gi", i)))
				for j := range perNode {
					c.put(newPod(makePod(fmt.Sprintf("p%d-%d cpu=10m memory=10Mi", i, j))), fmt.Sprintf("n%d", i), false)
				}
			}
			p := makePod("p cpu=10m memory=10Mi")
			turn := 0
			b.ReportAllocs()
			for b.Loop() {
				turn++
				if _, failure := choose(newPod(p), c, turn); failure != nil {
					b.Fatal(failure)
				}
			}
		})
	}
}

// BenchmarkSchedule is what it costs to bind pods to 100 nodes, durable writes
// included: the time that passes per pod, and how many are bound per second of
// processor time, that of the whole process.
func BenchmarkSchedule(b *testing.B) {
	for _, kind := range []struct {
		name string
		make func(i int, p *corev1.Pod)
	}{
		{"alone", func(int, *corev1.Pod) {}},
		{"of ten sets", func(i int, p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{
				APIVersion: appsv1.SchemeGroupVersion.String(), Kind: "ReplicaSet", Name: fmt.Sprint("s", i%10),
				UID: types.UID(fmt.Sprint("s", i%10)), Controller: ptr.To(true),
			}}
		}},
		{"spread, apart from others", func(i int, p *corev1.Pod) {
			own := &metav1.LabelSelector{MatchLabels: map[string]string{"app": fmt.Sprint(i % 10)}}
			p.Labels = own.MatchLabels
			p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
				MaxSkew: 2, TopologyKey: "name", WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: own,
			}}
			p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
				RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
					TopologyKey: "name", LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": fmt.Sprint(i%10, "-enemy")}},
				}},
			}}
		}},
	} {
		for _, pods := range []int{1000, 10000} {
			b.Run(fmt.Sprintf("100 nodes, %d pods %s", pods, kind.name), func(b *testing.B) {
				var processor time.Duration
				for range b.N {
					processor += schedule(b, pods, kind.make)
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*pods), "µs/pod")
				b.ReportMetric(float64(b.N*pods)/processor.Seconds(), "pods/cpu-s")
			})
		}
	}
}

// BenchmarkLonePod is the time from the commit of a single pod to that of its
// binding, which holds one durable write.
func BenchmarkLonePod(b *testing.B) {
	bed := testbed.New(b)
	n := makeNode("n pods=1000000 cpu=64 memory=256Gi")
	testbed.Create(bed, n.DeepCopy())
	testbed.UpdateStatus(bed, "", "n", func(stored *corev1.Node) { stored.Status = n.Status })
	bound := make(chan struct{})
	detach, err := bed.Feeds.Of("pods").Subscribe(b.Context(), func(e store.Event) {
		if before, ok := e.Previous.(*corev1.Pod); ok && before.Spec.NodeName == "" && e.Object.(*corev1.Pod).Spec.NodeName != "" {
			bound <- struct{}{}
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	defer detach()
	s := New(Options{
		Pods: registry.For[*corev1.Pod](bed.Registry), Nodes: registry.For[*corev1.Node](bed.Registry), Binder: bed.Registry.Pods(),
		Env: bed.Env(), Workers: 64,
	})
	defer bed.Run(s.Run)()
	b.ResetTimer()
	for i := range b.N {
		b.StopTimer()
		testbed.Create(bed, testbed.Pod("default", fmt.Sprint("p", i), nil))
		b.StartTimer()
		<-bound
	}
}

// schedule returns the processor time it took.
func schedule(b *testing.B, pods int, change func(int, *corev1.Pod)) time.Duration {
	b.StopTimer()
	bed := testbed.New(b)
	for i := range 100 {
		n := makeNode(fmt.Sprintf("n%d cpu=64 memory=256Gi", i))
		testbed.Create(bed, n.DeepCopy())
		testbed.UpdateStatus(bed, "", n.Name, func(stored *corev1.Node) { stored.Status = n.Status })
	}
	fill(b, bed, pods, change)
	done := make(chan struct{})
	var bound atomic.Int64
	detach, err := bed.Feeds.Of("pods").Subscribe(b.Context(), func(e store.Event) {
		before, ok := e.Previous.(*corev1.Pod)
		if ok && before.Spec.NodeName == "" && e.Object.(*corev1.Pod).Spec.NodeName != "" && bound.Add(1) == int64(pods) {
			close(done)
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	defer detach()
	s := New(Options{
		Pods: registry.For[*corev1.Pod](bed.Registry), Nodes: registry.For[*corev1.Node](bed.Registry), Binder: bed.Registry.Pods(),
		Env: bed.Env(), Workers: 64,
	})
	before := processorTime(b)
	b.StartTimer()
	defer bed.Run(s.Run)()
	<-done
	b.StopTimer()
	return processorTime(b) - before
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// fill makes pods that wait for a node.
func fill(b *testing.B, bed *testbed.Bed, pods int, change func(int, *corev1.Pod)) {
	var group errgroup.Group
	group.SetLimit(64)
	for i := range pods {
		group.Go(func() error {
			p := testbed.Pod("default", fmt.Sprint("p", i), nil)
			p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m")}
			change(i, p)
			_, err := registry.For[*corev1.Pod](bed.Registry).Create(b.Context(), p)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkDeparture is what it costs that a pod leaves a node while many wait
// that it does not let in: for how long the feed of pods, which others share, is
// kept by that, how long it then takes to look at those that wait, and for how
// long the lock, and so the feed, is kept at most by that.
func BenchmarkDeparture(b *testing.B) {
	for _, kind := range []struct{ name, line string }{
		{"too big", ""},
		{"spread, apart from others", " label=app:x spread=1/zone/app:x apart=app:y@name"},
	} {
		for _, waiting := range []int{100, 5000} {
			b.Run(fmt.Sprintf("%d wait %s", waiting, kind.name), func(b *testing.B) {
				s := fullScheduler(waiting, kind.line)
				leaves := makePod("leaves cpu=1 on=n0")
				var told, looked, longest time.Duration
				for b.Loop() {
					s.cache.put(newPod(leaves), "n0", false)
					start := time.Now()
					s.podChanged(store.Event{Type: watch.Deleted, Object: leaves})
					told += time.Since(start)
					for more := true; more; {
						start = time.Now()
						more = s.lookAround(start)
						looked += time.Since(start)
						longest = max(longest, time.Since(start))
					}
					for _, e := range s.queue.entries {
						s.queue.leave(e)
						s.queue.park(e)
					}
				}
				b.ReportMetric(float64(told.Nanoseconds())/float64(b.N), "ns/told")
				b.ReportMetric(float64(looked.Nanoseconds())/float64(b.N), "ns/look")
				b.ReportMetric(float64(longest.Nanoseconds()), "ns-longest")
			})
		}
	}
}

// fullScheduler is one with 100 nodes with a pod each, and pods that fit nowhere.
func fullScheduler(waiting int, line string) *Scheduler {
	s := New(Options{Env: controller.Env{}.WithDefaults()})
	for i := range 100 {
		s.cache.setNode(makeNode(fmt.Sprintf("n%d zone=%d cpu=2", i, i%3)))
		s.cache.put(newPod(makePod(fmt.Sprintf("x%d cpu=1 label=app:x", i))), fmt.Sprint("n", i), false)
	}
	for i := range waiting {
		p := makePod(fmt.Sprintf("p%d cpu=3%s", i, line))
		s.queue.put(p)
		e, _ := s.queue.next(time.Now())
		s.queue.failed(e, newPod(p), line != "", time.Now())
		s.queue.done(e)
	}
	return s
}
