package manifests

import (
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/apis/core"
)

// This file is unsupported.go's for what would make a pod run in another way than it asks for: such an
// object is refused.

// unsupported are the reasons for which a pod with this specification is refused.
func unsupported(path *field.Path, s *core.PodSpec) field.ErrorList {
	if s.Resources == nil {
		return nil
	}
	var errs field.ErrorList
	for _, name := range []core.ResourceName{core.ResourceCPU, core.ResourceMemory} {
		limit, ok := s.Resources.Limits[name]
		if ok && len(atOnce(s)) > 1 && !keptBy(limit, name, atOnce(s)) {
			errs = append(errs, field.Forbidden(path.Child("resources", "limits").Key(string(name)),
				"the Docker Engine limits containers, and no group of them: give each container a limit, so that together they keep the pod's"))
		}
	}
	return errs
}

// atOnce are the containers of a pod that run at the same time: the regular ones and the sidecars.
func atOnce(s *core.PodSpec) []core.Container {
	var all []core.Container
	for _, c := range s.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == core.ContainerRestartPolicyAlways {
			all = append(all, c)
		}
	}
	return append(all, s.Containers...)
}

// keptBy reports whether containers keep a limit together because each has one of its own.
func keptBy(limit resource.Quantity, name core.ResourceName, containers []core.Container) bool {
	var sum resource.Quantity
	for _, c := range containers {
		own, ok := c.Resources.Limits[name]
		if !ok {
			return false
		}
		sum.Add(own)
	}
	return sum.Cmp(limit) <= 0
}
