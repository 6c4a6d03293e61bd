package api_test

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
)

// BenchmarkCustomWrite is a write of a custom resource beside one of a ConfigMap of the same size,
// both through the same client.
func BenchmarkCustomWrite(b *testing.B) {
	h := start(b, options{})
	h.define(widgets)
	configMaps := h.any.Resource(corev1.SchemeGroupVersion.WithResource("configmaps")).Namespace("default")
	for name, c := range map[string]struct {
		client dynamic.ResourceInterface
		object func(i int) *unstructured.Unstructured
	}{
		"ConfigMap": {configMaps, func(i int) *unstructured.Unstructured {
			return &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": fmt.Sprint("c", i)},
				"data": map[string]any{"color": "red", "replicas": "2", "a": "a", "b": "b"},
			}}
		}},
		"custom": {h.any.Resource(widgetsV1).Namespace("default"), func(i int) *unstructured.Unstructured {
			return widget(fmt.Sprint("c", i), `"spec":{"color":"red","replicas":2,"parts":[{"name":"a"},{"name":"b"}]}`)
		}},
	} {
		b.Run(name, func(b *testing.B) {
			if _, err := c.client.Create(context.Background(), c.object(1<<30), metav1.CreateOptions{}); err != nil {
				b.Fatal(err) // schemas are compiled by it
			}
			timed(b, func(i int) error {
				_, err := c.client.Create(context.Background(), c.object(i), metav1.CreateOptions{})
				return err
			})
			if err := c.client.DeleteCollection(context.Background(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
				b.Fatal(err)
			}
		})
	}
}
