package daemon

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"

	"skiff/docker"
	"skiff/manifests/registry"
	"skiff/orchestrator/usage"
)

// newMeter makes what measures pods and nodes, of which own is the machine's.
func (d *daemon) newMeter(own string) *usage.Meter {
	pods := registry.For[*corev1.Pod](d.registry)
	o := usage.Options{
		Source: noContainers{}, Own: own, Clock: clock.RealClock{}, Logger: d.log,
		Simulated: func(node string) bool { return d.fleet.Simulates(node) },
		Pods:      func(node string) []*corev1.Pod { return pods.ByIndex(registry.IndexNode, node) },
	}
	if d.engine != nil {
		o.Source = d.engine
	}
	return usage.New(o)
}

// noContainers is the source of a daemon without an engine, whose pods are all simulated.
type noContainers struct{}

// Usage implements usage.Source.
func (noContainers) Usage(context.Context, []string) (map[string]docker.Usage, error) {
	return nil, nil
}

// MachineUsage implements usage.Source.
func (noContainers) MachineUsage(context.Context) (docker.Usage, bool) { return docker.Usage{}, false }
