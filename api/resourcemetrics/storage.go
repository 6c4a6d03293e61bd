package resourcemetrics

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"

	"skiff/manifests/registry"
)

// Pods serves the use of pods.
type Pods struct {
	Meter Meter
	Of    registry.Client[*corev1.Pod]
}

// Nodes serves the use of nodes.
type Nodes struct {
	Meter Meter
	Of    registry.Client[*corev1.Node]
}

var (
	_ rest.KindProvider         = (*Pods)(nil)
	_ rest.Scoper               = (*Pods)(nil)
	_ rest.SingularNameProvider = (*Pods)(nil)
	_ rest.Getter               = (*Pods)(nil)
	_ rest.Lister               = (*Pods)(nil)
	_ rest.KindProvider         = (*Nodes)(nil)
	_ rest.Scoper               = (*Nodes)(nil)
	_ rest.SingularNameProvider = (*Nodes)(nil)
	_ rest.Getter               = (*Nodes)(nil)
	_ rest.Lister               = (*Nodes)(nil)
)

// New implements rest.Storage.
func (p *Pods) New() runtime.Object { return &metricsv1beta1.PodMetrics{} }

// NewList implements rest.Lister.
func (p *Pods) NewList() runtime.Object { return &metricsv1beta1.PodMetricsList{} }

// Destroy implements rest.Storage.
func (p *Pods) Destroy() {}

// Kind implements rest.KindProvider.
func (p *Pods) Kind() string { return "PodMetrics" }

// NamespaceScoped implements rest.Scoper.
func (p *Pods) NamespaceScoped() bool { return true }

// GetSingularName implements rest.SingularNameProvider. metrics-server names none, so that "pod"
// means a pod.
func (p *Pods) GetSingularName() string { return "" }

// Get implements rest.Getter.
func (p *Pods) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	namespace := request.NamespaceValue(ctx)
	pod, err := p.Of.Get(namespace, name)
	if err != nil {
		return nil, err
	}
	found, err := p.Meter.Pods(ctx, []*corev1.Pod{pod})
	if err != nil {
		return nil, apierrors.NewServiceUnavailable(err.Error())
	}
	if len(found) == 0 {
		return nil, apierrors.NewNotFound(GroupVersion.WithResource("podmetrics").GroupResource(), namespace+"/"+name)
	}
	return &found[0], nil
}

// List implements rest.Lister.
func (p *Pods) List(ctx context.Context, o *metainternalversion.ListOptions) (runtime.Object, error) {
	byLabel, byField := selectors(o)
	var pods []*corev1.Pod
	for _, pod := range p.Of.List(request.NamespaceValue(ctx), byLabel) {
		if byField.Matches(fieldsOf(pod)) {
			pods = append(pods, pod)
		}
	}
	found, err := p.Meter.Pods(ctx, pods)
	if err != nil {
		return nil, apierrors.NewServiceUnavailable(err.Error())
	}
	return &metricsv1beta1.PodMetricsList{Items: append([]metricsv1beta1.PodMetrics{}, found...)}, nil
}

// New implements rest.Storage.
func (n *Nodes) New() runtime.Object { return &metricsv1beta1.NodeMetrics{} }

// NewList implements rest.Lister.
func (n *Nodes) NewList() runtime.Object { return &metricsv1beta1.NodeMetricsList{} }

// Destroy implements rest.Storage.
func (n *Nodes) Destroy() {}

// Kind implements rest.KindProvider.
func (n *Nodes) Kind() string { return "NodeMetrics" }

// NamespaceScoped implements rest.Scoper.
func (n *Nodes) NamespaceScoped() bool { return false }

// GetSingularName implements rest.SingularNameProvider.
func (n *Nodes) GetSingularName() string { return "" }

// Get implements rest.Getter.
func (n *Nodes) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	node, err := n.Of.Get("", name)
	if err != nil {
		return nil, err
	}
	found, err := n.Meter.Nodes(ctx, []*corev1.Node{node})
	if err != nil {
		return nil, apierrors.NewServiceUnavailable(err.Error())
	}
	if len(found) == 0 {
		return nil, apierrors.NewNotFound(GroupVersion.WithResource("nodemetrics").GroupResource(), name)
	}
	return &found[0], nil
}

// List implements rest.Lister.
func (n *Nodes) List(ctx context.Context, o *metainternalversion.ListOptions) (runtime.Object, error) {
	byLabel, byField := selectors(o)
	var nodes []*corev1.Node
	for _, node := range n.Of.List("", byLabel) {
		if byField.Matches(fieldsOf(node)) {
			nodes = append(nodes, node)
		}
	}
	found, err := n.Meter.Nodes(ctx, nodes)
	if err != nil {
		return nil, apierrors.NewServiceUnavailable(err.Error())
	}
	return &metricsv1beta1.NodeMetricsList{Items: append([]metricsv1beta1.NodeMetrics{}, found...)}, nil
}

func selectors(o *metainternalversion.ListOptions) (labels.Selector, fields.Selector) {
	byLabel, byField := labels.Everything(), fields.Everything()
	if o != nil && o.LabelSelector != nil {
		byLabel = o.LabelSelector
	}
	if o != nil && o.FieldSelector != nil {
		byField = o.FieldSelector
	}
	return byLabel, byField
}

// fieldsOf are the fields that a field selector may name: those that every kind has.
func fieldsOf(o metav1.Object) fields.Set {
	set := fields.Set{"metadata.name": o.GetName()}
	if o.GetNamespace() != "" {
		set["metadata.namespace"] = o.GetNamespace()
	}
	return set
}
