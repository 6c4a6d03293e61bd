package node

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"skiff/docker"
)

const hostsPath = "/etc/hosts"

// hostsFile is a container's /etc/hosts: kubelet's, for the engine's own can't give an address several names on a line
// (k8s.io/kubernetes/pkg/kubelet/kubelet_pods.go, managedHostsFileContent). Programs look for the first line.
func hostsFile(pod *corev1.Pod, addr netip.Addr) string {
	var b strings.Builder
	b.WriteString("# Kubernetes-managed hosts file.\n" +
		"127.0.0.1\tlocalhost\n" +
		"::1\tlocalhost ip6-localhost ip6-loopback\n" +
		"fe00::0\tip6-localnet\n" +
		"fe00::0\tip6-mcastprefix\n" +
		"fe00::1\tip6-allnodes\n" +
		"fe00::2\tip6-allrouters\n")
	name := hostname(pod)
	if domain := domain(pod); domain != "" {
		name += "." + domain + "\t" + name
	}
	fmt.Fprintf(&b, "%s\t%s\n", addr, name)
	return b.String() + aliasLines(pod)
}

func aliasLines(pod *corev1.Pod) string {
	if len(pod.Spec.HostAliases) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\n# Entries added by HostAliases.\n")
	for _, a := range pod.Spec.HostAliases {
		fmt.Fprintf(&b, "%s\t%s\n", a.IP, strings.Join(a.Hostnames, "\t"))
	}
	return b.String()
}

// hostsContent is what a pod's /etc/hosts says, empty if the engine sees to it: a pod on the node's network has the
// node's file, and a copy of it only to add to (kubelet_pods.go, nodeHostsFileContent).
func (v *volumes) hostsContent(pod *corev1.Pod, addr netip.Addr) (string, error) {
	switch {
	case pod.Spec.HostNetwork && len(pod.Spec.HostAliases) > 0:
		node, err := os.ReadFile(cmp.Or(v.nodeHosts, hostsPath))
		if err != nil {
			return "", fmt.Errorf("reading the node's hosts file: %w", err)
		}
		return "# Kubernetes-managed hosts file (host network).\n" + string(node) + aliasLines(pod), nil
	case pod.Spec.HostNetwork || !addr.IsValid():
		return "", nil
	}
	return hostsFile(pod, addr), nil
}

// hostsMount writes the pod's /etc/hosts and says how to mount it. It is nil where the engine sees to the file, and for
// containers that mount one of their own.
func (v *volumes) hostsMount(pod *corev1.Pod, c *corev1.Container, addr netip.Addr) (*docker.Mount, error) {
	for i := range c.VolumeMounts {
		if filepath.Clean(c.VolumeMounts[i].MountPath) == hostsPath {
			return nil, nil
		}
	}
	content, err := v.hostsContent(pod, addr)
	if err != nil || content == "" {
		return nil, err
	}
	path := filepath.Join(v.podDir(pod.UID), "etc-hosts")
	if has, err := os.ReadFile(path); err != nil || string(has) != content {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644), os.Chmod(path, 0o644)); err != nil {
			return nil, fmt.Errorf("writing the hosts file: %w", err)
		}
	}
	return &docker.Mount{Type: "bind", Source: path, Target: hostsPath}, nil
}
