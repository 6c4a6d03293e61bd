package servicefacts

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// LocalDomain is the domain under which browsers find every name on this machine (RFC 6761, 6.3).
const LocalDomain = "localhost"

// NamesAnnotation on a Service gives it further names in its namespace, separated by commas: single
// labels that the name of an object can't be, such as the db_1 of a compose file. Skiff's own DNS alone
// knows them.
const NamesAnnotation = "skiff/names"

// The ConfigMap in which a daemon says where it is reached from its machine. Everybody may read the
// namespace.
const (
	InfoNamespace = metav1.NamespacePublic
	InfoName      = "skiff"
	// InfoFrontDoor is the key of host:port of the front door, which is missing if there is none.
	InfoFrontDoor = "frontDoor"
	// InfoNetwork is the key of how the pods' network is, in words.
	InfoNetwork = "network"
	// InfoNodeGrace is the key of how long a node may be silent before it is marked as not ready.
	InfoNodeGrace = "nodeMonitorGracePeriod"
)

// LocalNames are the names of a service at the front door, the shortest first. The short one is for
// services in the namespace default; a service of another namespace has it too if no other service
// has it, which can't be told from the service alone.
func LocalNames(s *corev1.Service) []string {
	full := s.Name + "." + s.Namespace + "." + LocalDomain
	if s.Namespace == metav1.NamespaceDefault {
		return []string{s.Name + "." + LocalDomain, full}
	}
	return []string{full}
}

// OfCluster reports whether a service is the cluster's own.
func OfCluster(s *corev1.Service) bool {
	return s.Namespace == metav1.NamespaceSystem || s.Namespace == metav1.NamespaceDefault && s.Name == "kubernetes"
}
