package api_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/client-go/kubernetes"

	"skiff/api"
	"skiff/api/openapi"
)

// report gives the benchmark its median beside the mean.
func report(b *testing.B, took []time.Duration) {
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// timed runs do b.N times and reports.
func timed(b *testing.B, do func(i int) error) {
	var took []time.Duration
	i := 0
	for b.Loop() {
		began := time.Now()
		if err := do(i); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
		i++
	}
	report(b, took)
}

// BenchmarkFirstWrite is what the first write costs beside the later ones: the types of all fields
// are read for it.
func BenchmarkFirstWrite(b *testing.B) {
	var took []time.Duration
	for b.Loop() {
		b.StopTimer()
		h := start(b, options{})
		if _, err := h.client.CoreV1().Pods("default").List(context.Background(), metav1.ListOptions{}); err != nil {
			b.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		b.StartTimer()
		began := time.Now()
		if _, err := h.client.CoreV1().Pods("default").Create(context.Background(), pod("a"), metav1.CreateOptions{}); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
		b.StopTimer()
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB-kept")
		h.stop()
		b.StartTimer()
	}
	report(b, took)
}

func BenchmarkCreatePod(b *testing.B) {
	h := start(b, options{})
	pods := h.client.CoreV1().Pods("default")
	must[*corev1.Pod](b)(pods.Create(context.Background(), pod("first"), metav1.CreateOptions{}))
	timed(b, func(i int) error {
		_, err := pods.Create(context.Background(), pod(fmt.Sprint("pod-", i)), metav1.CreateOptions{})
		return err
	})
}

func BenchmarkCreateConfigMap32Clients(b *testing.B) {
	h := start(b, options{})
	var clients []kubernetes.Interface
	for range 32 {
		clients = append(clients, must[*kubernetes.Clientset](b)(kubernetes.NewForConfig(h.config)))
	}
	b.ResetTimer()
	var group sync.WaitGroup
	for c, client := range clients {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := c; i < b.N; i += len(clients) {
				m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("map-", i)}, Data: map[string]string{"a": "b"}}
				if _, err := client.CoreV1().ConfigMaps("default").Create(context.Background(), m, metav1.CreateOptions{}); err != nil {
					b.Error(err)
					return
				}
			}
		}()
	}
	group.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "creates/s")
}

func BenchmarkGetPod(b *testing.B) {
	h := start(b, options{})
	pods := h.client.CoreV1().Pods("default")
	must[*corev1.Pod](b)(pods.Create(context.Background(), pod("a"), metav1.CreateOptions{}))
	timed(b, func(int) error {
		_, err := pods.Get(context.Background(), "a", metav1.GetOptions{})
		return err
	})
}

func BenchmarkUpdatePodStatus(b *testing.B) {
	h := start(b, options{})
	pods := h.client.CoreV1().Pods("default")
	p := must[*corev1.Pod](b)(pods.Create(context.Background(), pod("a"), metav1.CreateOptions{}))
	timed(b, func(i int) error {
		p.Status.Message = fmt.Sprint("for the ", i)
		p.ResourceVersion = ""
		_, err := pods.UpdateStatus(context.Background(), p, metav1.UpdateOptions{})
		return err
	})
}

func BenchmarkList1000Pods(b *testing.B) {
	h := start(b, options{})
	pods := h.client.CoreV1().Pods("default")
	for i := range 1000 {
		must[*corev1.Pod](b)(pods.Create(context.Background(), pod(fmt.Sprint("pod-", i)), metav1.CreateOptions{}))
	}
	for name, accept := range map[string]string{
		"json":     "application/json",
		"protobuf": "application/vnd.kubernetes.protobuf",
		"table":    "application/json;as=Table;v=v1;g=meta.k8s.io",
	} {
		for _, encoding := range []string{"identity", "gzip"} {
			b.Run(name+"/"+encoding, func(b *testing.B) {
				client := h.http()
				timed(b, func(int) error {
					r, err := http.NewRequest(http.MethodGet, h.config.Host+"/api/v1/namespaces/default/pods", nil)
					if err != nil {
						return err
					}
					r.Header.Set("Accept", accept)
					r.Header.Set("Accept-Encoding", encoding)
					answer, err := client.Do(r)
					if err != nil {
						return err
					}
					n, err := io.Copy(io.Discard, answer.Body)
					b.ReportMetric(float64(n)/1024, "KiB")
					return err
				})
			})
		}
	}
}

// BenchmarkWatchEvent is the time from the beginning of a create to its event at another client.
func BenchmarkWatchEvent(b *testing.B) {
	h := start(b, options{})
	pods := h.client.CoreV1().Pods("default")
	must[*corev1.Pod](b)(pods.Create(context.Background(), pod("first"), metav1.CreateOptions{}))
	other := must[*kubernetes.Clientset](b)(kubernetes.NewForConfig(h.config))
	w, err := other.CoreV1().Pods("default").Watch(context.Background(), metav1.ListOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer w.Stop()
	<-w.ResultChan()
	var after []time.Duration
	timed(b, func(i int) error {
		_, err := pods.Create(context.Background(), pod(fmt.Sprint("pod-", i)), metav1.CreateOptions{})
		created := time.Now()
		<-w.ResultChan()
		after = append(after, time.Since(created))
		return err
	})
	slices.Sort(after)
	b.ReportMetric(float64(after[len(after)/2].Microseconds()), "p50-after-answer-µs")
}

// BenchmarkNew is the API's share of a daemon's start, without what it shares with the registry.
func BenchmarkNew(b *testing.B) {
	h := start(b, options{})
	for b.Loop() {
		documents := must[*openapi.Documents](b)(openapi.New())
		_, err := api.New(api.Options{Registry: h.registry, OpenAPI: documents, Metrics: prometheus.NewRegistry(), Authenticator: union.New(), PodStreams: newFakePods()})
		if err != nil {
			b.Fatal(err)
		}
	}
}
