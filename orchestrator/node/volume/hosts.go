package volume

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"skiff/docker"
	"skiff/orchestrator/node/spec"
)

// hostsPath is where programs look for the hosts file.
const hostsPath = "/etc/hosts"

// hostsContent is the content of a pod's /etc/hosts, empty if the engine provides the file. A pod
// on the node's network has the node's file; it has a copy only if aliases are added
// (k8s.io/kubernetes/pkg/kubelet/kubelet_pods.go, nodeHostsFileContent).
func (v *Manager) hostsContent(pod *corev1.Pod, addr netip.Addr) (string, error) {
	switch {
	case pod.Spec.HostNetwork && len(pod.Spec.HostAliases) > 0:
		node, err := os.ReadFile(cmp.Or(v.NodeHosts, hostsPath))
		if err != nil {
			return "", fmt.Errorf("reading the node's hosts file: %w", err)
		}
		return "# Kubernetes-managed hosts file (host network).\n" + string(node) + spec.AliasLines(pod), nil
	case pod.Spec.HostNetwork || !addr.IsValid():
		return "", nil
	}
	return spec.HostsFile(pod, addr, v.ClusterDomain), nil
}

// hostsMount writes the pod's /etc/hosts and says how to mount it. It is nil if the engine provides
// the file, and for containers that mount one of their own.
func (v *Manager) hostsMount(pod *corev1.Pod, c *corev1.Container, addr netip.Addr) (*docker.Mount, error) {
	if mountsAt(c, hostsPath) {
		return nil, nil
	}
	content, err := v.hostsContent(pod, addr)
	if err != nil || content == "" {
		return nil, err
	}
	return v.etcMount(pod, "etc-hosts", hostsPath, content)
}

// resolvPath is where programs look for their name servers.
const resolvPath = "/etc/resolv.conf"

// resolvMount is the same for the resolv.conf.
func (v *Manager) resolvMount(pod *corev1.Pod, c *corev1.Container) (*docker.Mount, error) {
	if v.ResolvConf == nil || mountsAt(c, resolvPath) {
		return nil, nil
	}
	content, err := v.ResolvConf(pod)
	if err != nil || content == "" {
		return nil, err
	}
	return v.etcMount(pod, "etc-resolv", resolvPath, content)
}

// mountsAt reports whether a container has a volume in place of a file.
func mountsAt(c *corev1.Container, path string) bool {
	return slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return filepath.Clean(m.MountPath) == path })
}

// etcMount writes a file of the pod's directory and mounts it in /etc.
func (v *Manager) etcMount(pod *corev1.Pod, name, target, content string) (*docker.Mount, error) {
	path := filepath.Join(v.podDir(pod.UID), name)
	if has, err := os.ReadFile(path); err != nil || string(has) != content {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644), os.Chmod(path, 0o644)); err != nil {
			return nil, fmt.Errorf("writing %s: %w", target, err)
		}
	}
	return &docker.Mount{Type: "bind", Source: path, Target: target}, nil
}
