package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"key": "value"}}
}

// apiLatency measures single requests, one at a time, over one connection.
func apiLatency(ctx context.Context, b *bench) ([]row, error) {
	const n = 300
	maps := b.kube.CoreV1().ConfigMaps(namespace)
	w, err := maps.Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	defer w.Stop()
	var create, get, update, seen []time.Duration
	for i := range n {
		name := fmt.Sprintf("latency-%d", i)
		began := time.Now()
		made, err := maps.Create(ctx, configMap(name), metav1.CreateOptions{})
		if err != nil {
			return nil, err
		}
		create = append(create, time.Since(began))
		began = time.Now()
		if _, err := maps.Get(ctx, name, metav1.GetOptions{}); err != nil {
			return nil, err
		}
		get = append(get, time.Since(began))
		made.Data["key"] = "other"
		began = time.Now()
		if _, err := maps.Update(ctx, made, metav1.UpdateOptions{}); err != nil {
			return nil, err
		}
		update = append(update, time.Since(began))
		for e := range w.ResultChan() {
			if m, ok := e.Object.(*corev1.ConfigMap); ok && m.Name == name && m.Data["key"] == "other" {
				seen = append(seen, time.Since(began))
				break
			}
		}
	}
	return []row{
		atMost("API p50: create", median(create), 1.5, "ms"), atMost("API p50: get", median(get), 0.5, "ms"),
		atMost("API p50: update", median(update), 1.5, "ms"), atMost("API p50: update to its watch event", median(seen), 1.5, "ms"),
	}, maps.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: "metadata.name!=kube-root-ca.crt"})
}

// durableCreates measures how many objects a second 32 clients get stored and acknowledged.
func durableCreates(ctx context.Context, b *bench) ([]row, error) {
	const clients, each = 32, 125
	began := time.Now()
	g, gctx := errgroup.WithContext(ctx)
	for c := range clients {
		g.Go(func() error {
			kube, err := b.main.client()
			if err != nil {
				return err
			}
			for i := range each {
				if _, err := kube.CoreV1().ConfigMaps(namespace).Create(gctx, configMap(fmt.Sprintf("create-%d-%d", c, i)), metav1.CreateOptions{}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	rate := clients * each / time.Since(began).Seconds()
	return []row{atLeast("durable creates through the API, 32 clients", rate, 1000, "1/s")},
		b.kube.CoreV1().ConfigMaps(namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: "metadata.name!=kube-root-ca.crt"})
}
