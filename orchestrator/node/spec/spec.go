// Package spec turns a pod's containers into what is created on the engine: names, commands,
// namespaces, resources, security, DNS. It is pure: it reads no files and asks nobody.
package spec

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"skiff/docker"
	"skiff/orchestrator/node/env"
	"skiff/orchestrator/node/pod"
)

// Input is what a container's spec on the engine is made from.
type Input struct {
	Pod       *corev1.Pod
	Container *corev1.Container
	Attempt   int
	// Round is the pod's present round: see pod.View.
	Round int
	// Sandbox is the sandbox's attempt and SandboxID its container, empty if the pod has none.
	Sandbox   int
	SandboxID string
	// Joins is the container whose network an ephemeral container shares in a pod without a
	// sandbox.
	Joins string
	// TargetID is the container whose processes an ephemeral container sees, empty for none.
	TargetID string
	Addr     netip.Addr
	Env      map[string]string
	// DNS is the node's resolver, if the pod adds to it or has a file of its own, and ClusterDomain the cluster's domain.
	DNS           Resolver
	ClusterDomain string
	// Mounts are the container's volumes on this machine.
	Mounts []docker.Mount
	// ImageUser is the image's user, needed if NeedsImageUser, and Passwd its /etc/passwd, needed
	// if NeedsPasswd.
	ImageUser, Passwd string
	// NodeMemory is the machine's memory in bytes.
	NodeMemory int64
}

// Container is what to create on the engine for a container. Errors are kubelet's
// CreateContainerConfigError.
func Container(b Input) (docker.ContainerSpec, error) {
	c, p := b.Container, b.Pod
	if err := checkNonRoot(p, c, b.ImageUser); err != nil {
		return docker.ContainerSpec{}, err
	}
	security, err := containerSecurity(p, c)
	if err != nil {
		return docker.ContainerSpec{}, err
	}
	lookup := func(name string) (string, bool) { v, ok := b.Env[name]; return v, ok }
	spec := docker.ContainerSpec{
		Name:         pod.ContainerName(p, c.Name, b.Attempt),
		Image:        c.Image,
		Entrypoint:   env.ExpandAll(c.Command, lookup),
		Args:         env.ExpandAll(c.Args, lookup),
		Env:          env.Pairs(b.Env),
		WorkingDir:   c.WorkingDir,
		User:         containerUser(p, c, b.ImageUser, b.Passwd),
		Groups:       supplementalGroups(p),
		Labels:       pod.ContainerLabels(p, c.Name, pod.SpecHash(c), b.Attempt, b.Sandbox),
		TTY:          c.TTY,
		Stdin:        c.Stdin,
		StdinOnce:    c.StdinOnce,
		Network:      containerNetwork(b),
		Resources:    Resources(p, c, b.NodeMemory),
		Mounts:       b.Mounts,
		Security:     security,
		StopSignal:   stopSignal(c),
		HostIPC:      p.Spec.HostIPC,
		HostPID:      p.Spec.HostPID,
		ReadOnlyRoot: c.SecurityContext != nil && ptr.Deref(c.SecurityContext.ReadOnlyRootFilesystem, false),
	}
	if b.Round > 0 {
		spec.Labels[pod.LabelRound] = strconv.Itoa(b.Round)
	}
	// A command in the manifest replaces the image's ENTRYPOINT and CMD, args only its CMD.
	if len(c.Command) > 0 && spec.Args == nil {
		spec.Args = []string{}
	}
	shareNamespaces(&spec, b)
	if b.TargetID != "" { // instead of the processes that the pod's other containers see
		spec.HostPID, spec.PIDContainer = false, b.TargetID
	}
	return spec, nil
}

// Sandbox is what to create for a pod's pause container, which holds the network and whatever else
// the containers share. It has the volumes mounted that last as long as it runs.
func Sandbox(p *corev1.Pod, image string, attempt int, addr netip.Addr, dns Resolver, cluster string, mounts []docker.Mount) docker.ContainerSpec {
	spec := docker.ContainerSpec{
		Name:      pod.ContainerName(p, pod.SandboxName, attempt),
		Image:     image,
		Labels:    pod.ContainerLabels(p, pod.SandboxName, "", attempt, attempt),
		Network:   podNetwork(p, addr, dns, cluster),
		Resources: docker.Resources{CPUShares: minShares},
		Mounts:    mounts,
		Sysctls:   sysctls(p),
		HostIPC:   p.Spec.HostIPC,
		HostPID:   p.Spec.HostPID,
	}
	return spec
}

