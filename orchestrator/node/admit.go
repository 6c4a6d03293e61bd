package node

import (
	corev1 "k8s.io/api/core/v1"

	"skiff/manifests/registry"
)

// refusal is why a node does not take a pod that was bound to it past the scheduler.
type refusal struct{ reason, message string }

// reject is a refusal in kubelet's words (k8s.io/kubernetes/pkg/kubelet/kubelet.go, rejectPod).
func reject(reason, message string) *refusal {
	return &refusal{reason: reason, message: "Pod was rejected: " + message}
}

// Kubelet's refusals of a pod whose host ports another pod has, and of one that does not want this node
// (k8s.io/kubernetes/pkg/kubelet/lifecycle/predicate.go).
var (
	portsTaken = reject("NodePorts", "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports")
	notItsNode = reject("NodeAffinity", "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector")
)

// admit tells why the node does not take a pod, nil if it does. Either is decided once: a pod that has been begun with
// stays, and one that was refused has to be made anew.
func (a *Agent) admit(r *record, v *view) *refusal {
	if refused, decided := r.admission(); decided {
		return refused
	}
	if v.engineGone != "" || v.pod.DeletionTimestamp != nil || isTerminal(v.pod.Status.Phase) || len(v.attempts) > 0 || len(v.works) > 0 {
		return nil
	}
	// One pod at a time: two that do not both fit must not both be taken.
	a.admission.Lock()
	defer a.admission.Unlock()
	if refused, decided := r.admission(); decided {
		return refused
	}
	refused := a.unfit(v.pod)
	r.mu.Lock()
	r.refused, r.admitted = refused, refused == nil
	r.mu.Unlock()
	if refused != nil {
		a.tell(v.pod, "", corev1.EventTypeWarning, refused.reason, "%s", refused.message)
	}
	return refused
}

// admission is what has been decided about the pod, if anything has.
func (r *record) admission() (refused *refusal, decided bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refused, r.refused != nil || r.admitted
}

// unfit tells what about the node does not suit a pod that has not been begun with, in the order in which kubelet looks.
func (a *Agent) unfit(pod *corev1.Pod) *refusal {
	// A pod with a start time has been taken by an earlier daemon, which did not come to make anything for it.
	if pod.Status.StartTime == nil {
		if refused := a.lacking(pod); refused != nil {
			return refused
		}
		if !a.isWantedBy(pod) {
			return notItsNode
		}
	}
	ports := publishedPorts(&pod.Spec)
	if len(ports) == 0 {
		return nil
	}
	for _, other := range a.pods.ByIndex(registry.IndexNode, a.Name) {
		if other.UID == pod.UID || isTerminal(other.Status.Phase) || !conflict(ports, publishedPorts(&other.Spec)) {
			continue
		}
		if a.begun(other) || older(other, pod) {
			return portsTaken
		}
	}
	return nil
}

// begun tells whether a pod has been taken, or anything has been made for it.
func (a *Agent) begun(pod *corev1.Pod) bool {
	r := a.known(pod.UID)
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.admitted || len(r.attempts) > 0 || len(r.works) > 0
}

func older(a, b *corev1.Pod) bool {
	if a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.UID < b.UID
	}
	return a.CreationTimestamp.Before(&b.CreationTimestamp)
}

func publishedPorts(spec *corev1.PodSpec) []corev1.ContainerPort {
	var ports []corev1.ContainerPort
	for _, c := range allContainers(spec) {
		for _, p := range c.Ports {
			if p.HostPort > 0 {
				ports = append(ports, p)
			}
		}
	}
	return ports
}

// conflict tells whether two pods can not both have their ports.
func conflict(a, b []corev1.ContainerPort) bool {
	all := func(ip string) bool { return ip == "" || ip == "0.0.0.0" || ip == "::" }
	for _, p := range a {
		for _, q := range b {
			if p.HostPort == q.HostPort && p.Protocol == q.Protocol && (p.HostIP == q.HostIP || all(p.HostIP) || all(q.HostIP)) {
				return true
			}
		}
	}
	return false
}
