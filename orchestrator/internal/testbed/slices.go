package testbed

import (
	"fmt"
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"

	"skiff/orchestrator/cluster/backends"
)

// PlaySlices carries out steps on EndpointSlices that are in no store, and returns what comes of it.
// New ones are called "<service>-1", "<service>-2" and so on.
func PlaySlices(present []*discoveryv1.EndpointSlice, steps []backends.Step) []*discoveryv1.EndpointSlice {
	present = slices.Clone(present)
	named := func(name string) bool {
		return slices.ContainsFunc(present, func(s *discoveryv1.EndpointSlice) bool { return s.Name == name })
	}
	for _, step := range steps {
		if step.Seen == nil {
			made := step.Want.DeepCopy()
			n := 1
			for named(fmt.Sprint(made.GenerateName, n)) {
				n++
			}
			made.Name = fmt.Sprint(made.GenerateName, n)
			present = append(present, made)
			continue
		}
		i := slices.Index(present, step.Seen)
		if step.Want == nil {
			present = slices.Delete(present, i, i+1)
			continue
		}
		changed := present[i].DeepCopy()
		changed.Labels, changed.Annotations = step.Want.Labels, step.Want.Annotations
		changed.Ports, changed.Endpoints = step.Want.Ports, step.Want.Endpoints
		present[i] = changed
	}
	return present
}