// shareNamespaces joins the namespaces that the pod's containers share.
func shareNamespaces(spec *docker.ContainerSpec, b Input) {
	if b.SandboxID != "" {
		if !b.Pod.Spec.HostIPC {
			spec.IPCContainer = b.SandboxID
		}
		if ptr.Deref(b.Pod.Spec.ShareProcessNamespace, false) {
			spec.PIDContainer = b.SandboxID
		}
		return
	}
	// The engine refuses sysctls of a namespace that is the host's; so did the API.
	if spec.Network.Join == "" {
		spec.Sysctls = sysctls(b.Pod)
	}
}

// containerNetwork is the network of one of the pod's containers.
func containerNetwork(b Input) docker.Network {
	switch {
	case b.Pod.Spec.HostNetwork:
		return podNetwork(b.Pod, b.Addr, b.DNS, b.ClusterDomain)
	case b.SandboxID != "":
		return docker.Network{Join: b.SandboxID}
	case b.Joins != "":
		return docker.Network{Join: b.Joins}
	}
	return podNetwork(b.Pod, b.Addr, b.DNS, b.ClusterDomain)
}

// podNetwork is the network of the container that owns the pod's. On the host's network every
// container has one of these: only the files in /etc are its own.
func podNetwork(pod *corev1.Pod, addr netip.Addr, node Resolver, cluster string) docker.Network {
	n := docker.Network{Host: true}
	if !pod.Spec.HostNetwork {
		n = docker.Network{IP: addr, Hostname: hostname(pod), Domain: subdomain(pod, cluster), Ports: hostPorts(&pod.Spec)}
	}
	for _, alias := range pod.Spec.HostAliases {
		for _, name := range alias.Hostnames {
			n.Hosts = append(n.Hosts, name+":"+alias.IP)
		}
	}
	n.DNS, n.DNSSearch, n.DNSOpts = node.onEngine(pod)
	return n
}

// maxHostname is the longest host name on Linux.
const maxHostname = 63

func hostname(pod *corev1.Pod) string {
	switch {
	case pod.Spec.HostnameOverride != nil:
		return *pod.Spec.HostnameOverride
	case pod.Spec.Hostname != "":
		return pod.Spec.Hostname
	case len(pod.Name) > maxHostname:
		return strings.TrimRight(pod.Name[:maxHostname], "-.")
	}
	return pod.Name
}

// subdomain is what follows a pod's host name in its full name, empty for most pods. cluster is the
// cluster's domain.
func subdomain(pod *corev1.Pod, cluster string) string {
	if pod.Spec.Subdomain == "" || pod.Spec.HostnameOverride != nil {
		return ""
	}
	return fmt.Sprintf("%s.%s.svc.%s", pod.Spec.Subdomain, pod.Namespace, cluster)
}

// hostPorts are the ports that the pod's containers publish on the machine.
func hostPorts(spec *corev1.PodSpec) []docker.Port {
	var out []docker.Port
	for _, c := range pod.AllContainers(spec) {
		for _, p := range c.Ports {
			if p.HostPort > 0 {
				out = append(out, docker.Port{
					HostIP: p.HostIP, HostPort: p.HostPort, ContainerPort: p.ContainerPort,
					Protocol: strings.ToLower(string(p.Protocol)),
				})
			}
		}
	}
	return out
}

func stopSignal(c *corev1.Container) string {
	if c.Lifecycle == nil || c.Lifecycle.StopSignal == nil {
		return ""
	}
	return string(*c.Lifecycle.StopSignal)
}

func sysctls(pod *corev1.Pod) map[string]string {
	if pod.Spec.SecurityContext == nil || len(pod.Spec.SecurityContext.Sysctls) == 0 {
		return nil
	}
	out := map[string]string{}
	for _, s := range pod.Spec.SecurityContext.Sysctls {
		out[s.Name] = s.Value
	}
	return out
}
