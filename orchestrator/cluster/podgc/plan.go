package podgc

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/manifests/podfacts"
)

// snapshot is what one look saw.
type snapshot struct {
	pods  []*corev1.Pod
	nodes []*corev1.Node
	// missing is since when earlier looks have missed a node.
	missing   map[string]time.Time
	threshold int
	now       time.Time
}

// removal is a pod that is to go, and why.
type removal struct {
	pod   *corev1.Pod
	cause string
	// holds reports whether the cause is still there. node is the pod's, nil if there is none.
	holds func(pod *corev1.Pod, node *corev1.Node) bool
	// condition is what its status shows in the end, if it has not ended.
	condition *corev1.PodCondition
}

// plan is what is to be done.
type plan struct {
	remove  []removal
	missing map[string]time.Time
}

// String is the plan's steps, one a line, each with its cause.
func (p plan) String() string {
	lines := make([]string, len(p.remove))
	for i, r := range p.remove {
		lines[i] = fmt.Sprintf("remove pod %s/%s: %s", r.pod.Namespace, r.pod.Name, r.cause)
	}
	return strings.Join(lines, "\n")
}

func makePlan(s snapshot) plan {
	exists := map[string]*corev1.Node{}
	for _, n := range s.nodes {
		exists[n.Name] = n
	}
	p := plan{missing: map[string]time.Time{}}
	p.remove = ended(s)
	chosen := map[*corev1.Pod]bool{}
	for _, r := range p.remove {
		chosen[r.pod] = true
	}
	for _, pod := range s.pods {
		node := exists[pod.Spec.NodeName]
		switch {
		case chosen[pod]:
		case neverBound(pod, node):
			p.remove = append(p.remove, removal{pod: pod, cause: "deleted before it had a node", holds: neverBound})
		case homeless(pod, node):
			p.orphaned(s, pod)
		case stranded(pod, node):
			p.remove = append(p.remove, removal{pod: pod, cause: "deleted, and its node is out of service", holds: stranded})
		}
	}
	return p
}

// neverBound reports whether a pod is being deleted and has no node whose agent would end it.
func neverBound(p *corev1.Pod, _ *corev1.Node) bool {
	return p.Spec.NodeName == "" && p.DeletionTimestamp != nil
}

// homeless reports whether a pod names a node that does not exist.
func homeless(p *corev1.Pod, node *corev1.Node) bool { return p.Spec.NodeName != "" && node == nil }

// stranded reports whether a pod is being deleted and its node's agent is known to be off.
func stranded(p *corev1.Pod, node *corev1.Node) bool {
	return node != nil && p.DeletionTimestamp != nil && outOfService(node)
}

// orphaned removes a pod whose node has been missing for long enough.
func (p *plan) orphaned(s snapshot, pod *corev1.Pod) {
	since, known := s.missing[pod.Spec.NodeName]
	if !known {
		since = s.now
	}
	p.missing[pod.Spec.NodeName] = since
	if s.now.Sub(since) < quarantine {
		return
	}
	p.remove = append(p.remove, removal{
		pod: pod, cause: "node " + pod.Spec.NodeName + " no longer exists", holds: homeless,
		condition: &corev1.PodCondition{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue,
			Reason: "DeletionByPodGC", Message: "PodGC: node no longer exists",
		},
	})
}

// ended are the pods to remove so that no more than the threshold of those that
// have ended are left: evicted ones first, then the oldest.
func ended(s snapshot) []removal {
	if s.threshold < 0 {
		return nil
	}
	var over []*corev1.Pod
	for _, p := range s.pods {
		if podfacts.Terminal(p) {
			over = append(over, p)
		}
	}
	if len(over) <= s.threshold {
		return nil
	}
	slices.SortFunc(over, func(a, b *corev1.Pod) int {
		return cmp.Or(
			-compareBool(evicted(a), evicted(b)),
			a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
			strings.Compare(a.Name, b.Name),
		)
	})
	var remove []removal
	for _, p := range over[:len(over)-s.threshold] {
		remove = append(remove, removal{
			pod: p, cause: fmt.Sprintf("%d pods have ended, %d are kept", len(over), s.threshold),
			holds: func(p *corev1.Pod, _ *corev1.Node) bool { return podfacts.Terminal(p) },
		})
	}
	return remove
}

func evicted(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodFailed && p.Status.Reason == "Evicted"
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// outOfService reports whether a node is not ready and an administrator has said
// that it is switched off.
func outOfService(n *corev1.Node) bool {
	for i := range n.Status.Conditions {
		if c := &n.Status.Conditions[i]; c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			return false
		}
	}
	return slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeOutOfService })
}
