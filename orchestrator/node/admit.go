package node

import (
	corev1 "k8s.io/api/core/v1"

	"skiff/manifests/registry"
)

// refusal is why a node does not take a pod that was bound to it past the scheduler.
type refusal struct{ reason, message string }

// portsTaken is kubelet's refusal of a pod whose host ports another pod has
// (k8s.io/kubernetes/pkg/kubelet/lifecycle/predicate.go).
var portsTaken = refusal{
	reason:  "NodePorts",
	message: "Pod was rejected: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports",
}

// admit tells why the node does not take a pod, nil if it does. Either is decided once: a pod that has been begun with
// stays, and one that was refused has to be made anew.
func (a *Agent) admit(r *record, v *view) *refusal {
	r.mu.Lock()
	refused := r.refused
	r.mu.Unlock()
	if refused != nil {
		return refused
	}
	if v.engineGone != "" || v.pod.DeletionTimestamp != nil || isTerminal(v.pod.Status.Phase) || len(v.attempts) > 0 || len(v.works) > 0 {
		return nil
	}
	ports := publishedPorts(&v.pod.Spec)
	if len(ports) == 0 {
		return nil
	}
	for _, other := range a.pods.ByIndex(registry.IndexNode, a.Name) {
		if other.UID == v.uid || isTerminal(other.Status.Phase) || !conflict(ports, publishedPorts(&other.Spec)) {
			continue
		}
		if a.begun(other) || older(other, v.pod) {
			r.mu.Lock()
			r.refused = &portsTaken
			r.mu.Unlock()
			a.tell(v.pod, "", corev1.EventTypeWarning, portsTaken.reason, "%s", portsTaken.message)
			return &portsTaken
		}
	}
	return nil
}

// begun tells whether anything has been made for a pod.
func (a *Agent) begun(pod *corev1.Pod) bool {
	r := a.known(pod.UID)
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.attempts) > 0 || len(r.works) > 0
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
