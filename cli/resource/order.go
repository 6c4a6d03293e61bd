package resource

import "slices"

// kindsInOrder are kinds in the order of their dependencies. Kinds not listed come between
// configuration and workloads.
var kindsInOrder = []string{
	"Namespace", "CustomResourceDefinition", "PriorityClass", "StorageClass", "LimitRange", "ResourceQuota", "ServiceAccount",
	"ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding", "Secret", "ConfigMap", "PersistentVolume", "PersistentVolumeClaim",
	"Service", "Endpoints", "EndpointSlice", "",
	"DaemonSet", "Pod", "ReplicationController", "ReplicaSet", "Deployment", "StatefulSet", "Job", "CronJob", "HorizontalPodAutoscaler",
}

// Rank is a kind's place in the order in which objects are applied: what others may depend on comes
// first.
func Rank(kind string) int {
	if i := slices.Index(kindsInOrder, kind); i >= 0 {
		return i
	}
	return slices.Index(kindsInOrder, "")
}
