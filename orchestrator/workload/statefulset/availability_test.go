package statefulset

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/orchestrator/internal/testbed"
)

// followAvailability notes each ready pod that the controller takes away while another that the set
// wants is not ready. A set whose pods are managed in parallel may do that only to pods it no longer
// wants.
func (b *bed) followAvailability(together bool) {
	b.departures = b.FollowDepartures(func(before *corev1.Pod, rest map[string]*corev1.Pod) {
		set, ok := testbed.Get[*appsv1.StatefulSet](b.Bed, "default", "web")
		n, member := ordinalOf(set, before.Name)
		wanted := n >= first(set) && n < end(set)
		if !available(before) || !ok || !member || !metav1.IsControlledBy(before, set) || together && !wanted {
			return
		}
		for i := first(set); i < end(set); i++ {
			name := podName(set, i)
			if other := rest[name]; i != n && (other == nil || !available(other)) {
				b.faults.Blame("%s taken away while %s was not ready", before.Name, name)
			}
		}
	})
}

func available(p *corev1.Pod) bool { return p.DeletionTimestamp == nil && runningAndReady(p) }

// removed notes that the test is about to take a pod away.
func (b *bed) removed(name string) {
	if p, ok := testbed.Get[*corev1.Pod](b.Bed, "default", name); ok {
		b.departures.ByTest(p)
	}
}
