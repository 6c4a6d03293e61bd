package diagnosis

import (
	"regexp"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"skiff/cli/command"
	"skiff/cli/halt"
)

// Deployment reports on a deployment.
func (s *Scene) Deployment(d *appsv1.Deployment) Report {
	r := Report{Object: who("Deployment", d), Namespace: d.Namespace}
	n, status := ptr.Deref(d.Spec.Replicas, 1), d.Status
	if s.leaving(&r, d, "deployment") || s.idle(&r, d, n) {
		return r
	}
	if status.AvailableReplicas >= n && status.UpdatedReplicas >= n && status.Replicas == n && d.Generation <= status.ObservedGeneration {
		r.fine("has %d of %d replicas ready", status.ReadyReplicas, n)
		return r
	}
	s.rollout(&r, d, n)
	pods := s.podsOf(d)
	r.below(s.reports(pods))
	s.unmade(&r, d, "Deployment")
	for _, set := range controlled(s.ReplicaSets, d) {
		s.unmade(&r, set, "ReplicaSet")
	}
	s.settle(&r, d, "Deployment", "has %d of %d replicas ready", status.ReadyReplicas, n)
	return r
}

// rollout adds how far a rollout has come, and when it counts as failed.
func (s *Scene) rollout(r *Report, d *appsv1.Deployment, n int32) {
	if d.Spec.Paused && d.Status.UpdatedReplicas < n {
		r.wrong("has a rollout that is paused, %d of %d replicas are of the new version", d.Status.UpdatedReplicas, n)
		r.do("skiff rollout resume deployment/%s", d.Name)
		return
	}
	for _, c := range d.Status.Conditions {
		switch {
		case c.Type != appsv1.DeploymentProgressing:
		case c.Reason == "ProgressDeadlineExceeded":
			r.wrong("has a rollout that is stuck: %s", Reason(c.Reason, c.Message))
			r.cause("nothing has moved for longer than progressDeadlineSeconds, %d", ptr.Deref(d.Spec.ProgressDeadlineSeconds, 600))
			s.olderRuns(r, d)
		case d.Spec.ProgressDeadlineSeconds != nil:
			if at := c.LastUpdateTime.Add(seconds(*d.Spec.ProgressDeadlineSeconds)); at.After(s.Now) && !c.LastUpdateTime.IsZero() {
				r.next("the rollout counts as failed at %s, if nothing moves before (progressDeadlineSeconds)", s.at(at))
			}
		}
	}
}

// olderRuns offers to go back, when there is something to go back to.
func (s *Scene) olderRuns(r *Report, d *appsv1.Deployment) {
	if len(controlled(s.ReplicaSets, d)) > 1 {
		r.do("mend the template and apply it, or go back: skiff rollout undo deployment/%s", d.Name)
	}
}

// ReplicaSet reports on a replica set.
func (s *Scene) ReplicaSet(o *appsv1.ReplicaSet) Report {
	return s.replicas(o, "ReplicaSet", "rs", ptr.Deref(o.Spec.Replicas, 1), o.Status.ReadyReplicas, o.Generation <= o.Status.ObservedGeneration)
}

// Controller reports on a replication controller.
func (s *Scene) Controller(o *corev1.ReplicationController) Report {
	return s.replicas(o, "ReplicationController", "rc", ptr.Deref(o.Spec.Replicas, 1), o.Status.ReadyReplicas, o.Generation <= o.Status.ObservedGeneration)
}

func (s *Scene) replicas(o metav1.Object, kind, resource string, n, readyNow int32, seen bool) Report {
	r := Report{Object: who(kind, o), Namespace: o.GetNamespace()}
	s.wantedBy(&r, o)
	if s.leaving(&r, o, resource) || s.idle(&r, o, n) {
		return r
	}
	if readyNow >= n && seen {
		r.fine("has %d of %d replicas ready", readyNow, n)
		return r
	}
	r.below(s.reports(s.podsOf(o)))
	s.unmade(&r, o, kind)
	s.settle(&r, o, kind, "has %d of %d replicas ready", readyNow, n)
	return r
}

// StatefulSet reports on a stateful set, whose pods come one after another.
func (s *Scene) StatefulSet(o *appsv1.StatefulSet) Report {
	r := Report{Object: who("StatefulSet", o), Namespace: o.Namespace}
	n, status := ptr.Deref(o.Spec.Replicas, 1), o.Status
	if s.leaving(&r, o, "statefulset") || s.idle(&r, o, n) {
		return r
	}
	outdated := status.UpdateRevision != status.CurrentRevision && status.UpdatedReplicas < n
	if status.ReadyReplicas >= n && status.Replicas == n && !outdated && o.Generation <= status.ObservedGeneration {
		r.fine("has %d of %d replicas ready", status.ReadyReplicas, n)
		return r
	}
	pods := s.podsOf(o)
	r.below(s.reports(pods))
	s.unmade(&r, o, "StatefulSet")
	if o.Spec.PodManagementPolicy != appsv1.ParallelPodManagement && len(r.Below) > 0 && int32(len(pods)) < n {
		r.cause("its pods come one after another: the next one is made once %s is ready", r.Below[0].Object)
	}
	if outdated && o.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType {
		r.fine("has pods of its old version, which are replaced when they are deleted (updateStrategy OnDelete)")
		r.do("skiff delete pod NAME, one after another")
		return r
	}
	s.settle(&r, o, "StatefulSet", "has %d of %d replicas ready", status.ReadyReplicas, n)
	return r
}

