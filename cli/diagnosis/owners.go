package diagnosis

import (
	"fmt"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"skiff/cli/command"
)

// wantedBy adds who wants an object, from the top of its controllers down, and who made it.
func (s *Scene) wantedBy(r *Report, o metav1.Object) {
	ref := metav1.GetControllerOf(o)
	if ref == nil {
		return
	}
	owner, wants := s.controller(ref)
	name := strings.ToLower(ref.Kind) + "/" + ref.Name
	if owner == nil {
		r.wanted("%s, which is gone, made %s at %s", name, o.GetName(), s.at(o.GetCreationTimestamp().Time))
		return
	}
	s.wantedBy(r, owner)
	made := fmt.Sprintf("made %s at %s", o.GetName(), s.at(o.GetCreationTimestamp().Time))
	if wants == "" {
		r.wanted("%s %s", name, made)
		return
	}
	r.wanted("%s wants %s, and %s", name, wants, made)
}

// controller finds the object that a reference names, and says what it wants; "" when that is only what
// its own controller told it.
func (s *Scene) controller(ref *metav1.OwnerReference) (owner metav1.Object, wants string) {
	switch ref.Kind {
	case "ReplicaSet":
		if o := owned(s.ReplicaSets, ref); o != nil {
			if metav1.GetControllerOf(o) != nil {
				return o, ""
			}
			return o, replicasWanted(o.Spec.Replicas, o.Status.ReadyReplicas)
		}
	case "ReplicationController":
		if o := owned(s.Controllers, ref); o != nil {
			return o, replicasWanted(o.Spec.Replicas, o.Status.ReadyReplicas)
		}
	case "Deployment":
		if o := owned(s.Deployments, ref); o != nil {
			return o, replicasWanted(o.Spec.Replicas, o.Status.ReadyReplicas)
		}
	case "StatefulSet":
		if o := owned(s.StatefulSets, ref); o != nil {
			return o, replicasWanted(o.Spec.Replicas, o.Status.ReadyReplicas)
		}
	case "DaemonSet":
		if o := owned(s.DaemonSets, ref); o != nil {
			return o, fmt.Sprintf("one on each of %s, %d are ready", command.Counted(o.Status.DesiredNumberScheduled, "node", "nodes"), o.Status.NumberReady)
		}
	case "Job":
		if o := owned(s.Jobs, ref); o != nil {
			return o, completionsWanted(o)
		}
	case "CronJob":
		if o := owned(s.CronJobs, ref); o != nil {
			return o, fmt.Sprintf("a job at %q", o.Spec.Schedule)
		}
	}
	return nil, ""
}

func replicasWanted(want *int32, readyNow int32) string {
	return fmt.Sprintf("%s, %d ready", command.Counted(ptr.Deref(want, 1), "replica", "replicas"), readyNow)
}

func completionsWanted(j *batchv1.Job) string {
	return fmt.Sprintf("%s, %d succeeded and %d failed", command.Counted(ptr.Deref(j.Spec.Completions, 1), "completion", "completions"), j.Status.Succeeded, j.Status.Failed)
}

// ownersTop is the topmost known controller of an object, as kind/name; "" when it has none.
func (s *Scene) ownersTop(o metav1.Object) string {
	top := ""
	for {
		ref := metav1.GetControllerOf(o)
		if ref == nil {
			return top
		}
		top = strings.ToLower(ref.Kind) + "/" + ref.Name
		owner, _ := s.controller(ref)
		if owner == nil {
			return top
		}
		o = owner
	}
}

// podsOf are the pods that an object controls, by its replica sets too.
func (s *Scene) podsOf(o metav1.Object) []*corev1.Pod {
	out := controlled(s.Pods, o)
	for _, set := range controlled(s.ReplicaSets, o) {
		out = append(out, controlled(s.Pods, set)...)
	}
	return out
}

// reports are those of some pods.
func (s *Scene) reports(pods []*corev1.Pod) []Report {
	out := make([]Report, len(pods))
	for i, p := range pods {
		out[i] = s.Pod(p)
	}
	return out
}
