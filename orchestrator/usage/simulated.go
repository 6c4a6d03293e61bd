package usage

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"

	"skiff/manifests/podfacts"
)

// simulated is what a pod that runs in memory is said to use: what its annotation says, else what
// its containers request.
func (m *Meter) simulated(p *corev1.Pod) (metricsv1beta1.PodMetrics, bool) {
	if p.Status.Phase != corev1.PodRunning {
		return metricsv1beta1.PodMetrics{}, false
	}
	said, err := annotated(p)
	if err != nil {
		m.options.Logger.Warn("a simulated pod's usage is not known", "pod", p.Namespace+"/"+p.Name, "error", err)
		return metricsv1beta1.PodMetrics{}, false
	}
	out := podMetrics(p)
	out.Timestamp, out.Window = metav1.NewTime(m.options.Clock.Now()), metav1.Duration{Duration: window}
	out.CreationTimestamp = out.Timestamp
	for _, c := range p.Spec.Containers {
		use := corev1.ResourceList{corev1.ResourceCPU: *c.Resources.Requests.Cpu(), corev1.ResourceMemory: *c.Resources.Requests.Memory()}
		for name, quantity := range said {
			use[name] = quantity
		}
		out.Containers = append(out.Containers, metricsv1beta1.ContainerMetrics{Name: c.Name, Usage: use})
	}
	return out, len(out.Containers) > 0
}

// annotated reads what the annotation says that each container uses.
func annotated(p *corev1.Pod) (corev1.ResourceList, error) {
	text, ok := p.Annotations[podfacts.UsageAnnotation]
	if !ok {
		return nil, nil
	}
	said := corev1.ResourceList{}
	for pair := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		quantity, err := resource.ParseQuantity(value)
		if err != nil || name != string(corev1.ResourceCPU) && name != string(corev1.ResourceMemory) {
			return nil, fmt.Errorf("annotation %s: %q is not cpu or memory and its quantity, as cpu=250m", podfacts.UsageAnnotation, pair)
		}
		said[corev1.ResourceName(name)] = quantity
	}
	return said, nil
}