// DaemonSet reports on a daemon set.
func (s *Scene) DaemonSet(o *appsv1.DaemonSet) Report {
	r := Report{Object: who("DaemonSet", o), Namespace: o.Namespace}
	status := o.Status
	if s.leaving(&r, o, "daemonset") {
		return r
	}
	if status.DesiredNumberScheduled == 0 && o.Generation <= status.ObservedGeneration {
		if _, stopped := o.Spec.Template.Spec.NodeSelector["skiff/stopped"]; stopped {
			r.fine("is stopped")
			r.next("skiff start sets it going again")
			return r
		}
		r.wrong("wants no pod: no node matches")
		pod := &corev1.Pod{Spec: o.Spec.Template.Spec}
		s.unselected(&r, pod)
		s.tainted(&r, pod)
		return r
	}
	if status.NumberReady >= status.DesiredNumberScheduled && status.UpdatedNumberScheduled >= status.DesiredNumberScheduled && o.Generation <= status.ObservedGeneration {
		r.fine("is ready on %d of %s", status.NumberReady, command.Counted(status.DesiredNumberScheduled, "node", "nodes"))
		return r
	}
	r.below(s.reports(s.podsOf(o)))
	s.unmade(&r, o, "DaemonSet")
	s.settle(&r, o, "DaemonSet", "is ready on %d of %s", status.NumberReady, command.Counted(status.DesiredNumberScheduled, "node", "nodes"))
	return r
}

// leaving is about a workload that is being deleted; false when it is not.
func (s *Scene) leaving(r *Report, o metav1.Object, resource string) bool {
	if o.GetDeletionTimestamp() == nil {
		return false
	}
	r.fine("is being deleted since %s", s.at(o.GetDeletionTimestamp().Time))
	s.held(r, o, resource)
	for _, p := range s.podsOf(o) {
		r.cause("pod/%s has yet to go", p.Name)
	}
	return true
}

// idle is about a workload that wants no replicas; false when it wants some.
func (s *Scene) idle(r *Report, o metav1.Object, n int32) bool {
	if n != 0 {
		return false
	}
	if before, stopped := o.GetAnnotations()[halt.Annotation]; stopped {
		r.fine("is stopped; it had %s replicas", before)
		r.next("skiff start, or the next skiff up, sets it going again")
	} else {
		r.fine("is scaled to 0")
	}
	return true
}

// settle gives a workload whose pods are not all ready its state. It is wrong if a reason was found, or
// if it has lasted.
func (s *Scene) settle(r *Report, o metav1.Object, kind, format string, a ...any) {
	switch {
	case r.Wrong:
	case len(r.Below) > 0, len(r.Causes) > 0:
		r.wrong(format, a...)
	case s.lasted(o.GetCreationTimestamp()) && !s.moving(o, kind):
		r.wrong(format, a...)
		s.warned(r, o, kind)
	default:
		r.fine(format+", which may take a moment", a...)
	}
}

// moving reports whether a workload's controller, or one of its pods, has done something just now.
func (s *Scene) moving(o metav1.Object, kind string) bool {
	for _, e := range s.about(o, kind) {
		if s.Now.Sub(lastSeen(&e)) < Patience {
			return true
		}
	}
	for _, p := range s.podsOf(o) {
		if s.Now.Sub(p.CreationTimestamp.Time) < Patience {
			return true
		}
	}
	return false
}

// creationRefused matches the message of a quota that is used up.
var creationRefused = regexp.MustCompile(`exceeded quota: ([^,]+), requested: (.+?), used: (.+?), limited: (.+)$`)

// unmade adds why a controller may not make the pods that it wants.
func (s *Scene) unmade(r *Report, o metav1.Object, kind string) {
	e := s.latest(o, kind, "FailedCreate")
	if e == nil || s.Now.Sub(lastSeen(e)) > stale && len(s.podsOf(o)) > 0 || s.madeSince(o, lastSeen(e)) {
		return
	}
	r.cause("%s may not make its pods: %s, %s", who(kind, o), OneLine(e.Message), s.seen(e))
	m := creationRefused.FindStringSubmatch(OneLine(e.Message))
	switch {
	case m != nil:
		r.cause("quota %s allows %s; %s is used already, and %s more is asked for", m[1], m[4], m[3], m[2])
		r.do("raise the quota (skiff edit quota %s), ask for less, or delete pods", m[1])
	case strings.Contains(e.Message, "must specify"):
		r.do("give the containers the requests and limits that the quota counts, or set defaults by a LimitRange")
	case strings.Contains(e.Message, "serviceaccount"):
		r.do("create the service account that spec.template.spec.serviceAccountName names")
	case strings.Contains(e.Message, "PriorityClass"):
		r.do("create the priority class that spec.template.spec.priorityClassName names")
	}
	r.next("its controller tries again by itself, less and less often")
}

// stale is how old a controller's complaint may be before it says nothing of today.
const stale = 30 * time.Minute

// madeSince reports whether a controller has made a pod after some time.
func (s *Scene) madeSince(o metav1.Object, t time.Time) bool {
	for _, p := range s.podsOf(o) {
		if p.CreationTimestamp.After(t) {
			return true
		}
	}
	return false
}
