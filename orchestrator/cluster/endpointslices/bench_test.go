package endpointslices

import (
	"context"
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"skiff/manifests/registry"
	"skiff/orchestrator/internal/testbed"
	"skiff/store"
)

// BenchmarkReadiness is how long it takes until the slice of one of 1,000 Services with 10 pods each
// says that a pod has become ready, or is not any more: from the write of its status on, both writes
// durable.
func BenchmarkReadiness(b *testing.B) {
	bed := testbed.New(b)
	const services, each = 1000, 10
	testbed.Create(bed, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node"}})
	populate(b, bed, services, each)
	written := make(chan string, services)
	detach, err := bed.Feeds.Of("endpointslices.discovery.k8s.io").Subscribe(b.Context(), func(e store.Event) {
		s := e.Object.(*discoveryv1.EndpointSlice)
		if len(s.Endpoints) == each {
			written <- s.Labels[discoveryv1.LabelServiceName]
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	defer detach()
	defer bed.Run(New(Options{Env: bed.Env(), Workers: 16}).Run)()
	for range services {
		<-written
	}
	b.ResetTimer()
	for i := range b.N {
		status := corev1.ConditionTrue
		if i/(services*each)%2 == 0 {
			status = corev1.ConditionFalse
		}
		testbed.UpdateStatus(bed, "default", fmt.Sprintf("s%d-%d", i%services, i/services%each), func(p *corev1.Pod) {
			p.Status.Conditions[0].Status = status
		})
		<-written
	}
}

func populate(b *testing.B, bed *testbed.Bed, services, each int) {
	group, ctx := errgroup.WithContext(context.WithoutCancel(b.Context()))
	group.SetLimit(64)
	for i := range services {
		group.Go(func() error {
			labels := map[string]string{"app": fmt.Sprint("s", i), "tier": "backend"}
			for j := range each {
				p := testbed.Pod("default", fmt.Sprintf("s%d-%d", i, j), labels)
				p.Spec.NodeName = "node"
				if _, err := registry.For[*corev1.Pod](bed.Registry).Create(ctx, p); err != nil {
					return err
				}
				_, err := registry.For[*corev1.Pod](bed.Registry).UpdateStatus(ctx, "default", p.Name, func(p *corev1.Pod) error {
					p.Status.PodIP = fmt.Sprintf("10.%d.%d.%d", i/250, i%250, j+1)
					p.Status.PodIPs = []corev1.PodIP{{IP: p.Status.PodIP}}
					p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
					return nil
				})
				if err != nil {
					return err
				}
			}
			_, err := registry.For[*corev1.Service](bed.Registry).Create(ctx, &corev1.Service{
				ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprint("s", i)},
				Spec: corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{{
					Name: "web", Port: 80, TargetPort: intstr.FromInt32(8080), Protocol: corev1.ProtocolTCP,
				}}},
			})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
}
