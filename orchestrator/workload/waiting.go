package workload

import corev1 "k8s.io/api/core/v1"

// Waiting is the most pods of one owner that wait for a node. A number of
// replicas that no machine has room for, which the API accepts up to 2147483647,
// makes no more of them, so that it costs neither memory nor disk without end.
const Waiting = 500

// Room is how many pods an owner may be given beside its active ones. As soon as
// one of these is bound to a node there is room for another: that is a change of
// the pod, which has the owner looked at again.
func Room(active []*corev1.Pod) int {
	room := Waiting
	for _, p := range active {
		if p.Spec.NodeName == "" {
			room--
		}
	}
	return max(0, room)
}
