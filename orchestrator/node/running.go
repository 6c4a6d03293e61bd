package node

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RunningPods returns the names and UIDs of the pods that the agent has begun with and not yet
// finished with. A pod that was deleted without a grace period is one of them until its last
// container is removed, though its object is gone. They are what kubelet answers under
// /runningpods.
func (a *Agent) RunningPods() []*corev1.Pod {
	var out []*corev1.Pod
	for _, r := range a.records.all() {
		if r.begun() {
			out = append(out, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: r.name, UID: r.uid}})
		}
	}
	slices.SortFunc(out, func(a, b *corev1.Pod) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID))
	})
	return out
}
