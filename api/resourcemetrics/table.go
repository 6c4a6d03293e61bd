package resourcemetrics

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
)

// ConvertToTable implements rest.TableConvertor.
func (p *Pods) ConvertToTable(_ context.Context, obj, o runtime.Object) (*metav1.Table, error) {
	return table(obj, o)
}

// ConvertToTable implements rest.TableConvertor.
func (n *Nodes) ConvertToTable(_ context.Context, obj, o runtime.Object) (*metav1.Table, error) {
	return table(obj, o)
}

// table has the columns of metrics-server's.
func table(obj, o runtime.Object) (*metav1.Table, error) {
	t := &metav1.Table{}
	if options, ok := o.(*metav1.TableOptions); !ok || !options.NoHeaders {
		t.ColumnDefinitions = []metav1.TableColumnDefinition{
			{Name: "Name", Type: "string", Format: "name", Description: "The name of the pod or node."},
			{Name: string(corev1.ResourceCPU), Type: "string", Format: "quantity"},
			{Name: string(corev1.ResourceMemory), Type: "string", Format: "quantity"},
			{Name: "Window", Type: "string", Format: "duration"},
		}
	}
	add := func(item runtime.Object) error {
		cells, err := cellsOf(item)
		t.Rows = append(t.Rows, metav1.TableRow{Cells: cells, Object: runtime.RawExtension{Object: item}})
		return err
	}
	if meta.IsListType(obj) {
		return t, meta.EachListItem(obj, add)
	}
	return t, add(obj)
}

func cellsOf(item runtime.Object) ([]any, error) {
	switch m := item.(type) {
	case *metricsv1beta1.PodMetrics:
		sum := corev1.ResourceList{}
		for _, c := range m.Containers {
			for name, quantity := range c.Usage {
				total := sum[name]
				total.Add(quantity)
				sum[name] = total
			}
		}
		return []any{m.Name, sum.Cpu().String(), sum.Memory().String(), m.Window.Duration.String()}, nil
	case *metricsv1beta1.NodeMetrics:
		return []any{m.Name, m.Usage.Cpu().String(), m.Usage.Memory().String(), m.Window.Duration.String()}, nil
	}
	return nil, fmt.Errorf("unexpected type %T", item)
}
