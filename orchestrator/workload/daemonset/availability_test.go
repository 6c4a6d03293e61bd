package daemonset

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"skiff/manifests/podfacts"
	"skiff/orchestrator/internal/testbed"
)

// followAvailability notes each ready pod that the controller takes away from a node that is to have
// one, unless another is ready there, or all other such nodes have one that is ready and the set does
// not surge.
func (b *bed) followAvailability() {
	b.departures = b.FollowDepartures(func(before *corev1.Pod, rest map[string]*corev1.Pod) {
		set, ok := testbed.Get[*appsv1.DaemonSet](b.Bed, "default", "ssd-monitor")
		if !serves(before) || !ok || !metav1.IsControlledBy(before, set) {
			return
		}
		if without := b.without(set, rest); without[before.Spec.NodeName] && (len(without) > 1 || (&snapshot{set: set}).surges()) {
			b.faults.Blame("%s taken from node %s, now %d nodes are without", before.Name, before.Spec.NodeName, len(without))
		}
	})
}

// without are the nodes that are to have a pod and have none that is ready.
func (b *bed) without(set *appsv1.DaemonSet, pods map[string]*corev1.Pod) map[string]bool {
	nodes := map[string]bool{}
	for _, n := range testbed.List[*corev1.Node](b.Bed, "") {
		if targetOf(set).of(n).run {
			nodes[n.Name] = true
		}
	}
	for _, p := range pods {
		if serves(p) && metav1.IsControlledBy(p, set) {
			delete(nodes, p.Spec.NodeName)
		}
	}
	return nodes
}

func serves(p *corev1.Pod) bool { return podfacts.Active(p) && podfacts.Ready(p) }
