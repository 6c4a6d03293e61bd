package diagnosis

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"skiff/cli/command"
	"skiff/manifests/podfacts"
)

// Pod reports on a pod.
func (s *Scene) Pod(p *corev1.Pod) Report {
	r := Report{Object: "pod/" + p.Name, Namespace: p.Namespace}
	s.wantedBy(&r, p)
	switch {
	case podfacts.Terminating(p):
		s.leavingPod(&r, p)
	case p.Status.Phase == corev1.PodSucceeded:
		r.fine("has completed")
	case p.Status.Phase == corev1.PodFailed:
		s.failedPod(&r, p)
	case p.Spec.NodeName == "":
		s.unscheduled(&r, p)
	default:
		s.placed(&r, p)
	}
	return r
}

// failedPod is about a pod that has failed for good.
func (s *Scene) failedPod(r *Report, p *corev1.Pod) {
	r.wrong("has failed: %s", Failed(p).Why)
	s.disrupted(r, p)
	switch p.Status.Reason {
	case "":
	case "DeadlineExceeded":
		r.cause("it was active for longer than its activeDeadlineSeconds, %d", ptr.Deref(p.Spec.ActiveDeadlineSeconds, 0))
	default:
		r.cause("%s", Reason(p.Status.Reason, p.Status.Message))
	}
	for _, st := range Statuses(p) {
		if t := st.State.Terminated; t != nil && t.ExitCode != 0 {
			s.ended(r, p, &st, t, false)
		}
	}
	if r.Wanted == nil {
		r.next("nothing: no controller makes this pod anew")
		r.do("skiff replace --force -f FILE, once the cause is mended")
	}
}

// disrupted adds why somebody ended a pod: eviction, preemption, a node that is gone.
func (s *Scene) disrupted(r *Report, p *corev1.Pod) {
	if c := podfacts.Condition(p, corev1.DisruptionTarget); c != nil && c.Status == corev1.ConditionTrue {
		r.cause("%s, at %s", Reason(c.Reason, c.Message), s.at(c.LastTransitionTime.Time))
	}
}

// leavingPod is about a pod that is being deleted.
func (s *Scene) leavingPod(r *Report, p *corev1.Pod) {
	end := p.DeletionTimestamp.Time
	r.fine("is ending, and has until %s", s.at(end))
	s.disrupted(r, p)
	if s.held(r, p, "pod") {
		return
	}
	if s.Now.Before(end.Add(Patience)) {
		return
	}
	r.wrong("should have ended by %s", s.at(end))
	if !s.nodeTrouble(r, p) {
		s.warned(r, p, "Pod")
		r.do("skiff delete pod %s --grace-period=0 --force, if it is certain that its containers are gone", p.Name)
	}
}

// placed is about a pod that has a node.
func (s *Scene) placed(r *Report, p *corev1.Pod) {
	if f := Pod(p, s.Now); f != nil {
		r.wrong("is not ready: %s", f.Why)
	}
	down := s.nodeTrouble(r, p)
	for _, st := range Statuses(p) {
		s.container(r, p, &st)
	}
	if !down {
		s.mounts(r, p)
		s.gates(r, p)
	}
	switch ready := podfacts.Condition(p, corev1.PodReady); {
	case r.Wrong:
	case podfacts.Ready(p):
		r.fine("is ready")
		s.restarted(r, p)
	case ready == nil || !s.lasted(ready.LastTransitionTime):
		r.fine("is not ready yet")
	default:
		r.wrong("is not ready: %s", Reason(ready.Reason, ready.Message))
		s.warned(r, p, "Pod")
	}
	if r.Wrong && r.Causes == nil && r.Log == nil && r.Do == nil {
		s.warned(r, p, "Pod")
	}
}

// restarted mentions containers of a healthy pod that have ended before.
func (s *Scene) restarted(r *Report, p *corev1.Pod) {
	for _, st := range Statuses(p) {
		t := st.LastTerminationState.Terminated
		if st.RestartCount == 0 || t == nil {
			continue
		}
		r.cause("container %s was restarted %s, last after it ended with exit code %d (%s) at %s",
			st.Name, command.Counted(st.RestartCount, "time", "times"), t.ExitCode, t.Reason, s.at(t.FinishedAt.Time))
		s.ended(r, p, &st, t, true)
	}
}

// gates adds the readiness gates that others have yet to open.
func (s *Scene) gates(r *Report, p *corev1.Pod) {
	var shut []string
	for _, g := range p.Spec.ReadinessGates {
		if !podfacts.ConditionTrue(p, g.ConditionType) {
			shut = append(shut, string(g.ConditionType))
		}
	}
	if len(shut) > 0 && podfacts.ConditionTrue(p, corev1.ContainersReady) {
		r.wrong("is not ready: its readiness gates %s are shut", strings.Join(shut, ", "))
		r.cause("its containers are ready; somebody has yet to set the conditions %s", strings.Join(shut, ", "))
	}
}

// nodeTrouble adds what is wrong with a pod's node, and when the pod leaves it; false when nothing is.
func (s *Scene) nodeTrouble(r *Report, p *corev1.Pod) bool {
	if s.Nodes == nil || p.Spec.NodeName == "" {
		return false // nodes may not be listed
	}
	n := named(s.Nodes, p.Spec.NodeName)
	if n == nil {
		r.wrong("is on a node that is gone")
		r.cause("node/%s does not exist any more", p.Spec.NodeName)
		r.next("the pod is removed by the garbage collector")
		return true
	}
	c := nodeReadiness(n)
	if c == nil || c.Status == corev1.ConditionTrue {
		return false
	}
	r.wrong("is not ready: node/%s is not ready", n.Name)
	r.cause("node/%s is not ready since %s: %s", n.Name, s.at(c.LastTransitionTime.Time), Reason(c.Reason, c.Message))
	s.eviction(r, p, n)
	r.do("skiff why node/%s", n.Name)
	return true
}

// eviction adds when a pod has to leave its node, by the node's taints and the pod's tolerations.
func (s *Scene) eviction(r *Report, p *corev1.Pod, n *corev1.Node) {
	var first time.Time
	for i := range n.Spec.Taints {
		taint := &n.Spec.Taints[i]
		if taint.Effect != corev1.TaintEffectNoExecute || taint.TimeAdded == nil {
			continue
		}
		stays, forever := tolerated(p, taint)
		if until := taint.TimeAdded.Add(stays); !forever && (first.IsZero() || until.Before(first)) {
			first = until
		}
	}
	if !first.IsZero() {
		r.next("it is evicted from node/%s at %s, unless the node comes back before", n.Name, s.at(first))
	}
}

// tolerated is how long a pod tolerates a taint, or forever.
func tolerated(p *corev1.Pod, taint *corev1.Taint) (stays time.Duration, forever bool) {
	found := false
	for i := range p.Spec.Tolerations {
		t := &p.Spec.Tolerations[i]
		if !tolerates(t, taint) {
			continue
		}
		if t.TolerationSeconds == nil {
			return 0, true
		}
		if d := time.Duration(*t.TolerationSeconds) * time.Second; !found || d < stays {
			stays, found = d, true
		}
	}
	return stays, false
}

// tolerates reports whether a toleration is for a taint.
func tolerates(t *corev1.Toleration, taint *corev1.Taint) bool {
	if t.Effect != "" && t.Effect != taint.Effect || t.Key != "" && t.Key != taint.Key {
		return false
	}
	return t.Operator == corev1.TolerationOpExists || t.Value == taint.Value
}
