package daemonset

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	schedulinghelper "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"
)

// target tells on which nodes a set wants its pods.
type target struct {
	nodeName    string
	tolerations []corev1.Toleration
	affinity    nodeaffinity.RequiredNodeAffinity
}

func targetOf(ds *appsv1.DaemonSet) target {
	spec := &ds.Spec.Template.Spec
	return target{
		nodeName: spec.NodeName, tolerations: tolerations(spec),
		affinity: nodeaffinity.NewRequiredNodeAffinity(spec.NodeSelector, spec.Affinity),
	}
}

// wish is what a set wants of a node.
type wish struct {
	run  bool // a pod is to be there
	stay bool // a pod that is there may stay
}

// of is the set's wish for a node. A taint that came later drives a pod away only
// if it says NoExecute.
func (t target) of(n *corev1.Node) wish {
	if t.nodeName != "" && t.nodeName != n.Name {
		return wish{}
	}
	// A term that can not be parsed matches nothing.
	if matches, _ := t.affinity.Match(n); !matches {
		return wish{}
	}
	if t.tolerates(n, corev1.TaintEffectNoExecute, corev1.TaintEffectNoSchedule) {
		return wish{run: true, stay: true}
	}
	return wish{stay: t.tolerates(n, corev1.TaintEffectNoExecute)}
}

// tolerates reports whether the set's pods bear the node's taints of some effects.
func (t target) tolerates(n *corev1.Node, effects ...corev1.TaintEffect) bool {
	_, untolerated := schedulinghelper.FindMatchingUntoleratedTaint(klog.Logger{}, n.Spec.Taints, t.tolerations,
		func(taint *corev1.Taint) bool { return slices.Contains(effects, taint.Effect) }, false)
	return !untolerated
}

// tolerations are the template's and those that every daemon's pod has, so that it
// runs on a node whose state is doubtful and on one that is closed to others
// (https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/#taints-and-tolerations).
func tolerations(spec *corev1.PodSpec) []corev1.Toleration {
	out := slices.Clone(spec.Tolerations)
	add := func(key string, effect corev1.TaintEffect) {
		added := corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: effect}
		at := slices.IndexFunc(out, func(t corev1.Toleration) bool { return added.MatchToleration(&t) })
		if at < 0 {
			out = append(out, added)
		} else {
			out[at] = added // without an end
		}
	}
	add(corev1.TaintNodeNotReady, corev1.TaintEffectNoExecute)
	add(corev1.TaintNodeUnreachable, corev1.TaintEffectNoExecute)
	add(corev1.TaintNodeDiskPressure, corev1.TaintEffectNoSchedule)
	add(corev1.TaintNodeMemoryPressure, corev1.TaintEffectNoSchedule)
	add(corev1.TaintNodePIDPressure, corev1.TaintEffectNoSchedule)
	add(corev1.TaintNodeUnschedulable, corev1.TaintEffectNoSchedule)
	if spec.HostNetwork {
		add(corev1.TaintNodeNetworkUnavailable, corev1.TaintEffectNoSchedule)
	}
	return out
}

// pin has the scheduler put a pod on one node and no other. It takes the place of
// the required affinity, which the node has been found to satisfy.
func pin(affinity *corev1.Affinity, node string) *corev1.Affinity {
	pinned := &corev1.Affinity{}
	if affinity != nil {
		pinned = affinity.DeepCopy()
	}
	if pinned.NodeAffinity == nil {
		pinned.NodeAffinity = &corev1.NodeAffinity{}
	}
	pinned.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{{
			Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{node},
		}}}},
	}
	return pinned
}

// nodeOf is the node that a pod is on, or pinned to; empty for neither.
func nodeOf(p *corev1.Pod) string {
	if p.Spec.NodeName != "" {
		return p.Spec.NodeName
	}
	a := p.Spec.Affinity
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return ""
	}
	for _, term := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, r := range term.MatchFields {
			if r.Key == metav1.ObjectNameField && r.Operator == corev1.NodeSelectorOpIn && len(r.Values) == 1 {
				return r.Values[0]
			}
		}
	}
	return ""
}

// matters reports whether a change of a node can change where pods are wanted.
func matters(now, before *corev1.Node) bool {
	return now == nil || before == nil || !apiequality.Semantic.DeepEqual(now.Labels, before.Labels) ||
		!apiequality.Semantic.DeepEqual(now.Spec.Taints, before.Spec.Taints)
}
