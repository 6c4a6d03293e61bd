package scheduling

import (
	corev1 "k8s.io/api/core/v1"

	"skiff/orchestrator/workload"
)

// pod is a pod with what is computed of it once.
type pod struct {
	*corev1.Pod
	requests, usage resources
	ports           []port
}

func newPod(p *corev1.Pod) *pod {
	return &pod{Pod: p, requests: requestsOf(p), usage: usageOf(p), ports: portsOf(p)}
}

// pending tells whether a pod is ours to find a node for.
func pending(p *corev1.Pod) bool {
	return p.Spec.NodeName == "" && p.Spec.SchedulerName == corev1.DefaultSchedulerName &&
		p.DeletionTimestamp == nil && !workload.Finished(p) && len(p.Spec.SchedulingGates) == 0
}

// occupies tells whether a pod takes up room on a node.
func occupies(p *corev1.Pod) bool {
	return p.Spec.NodeName != "" && !workload.Finished(p)
}

// port is a port of the host. The empty address is all of them.
type port struct {
	address  string
	protocol corev1.Protocol
	number   int32
}

func portsOf(p *corev1.Pod) []port {
	var ports []port
	add := func(containers []corev1.Container) {
		for i := range containers {
			for _, c := range containers[i].Ports {
				if c.HostPort > 0 {
					ports = append(ports, newPort(c))
				}
			}
		}
	}
	// An init container that goes on running keeps its ports.
	for i := range p.Spec.InitContainers {
		c := p.Spec.InitContainers[i]
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			add([]corev1.Container{c})
		}
	}
	add(p.Spec.Containers)
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

// conflicts tells whether two ports can not both be had.
func (p port) conflicts(q port) bool {
	return p.protocol == q.protocol && p.number == q.number &&
		(p.address == q.address || p.address == "" || q.address == "")
}
