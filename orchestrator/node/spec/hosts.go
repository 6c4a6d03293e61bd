package spec

import (
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// HostsFile is a container's /etc/hosts in kubelet's form: the engine's own can't have several
// names for an address on one line (k8s.io/kubernetes/pkg/kubelet/kubelet_pods.go,
// managedHostsFileContent). Programs look for the first line.
// cluster is the cluster's domain.
func HostsFile(pod *corev1.Pod, addr netip.Addr, cluster string) string {
	var b strings.Builder
	b.WriteString("# Kubernetes-managed hosts file.\n" +
		"127.0.0.1\tlocalhost\n" +
		"::1\tlocalhost ip6-localhost ip6-loopback\n" +
		"fe00::0\tip6-localnet\n" +
		"fe00::0\tip6-mcastprefix\n" +
		"fe00::1\tip6-allnodes\n" +
		"fe00::2\tip6-allrouters\n")
	name := hostname(pod)
	if domain := subdomain(pod, cluster); domain != "" {
		name += "." + domain + "\t" + name
	}
	fmt.Fprintf(&b, "%s\t%s\n", addr, name)
	return b.String() + AliasLines(pod)
}

// AliasLines are the lines of /etc/hosts for the pod's hostAliases.
func AliasLines(pod *corev1.Pod) string {
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
