package node

import (
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"skiff/docker"
)

// blueprint is what a container's spec on the engine is made from, beside its manifest.
type blueprint struct {
	pod       *corev1.Pod
	container *corev1.Container
	attempt   int
	// sandbox is the sandbox's attempt, sandboxID its container (empty if the pod has none).
	sandbox   int
	sandboxID string
	// joins is the container whose network an ephemeral container shares in a pod without a sandbox.
	joins string
	// target is the container whose processes an ephemeral container sees, empty for none.
	target string
	addr   netip.Addr
	env    map[string]string
	// dns is the node's resolver, if the pod adds to it.
	dns resolver
	// mounts are the container's volumes as they lie on this machine.
	mounts []docker.Mount
	// imageUser is the user the image names.
	imageUser string
	// nodeMemory is the machine's, in bytes.
	nodeMemory int64
}

// containerSpec says what to create on the engine. Its errors are kubelet's CreateContainerConfigError.
func containerSpec(b blueprint) (docker.ContainerSpec, error) {
	c, pod := b.container, b.pod
	if err := checkNonRoot(pod, c, b.imageUser); err != nil {
		return docker.ContainerSpec{}, err
	}
	security, err := containerSecurity(pod, c)
	if err != nil {
		return docker.ContainerSpec{}, err
	}
	lookup := func(name string) (string, bool) { v, ok := b.env[name]; return v, ok }
	spec := docker.ContainerSpec{
		Name:         containerName(pod, c.Name, b.attempt),
		Image:        c.Image,
		Entrypoint:   expandAll(c.Command, lookup),
		Args:         expandAll(c.Args, lookup),
		Env:          envPairs(b.env),
		WorkingDir:   c.WorkingDir,
		User:         containerUser(pod, c, b.imageUser),
		Groups:       supplementalGroups(pod),
		Labels:       containerLabels(pod, c.Name, specHash(c), b.attempt, b.sandbox),
		TTY:          c.TTY,
		Stdin:        c.Stdin,
		StdinOnce:    c.StdinOnce,
		Network:      containerNetwork(b),
		Resources:    containerResources(pod, c, b.nodeMemory),
		Mounts:       b.mounts,
		Security:     security,
		StopSignal:   stopSignal(c),
		HostIPC:      pod.Spec.HostIPC,
		HostPID:      pod.Spec.HostPID,
		ReadOnlyRoot: c.SecurityContext != nil && isTrue(c.SecurityContext.ReadOnlyRootFilesystem),
	}
	// Kubernetes' command replaces both of the image's, its args only CMD.
	if len(c.Command) > 0 && spec.Args == nil {
		spec.Args = []string{}
	}
	shareNamespaces(&spec, b)
	if b.target != "" { // whatever processes the pod's containers see otherwise
		spec.HostPID, spec.PIDContainer = false, b.target
	}
	return spec, nil
}

// sandboxSpec is the spec of a pod's pause container: it holds the network, and what else the containers share.
func sandboxSpec(pod *corev1.Pod, image string, attempt int, addr netip.Addr, dns resolver) docker.ContainerSpec {
	spec := docker.ContainerSpec{
		Name:      containerName(pod, sandboxName, attempt),
		Image:     image,
		Labels:    containerLabels(pod, sandboxName, "", attempt, attempt),
		Network:   podNetwork(pod, addr, dns),
		Resources: docker.Resources{CPUShares: minShares},
		Sysctls:   sysctls(pod),
		HostIPC:   pod.Spec.HostIPC,
		HostPID:   pod.Spec.HostPID,
	}
	return spec
}

// shareNamespaces joins what the pod's containers have in common.
func shareNamespaces(spec *docker.ContainerSpec, b blueprint) {
	if b.sandboxID != "" {
		if !b.pod.Spec.HostIPC {
			spec.IPCContainer = b.sandboxID
		}
		if isTrue(b.pod.Spec.ShareProcessNamespace) {
			spec.PIDContainer = b.sandboxID
		}
		return
	}
	// The engine refuses those of a namespace that is the host's, as the API has done before.
	if spec.Network.Join == "" {
		spec.Sysctls = sysctls(b.pod)
	}
}

// containerNetwork is the network of one of the pod's containers.
func containerNetwork(b blueprint) docker.Network {
	switch {
	case b.pod.Spec.HostNetwork:
		return podNetwork(b.pod, b.addr, b.dns)
	case b.sandboxID != "":
		return docker.Network{Join: b.sandboxID}
	case b.joins != "":
		return docker.Network{Join: b.joins}
	}
	return podNetwork(b.pod, b.addr, b.dns)
}

// podNetwork is the network of the container that owns the pod's. On the host's each container has one of these: there is
// nothing to own but the files below /etc.
func podNetwork(pod *corev1.Pod, addr netip.Addr, node resolver) docker.Network {
	n := docker.Network{Host: true}
	if !pod.Spec.HostNetwork {
		n = docker.Network{IP: addr, Hostname: hostname(pod), Domain: domain(pod), Ports: hostPorts(&pod.Spec)}
	}
	for _, alias := range pod.Spec.HostAliases {
		for _, name := range alias.Hostnames {
			n.Hosts = append(n.Hosts, name+":"+alias.IP)
		}
	}
	dns, _ := podDNS(pod, node)
	n.DNS, n.DNSSearch, n.DNSOpts = dns.servers, dns.searches, dns.options
	return n
}

// maxHostname is the longest name Linux allows a host.
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

// clusterDomain is the suffix of names in a cluster, as everywhere unless configured otherwise.
const clusterDomain = "cluster.local"

func domain(pod *corev1.Pod) string {
	if pod.Spec.Subdomain == "" || pod.Spec.HostnameOverride != nil {
		return ""
	}
	return fmt.Sprintf("%s.%s.svc.%s", pod.Spec.Subdomain, pod.Namespace, clusterDomain)
}

// hostPorts are all ports that the pod's containers publish on the machine.
func hostPorts(spec *corev1.PodSpec) []docker.Port {
	var out []docker.Port
	for _, c := range allContainers(spec) {
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
