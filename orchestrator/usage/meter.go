// Package usage measures how much processor and memory pods and nodes use, as metrics.k8s.io tells
// it: nothing is read, and nothing runs, unless somebody asks.
//
// Processor use is a rate between two readings of a counter. The earlier one is from an earlier
// question, if there was one in the last minute; else two readings are taken, a moment apart.
package usage

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
	"k8s.io/utils/clock"

	"skiff/docker"
	"skiff/manifests/nodefacts"
)

// Source reads counters. *docker.Engine is one.
type Source interface {
	// Usage reads the counters of those of the containers, named by ID, that run.
	Usage(ctx context.Context, ids []string) (map[string]docker.Usage, error)
	// MachineUsage reads those of the whole machine; ok is false where it does not tell.
	MachineUsage(ctx context.Context) (u docker.Usage, ok bool)
}

// Options configure a Meter. Source, Simulated and Pods are required.
type Options struct {
	Source Source
	// Simulated reports whether a node's pods run in memory, and Pods returns the pods of a node.
	Simulated func(node string) bool
	Pods      func(node string) []*corev1.Pod
	// Own is the name of the machine's own node. What it uses is what the whole machine uses, where
	// that is told; what another uses, its pods use.
	Own string
	// Clock is the real one unless set; Logger discards unless set.
	Clock  clock.Clock
	Logger *slog.Logger
}

// Meter measures. It is safe for concurrent use.
type Meter struct {
	options  Options
	counters *counters
}

// New returns a meter.
func New(o Options) *Meter {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Meter{options: o, counters: newCounters(o.Source, o.Clock)}
}

// Pods measures those of the pods that run. Pods of which nothing is known, since they have only
// just started or stopped, are left out.
func (m *Meter) Pods(ctx context.Context, pods []*corev1.Pod) ([]metricsv1beta1.PodMetrics, error) {
	simulated := map[string]bool{}
	var real []*corev1.Pod
	for _, p := range pods {
		node := p.Spec.NodeName
		if _, known := simulated[node]; !known {
			simulated[node] = m.options.Simulated(node)
		}
		if !simulated[node] {
			real = append(real, p)
		}
	}
	rates, err := m.counters.rates(ctx, containersOf(real), false)
	if err != nil {
		return nil, fmt.Errorf("measuring containers: %w", err)
	}
	var out []metricsv1beta1.PodMetrics
	for _, p := range pods {
		of := func() (metricsv1beta1.PodMetrics, bool) { return measured(p, rates) }
		if simulated[p.Spec.NodeName] {
			of = func() (metricsv1beta1.PodMetrics, bool) { return m.simulated(p) }
		}
		if metrics, ok := of(); ok {
			out = append(out, metrics)
		}
	}
	return out, nil
}

// Nodes measures nodes. Those of which nothing is known are left out.
func (m *Meter) Nodes(ctx context.Context, nodes []*corev1.Node) ([]metricsv1beta1.NodeMetrics, error) {
	var pods []*corev1.Pod
	for _, n := range nodes {
		pods = append(pods, m.options.Pods(n.Name)...)
	}
	// The machine's counter is read along with the containers', so that there is one wait for both.
	machine, err := m.counters.rates(ctx, containersOf(pods), true)
	if err != nil {
		return nil, fmt.Errorf("measuring the machine: %w", err)
	}
	ofPods, err := m.Pods(ctx, pods)
	if err != nil {
		return nil, err
	}
	byNode := map[string][]metricsv1beta1.PodMetrics{}
	on := map[types.NamespacedName]string{}
	for _, p := range pods {
		on[types.NamespacedName{Namespace: p.Namespace, Name: p.Name}] = p.Spec.NodeName
	}
	for _, p := range ofPods {
		node := on[types.NamespacedName{Namespace: p.Namespace, Name: p.Name}]
		byNode[node] = append(byNode[node], p)
	}
	var out []metricsv1beta1.NodeMetrics
	for _, n := range nodes {
		if nodefacts.Off(n) {
			continue
		}
		of := m.sum(byNode[n.Name])
		if r, ok := machine[machineKey]; ok && n.Name == m.options.Own {
			of = metricsv1beta1.NodeMetrics{Timestamp: metav1.NewTime(r.at), Window: metav1.Duration{Duration: r.window}, Usage: r.list()}
		}
		of.ObjectMeta = metav1.ObjectMeta{Name: n.Name, Labels: n.Labels, CreationTimestamp: of.Timestamp}
		out = append(out, of)
	}
	return out, nil
}

// sum is what pods use together, over the longest of their windows.
func (m *Meter) sum(pods []metricsv1beta1.PodMetrics) metricsv1beta1.NodeMetrics {
	var total rate
	total.at = m.options.Clock.Now()
	for _, p := range pods {
		total.window = max(total.window, p.Window.Duration)
		for _, c := range p.Containers {
			total.cpu += c.Usage.Cpu().ScaledValue(resource.Nano)
			total.memory += c.Usage.Memory().Value()
		}
	}
	return metricsv1beta1.NodeMetrics{Timestamp: metav1.NewTime(total.at), Window: metav1.Duration{Duration: total.window}, Usage: total.list()}
}

// running calls do with the name and the ID of each of a pod's containers that runs.
func running(p *corev1.Pod, do func(name, id string)) {
	if p.Status.Phase != corev1.PodRunning {
		return
	}
	for _, statuses := range [][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses, p.Status.EphemeralContainerStatuses} {
		for _, s := range statuses {
			if s.State.Running == nil {
				continue
			}
			if _, id, ok := strings.Cut(s.ContainerID, "://"); ok {
				do(s.Name, id)
			}
		}
	}
}

func containersOf(pods []*corev1.Pod) []string {
	var ids []string
	for _, p := range pods {
		running(p, func(_, id string) { ids = append(ids, id) })
	}
	return ids
}

// measured is what a pod's containers use; false if it is not known of each of them.
func measured(p *corev1.Pod, rates map[string]rate) (metricsv1beta1.PodMetrics, bool) {
	out, complete := podMetrics(p), true
	running(p, func(name, id string) {
		r, ok := rates[id]
		if !ok {
			complete = false
			return
		}
		out.Containers = append(out.Containers, metricsv1beta1.ContainerMetrics{Name: name, Usage: r.list()})
		out.Window.Duration = max(out.Window.Duration, r.window)
		if out.Timestamp.Time.Before(r.at) {
			out.Timestamp = metav1.NewTime(r.at)
		}
	})
	out.CreationTimestamp = out.Timestamp
	return out, complete && len(out.Containers) > 0
}

func podMetrics(p *corev1.Pod) metricsv1beta1.PodMetrics {
	return metricsv1beta1.PodMetrics{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, Labels: p.Labels}}
}

// rate is what somebody uses: processor time in nanoseconds a second, and memory in bytes.
type rate struct {
	at          time.Time
	window      time.Duration
	cpu, memory int64
}

// list is the rate as the API shows it, in the units that metrics-server has.
func (r rate) list() corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewScaledQuantity(r.cpu, resource.Nano),
		corev1.ResourceMemory: *resource.NewQuantity(r.memory, resource.BinarySI),
	}
}
