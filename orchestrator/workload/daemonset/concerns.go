package daemonset

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"skiff/orchestrator/controller"
	"skiff/orchestrator/workload"
	"skiff/store"
)

func (c *Controller) setConcerns(now, before *appsv1.DaemonSet, add func(types.NamespacedName)) {
	if now == nil {
		now = before // what is remembered of it is forgotten
	}
	add(controller.NameOf(now))
}

// podConcerns adds the sets that a change of a pod concerns.
func (c *Controller) podConcerns(now, before *corev1.Pod, add func(types.NamespacedName)) {
	workload.Concerns(now, before, func(p *corev1.Pod) types.NamespacedName { return controllerOf(p) },
		func(p *corev1.Pod, add func(types.NamespacedName)) { c.adopters(p, add) }, add)
}

// controllerOf names the DaemonSet that an object says controls it.
func controllerOf(o metav1.Object) types.NamespacedName { return workload.ControllerOf(o, gvk) }

// adopters adds the sets that select an object without a controller.
func (c *Controller) adopters(o store.Object, add func(types.NamespacedName)) {
	for _, set := range c.sets.List(o.GetNamespace(), nil) {
		selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
		if err == nil && !selector.Empty() && selector.Matches(labels.Set(o.GetLabels())) {
			add(controller.NameOf(set))
		}
	}
}

// nodeConcerns adds the sets whose wish for a node has changed. One that is gone
// may leave pods behind that wait for it.
func (c *Controller) nodeConcerns(now, before *corev1.Node, add func(types.NamespacedName)) {
	if !matters(now, before) {
		return
	}
	for _, set := range c.sets.List("", nil) {
		t := targetOf(set)
		var is, was wish
		if now != nil {
			is = t.of(now)
		}
		if before != nil {
			was = t.of(before)
		}
		if is != was {
			add(controller.NameOf(set))
		}
	}
}

// revisionConcerns adds the set of a revision that is gone, or that has none. One
// that somebody adds or changes is looked at with the next thing that happens, as
// upstream does.
func (c *Controller) revisionConcerns(now, before *appsv1.ControllerRevision, add func(types.NamespacedName)) {
	var none types.NamespacedName
	if now == nil || before != nil && controllerOf(before) != controllerOf(now) {
		if was := controllerOf(before); was != none {
			add(was)
		}
	}
	if now != nil && metav1.GetControllerOfNoCopy(now) == nil {
		c.adopters(now, add)
	}
}
