package up

import (
	"slices"

	"skiff/cli/resource"
)

// kindsInOrder are the kinds that others need, each before those that may need it. Kinds not named come between the
// configuration and the workloads.
var kindsInOrder = []string{
	"Namespace", "CustomResourceDefinition", "PriorityClass", "StorageClass", "LimitRange", "ResourceQuota", "ServiceAccount",
	"ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding", "Secret", "ConfigMap", "PersistentVolume", "PersistentVolumeClaim",
	"Service", "Endpoints", "EndpointSlice", "",
	"DaemonSet", "Pod", "ReplicationController", "ReplicaSet", "Deployment", "StatefulSet", "Job", "CronJob", "HorizontalPodAutoscaler",
}

func rank(t resource.Target) int {
	if i := slices.Index(kindsInOrder, t.Mapping.GroupVersionKind.Kind); i >= 0 {
		return i
	}
	return slices.Index(kindsInOrder, "")
}

// inOrder sorts targets so that each comes after what it may need; what needs no order keeps that of the files.
func inOrder(targets []resource.Target) []resource.Target {
	out := slices.Clone(targets)
	slices.SortStableFunc(out, func(a, b resource.Target) int { return rank(a) - rank(b) })
	return out
}
