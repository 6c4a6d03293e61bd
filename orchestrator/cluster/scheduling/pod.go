package scheduling

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	schedulinghelper "k8s.io/component-helpers/scheduling/corev1"

	"skiff/manifests/podfacts"
)

// pod is a pod with what is computed of it once.
type pod struct {
	*corev1.Pod
	priority        int32
	requests, usage resources
	ports           []port
	// group is the controller among whose pods it is spread unless it says how.
	group types.UID
	// ties are nil for a pod that says nothing of other pods.
	ties *ties
}

func newPod(p *corev1.Pod) *pod {
	return &pod{
		Pod: p, priority: schedulinghelper.PodPriority(p), requests: requestsOf(p), usage: usageOf(p),
		ports: portsOf(p), group: groupOf(p), ties: tiesOf(p),
	}
}

// groupOf is the controller of a pod, if it is of a kind whose pods upstream
// spreads (k8s.io/kubernetes pkg/scheduler/framework/plugins/helper/spread.go).
func groupOf(p *corev1.Pod) types.UID {
	owner := metav1.GetControllerOfNoCopy(p)
	if owner == nil {
		return ""
	}
	switch owner.Kind {
	case "ReplicationController", "ReplicaSet", "StatefulSet":
		return owner.UID
	}
	return ""
}

// pending reports whether a pod is ours to find a node for.
func pending(p *corev1.Pod) bool {
	return p.Spec.NodeName == "" && p.Spec.SchedulerName == corev1.DefaultSchedulerName &&
		p.DeletionTimestamp == nil && !podfacts.Terminal(p) && len(p.Spec.SchedulingGates) == 0
}

// occupies reports whether a pod takes up room on a node.
func occupies(p *corev1.Pod) bool {
	return p.Spec.NodeName != "" && !podfacts.Terminal(p)
}

// port is a port of the host. The empty address is all of them.
type port struct {
	address  string
	protocol corev1.Protocol
	number   int32
}

func portsOf(p *corev1.Pod) []port {
	var ports []port
	add := func(c *corev1.Container) {
		for _, wanted := range c.Ports {
			if wanted.HostPort > 0 {
				ports = append(ports, newPort(wanted))
			}
		}
	}
	// An init container that goes on running keeps its ports.
	for i := range p.Spec.InitContainers {
		if c := &p.Spec.InitContainers[i]; podfacts.IsSidecar(c) {
			add(c)
		}
	}
	for i := range p.Spec.Containers {
		add(&p.Spec.Containers[i])
	}
	return ports
}

func newPort(c corev1.ContainerPort) port {
	n := port{address: c.HostIP, protocol: c.Protocol, number: c.HostPort}
	if n.address == "0.0.0.0" || n.address == "::" {
		n.address = ""
	}
	if n.protocol == "" {
		n.protocol = corev1.ProtocolTCP
	}
	return n
}

// conflicts reports whether two ports can not both be had.
func (p port) conflicts(q port) bool {
	return p.protocol == q.protocol && p.number == q.number &&
		(p.address == q.address || p.address == "" || q.address == "")
}
