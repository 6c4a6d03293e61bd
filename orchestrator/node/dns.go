package node

import (
	"errors"
	"fmt"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"skiff/orchestrator/node/spec"
)

// systemdResolvConf has the real servers if /etc/resolv.conf names only systemd-resolved. The
// engine reads it too.
const systemdResolvConf = "/run/systemd/resolve/resolv.conf"

// nodeDNS is the node's resolver as far as the pod can use it, empty for pods that do not use it.
// If the node's and the pod's entries together exceed the limits, it records an event.
func (a *Agent) nodeDNS(pod *corev1.Pod) (spec.Resolver, error) {
	if _, _, own := spec.OwnDNS(pod, a.clusterDNS(), spec.Resolver{}); own || pod.Spec.DNSConfig == nil {
		return spec.Resolver{Mounted: own && a.VolumeDir != ""}, nil
	}
	node, err := readResolvConf(a.ResolvConf)
	if err != nil {
		return spec.Resolver{}, err
	}
	if !pod.Spec.HostNetwork {
		if node = node.BeyondLoopback(); len(node.Servers) == 0 {
			behind, err := readResolvConf(systemdResolvConf)
			if err != nil {
				return spec.Resolver{}, err
			}
			node.Servers = behind.BeyondLoopback().Servers
		}
	}
	if r, cut := spec.PodDNS(pod, node); cut {
		a.emitCut(pod, r)
	}
	return node, nil
}

func (a *Agent) emitCut(pod *corev1.Pod, r spec.Resolver) {
	a.emit(pod, "", corev1.EventTypeWarning, "DNSConfigForming",
		"Nameserver or search limits were exceeded, some have been omitted, the applied nameserver line is: %s, the applied search line is: %s",
		strings.Join(r.Servers, " "), strings.Join(r.Searches, " "))
}

func (a *Agent) clusterDNS() spec.Cluster {
	return spec.Cluster{DNS: a.ClusterDNS(), Domain: a.ClusterDomain}
}

// resolvConf is the content of a pod's resolv.conf, empty if the engine writes it. On a network like
// the pods' the engine would name itself as the server, whatever it is told.
func (a *Agent) resolvConf(pod *corev1.Pod) (string, error) {
	node, err := readResolvConf(a.ResolvConf)
	if err != nil {
		return "", err
	}
	r, cut, own := spec.OwnDNS(pod, a.clusterDNS(), node)
	if !own {
		return "", nil
	}
	if cut {
		a.emitCut(pod, r)
	}
	return r.String(), nil
}

// readResolvConf treats a missing file as empty.
func readResolvConf(path string) (spec.Resolver, error) {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return spec.Resolver{}, fmt.Errorf("reading the node's name servers: %w", err)
	}
	return spec.ParseResolvConf(string(text)), nil
}
