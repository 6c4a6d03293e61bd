package daemon

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"

	"skiff/manifests/registry"
	"skiff/orchestrator/usage"
)

// newMeter makes what measures pods and nodes, of which own is the machine's.
func (d *daemon) newMeter(own string) *usage.Meter {
	nodes, pods := registry.For[*corev1.Node](d.registry), registry.For[*corev1.Pod](d.registry)
	return usage.New(usage.Options{
		Source: d.engine, Own: own, Clock: clock.RealClock{}, Logger: d.log,
		Node: func(name string) *corev1.Node {
			n, err := nodes.Get("", name)
			if err != nil {
				return nil // there is none
			}
			return n
		},
		Pods: func(node string) []*corev1.Pod { return pods.ByIndex(registry.IndexNode, node) },
	})
}
