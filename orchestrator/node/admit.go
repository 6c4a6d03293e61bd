package node

import (
	corev1 "k8s.io/api/core/v1"

	"skiff/manifests/podfacts"
	"skiff/manifests/registry"
	"skiff/orchestrator/node/pod"
)

// rejection is the reason in kubelet's words (k8s.io/kubernetes/pkg/kubelet/kubelet.go, rejectPod).
func rejection(reason, message string) *pod.Rejection {
	return &pod.Rejection{Reason: reason, Message: "Pod was rejected: " + message}
}

// Kubelet's rejections of a pod whose host ports another pod has, and of one whose node selector or
// affinity excludes the node (k8s.io/kubernetes/pkg/kubelet/lifecycle/predicate.go).
var (
	portsTaken = rejection("NodePorts", "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports")
	notItsNode = rejection("NodeAffinity", "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector")
)

// admit returns why the node rejects a pod, nil if it admits it. This is decided once: an admitted
// pod stays, and a rejected one has to be created again.
func (a *Agent) admit(r *record, v *pod.View) *pod.Rejection {
	if rejected, decided := r.admission(); decided {
		return rejected
	}
	if v.EngineDown != "" || v.Pod.DeletionTimestamp != nil || podfacts.Terminal(v.Pod) || len(v.Attempts) > 0 || len(v.Operations) > 0 {
		return nil
	}
	// One pod at a time: of two that do not both fit, only one may be admitted.
	a.admission.Lock()
	defer a.admission.Unlock()
	if rejected, decided := r.admission(); decided {
		return rejected
	}
	rejected := a.unsuited(v.Pod)
	r.decide(rejected)
	if rejected != nil {
		a.emit(v.Pod, "", corev1.EventTypeWarning, rejected.Reason, "%s", rejected.Message)
	}
	return rejected
}

// unsuited returns why the node can't run a pod that has not begun, nil if it can. It checks in the
// order of kubelet.
func (a *Agent) unsuited(p *corev1.Pod) *pod.Rejection {
	// A pod with a start time was admitted by an earlier daemon that created nothing for it.
	if p.Status.StartTime == nil {
		if rejected := forbiddenSysctl(p, a.AllowedUnsafeSysctls, a.machine.kernel()); rejected != nil {
			return rejected
		}
		if rejected := a.lacking(p); rejected != nil {
			return rejected
		}
		if !a.isWantedBy(p) {
			return notItsNode
		}
	}
	ports := publishedPorts(&p.Spec)
	if len(ports) == 0 {
		return nil
	}
	for _, other := range a.pods.ByIndex(registry.IndexNode, a.Name) {
		if other.UID == p.UID || podfacts.Terminal(other) || !conflict(ports, publishedPorts(&other.Spec)) {
			continue
		}
		if a.begun(other) || older(other, p) {
			return portsTaken
		}
	}
	return nil
}

// begun reports whether a pod has been admitted, or anything has been done for it.
func (a *Agent) begun(p *corev1.Pod) bool {
	r := a.records.get(p.UID)
	return r != nil && r.begun()
}

func older(a, b *corev1.Pod) bool {
	if a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.UID < b.UID
	}
	return a.CreationTimestamp.Before(&b.CreationTimestamp)
}

// publishedPorts are the ports that a pod publishes on the machine.
func publishedPorts(spec *corev1.PodSpec) []corev1.ContainerPort {
	var ports []corev1.ContainerPort
	for _, c := range pod.AllContainers(spec) {
		for _, p := range c.Ports {
			if p.HostPort > 0 {
				ports = append(ports, p)
			}
		}
	}
	return ports
}

// conflict reports whether two pods can't both have their ports.
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
