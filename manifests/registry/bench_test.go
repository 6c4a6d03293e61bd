package registry_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"skiff/manifests"
	"skiff/manifests/registry"
)

// BenchmarkReview is what the rules take for a pod, without the store.
func BenchmarkReview(b *testing.B) {
	kind := manifests.KindFor(open(b).resource("pods").Kind().GroupResource())
	p := pod("p")
	manifests.Scheme().Default(p)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		p.UID, p.ResourceVersion = "u", ""
		if r := kind.Create(ctx, p); len(r.Errors) > 0 {
			b.Fatal(r.Errors)
		}
	}
}

func BenchmarkCreatePod(b *testing.B) {
	f := open(b)
	client := registry.For[*corev1.Pod](f.Registry)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		p := pod(fmt.Sprint("p", i))
		manifests.Scheme().Default(p)
		if _, err := client.Create(f.ctx, p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCreatePodParallel(b *testing.B) {
	f := open(b)
	client := registry.For[*corev1.Pod](f.Registry)
	var n atomic.Int64
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			p := pod(fmt.Sprint("p", n.Add(1)))
			manifests.Scheme().Default(p)
			if _, err := client.Create(f.ctx, p); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkUpdatePodStatus(b *testing.B) {
	f := open(b)
	client := registry.For[*corev1.Pod](f.Registry)
	f.create(pod("p"))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := client.UpdateStatus(f.ctx, "default", "p", func(p *corev1.Pod) error {
			p.Status.Message = fmt.Sprint(i)
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkNoOpUpdate never reaches the disk.
func BenchmarkNoOpUpdate(b *testing.B) {
	f := open(b)
	client := registry.For[*corev1.Pod](f.Registry)
	f.create(pod("p"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.UpdateStatus(f.ctx, "default", "p", func(*corev1.Pod) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkList1000 selects half of a thousand pods by a label.
func BenchmarkList1000(b *testing.B) {
	f := open(b)
	for i := range 1000 {
		f.create(pod(fmt.Sprintf("p%04d", i), func(p *corev1.Pod) {
			p.Labels = map[string]string{"app": "kubia", "half": fmt.Sprint(i % 2)}
		}))
	}
	for name, o := range map[string]registry.ListOptions{
		"all":    {},
		"labels": {Labels: selector("app=kubia,half=1")},
		"fields": {Fields: fieldSelector("spec.nodeName=n")},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := f.resource("pods").List(f.ctx, "default", o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCreatePodCharged creates in a namespace with a quota, which is
// written along with each pod.
func BenchmarkCreatePodCharged(b *testing.B) {
	f := open(b)
	client := registry.For[*corev1.Pod](f.Registry)
	f.create(quotaOf("q", "pods", "1000000000"))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		p := pod(fmt.Sprint("p", i))
		manifests.Scheme().Default(p)
		if _, err := client.Create(f.ctx, p); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCreateServices creates a thousand services, with cluster IPs alone and with node ports.
func BenchmarkCreateServices(b *testing.B) {
	for name, change := range map[string][]func(*corev1.ServiceSpec){"cluster IPs": nil, "node ports": {nodePort}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				f := open(b)
				client := registry.For[*corev1.Service](f.Registry)
				b.StartTimer()
				for i := range 1000 {
					if _, err := client.Create(f.ctx, service(fmt.Sprint("s", i), change...)); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
