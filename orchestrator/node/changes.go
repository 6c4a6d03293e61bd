package node

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/manifests/podfacts"
)

// podChanged handles a change of a pod in the store.
func (a *Agent) podChanged(now, before *corev1.Pod, add func(types.UID)) {
	if now == nil || podfacts.Terminal(now) {
		a.retryDeferred()
	}
	for _, pod := range []*corev1.Pod{now, before} {
		if pod != nil && pod.Spec.NodeName == a.Name {
			r := a.records.ensure(pod.UID, pod.Namespace, pod.Name)
			if len(pod.Status.ContainerStatuses) == 0 {
				r.firstSeen(a.Clock.Now())
			}
			add(pod.UID)
		}
	}
}

// sourcesChanged is sourceChanged for the objects of a kind.
func sourcesChanged[T interface {
	comparable
	metav1.Object
}](a *Agent, kind string) func(now, before T, add func(types.UID)) {
	return func(now, before T, add func(types.UID)) {
		if gone := *new(T); now == gone {
			now = before
		}
		a.sourceChanged(objectRef{kind, now.GetNamespace(), now.GetName()}, add)
	}
}

// sourceChanged requeues the pods that use an object and retries what its absence made fail.
func (a *Agent) sourceChanged(ref objectRef, add func(types.UID)) {
	for _, uid := range a.records.usersOf(ref) {
		if r := a.records.get(uid); r != nil {
			r.retry()
			add(uid)
		}
	}
}
