// Package resourcemetrics serves metrics.k8s.io: how much processor and memory pods and nodes use.
// Nothing is stored: each question is answered by measuring.
// https://kubernetes.io/docs/tasks/debug/debug-cluster/resource-metrics-pipeline/
package resourcemetrics

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
)

// GroupVersion is what is served.
var GroupVersion = metricsv1beta1.SchemeGroupVersion

// Meter measures pods and nodes. It leaves out those of which it knows nothing.
type Meter interface {
	Pods(ctx context.Context, pods []*corev1.Pod) ([]metricsv1beta1.PodMetrics, error)
	Nodes(ctx context.Context, nodes []*corev1.Node) ([]metricsv1beta1.NodeMetrics, error)
}

// Scheme knows the types of metrics.k8s.io. Its internal version is the served one.
func Scheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	metav1.AddToGroupVersion(s, metav1.Unversioned)
	if err := metricsv1beta1.SchemeBuilder.AddToScheme(s); err != nil {
		return nil, fmt.Errorf("registering the types of %s: %w", GroupVersion, err)
	}
	s.AddKnownTypes(schema.GroupVersion{Group: GroupVersion.Group, Version: runtime.APIVersionInternal},
		&metricsv1beta1.NodeMetrics{}, &metricsv1beta1.NodeMetricsList{}, &metricsv1beta1.PodMetrics{}, &metricsv1beta1.PodMetricsList{})
	return s, nil
}
