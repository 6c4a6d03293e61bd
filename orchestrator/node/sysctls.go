package node

import (
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/component-helpers/node/util/sysctl"
	"k8s.io/utils/ptr"

	"skiff/orchestrator/node/pod"
)

// safeSysctls are the sysctls that every pod may set, and the first kernel that keeps each of them
// apart for each pod, empty for all kernels (k8s.io/kubernetes/pkg/kubelet/sysctl/safe_sysctls.go).
var safeSysctls = map[string]string{
	"kernel.shm_rmid_forced":              "",
	"net.ipv4.ip_local_port_range":        "",
	"net.ipv4.tcp_syncookies":             "",
	"net.ipv4.ping_group_range":           "",
	"net.ipv4.ip_unprivileged_port_start": "",
	"net.ipv4.ip_local_reserved_ports":    "3.16",
	"net.ipv4.tcp_keepalive_time":         "4.5",
	"net.ipv4.tcp_keepalive_intvl":        "4.5",
	"net.ipv4.tcp_keepalive_probes":       "4.5",
	"net.ipv4.tcp_fin_timeout":            "4.6",
	"net.ipv4.tcp_notsent_lowat":          "4.6",
	"net.ipv4.tcp_rmem":                   "4.15",
	"net.ipv4.tcp_wmem":                   "4.15",
	"net.ipv4.tcp_slow_start_after_idle":  "4.15",
}

// sysctlPattern is a sysctl's name, which may end in "*"
// (k8s.io/kubernetes/pkg/apis/policy/validation/validation.go, SysctlContainSlashPatternFmt).
var sysctlPattern = regexp.MustCompile(`^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[./])*([a-z0-9][-_a-z0-9]*)?[a-z0-9*]$`)

// maxSysctl is the longest name of a sysctl.
const maxSysctl = 253

// CheckSysctlPatterns returns an error if a pattern can't be among Options.AllowedUnsafeSysctls: it
// is not the name of a sysctl, or not of one that each pod has for itself.
func CheckSysctlPatterns(patterns []string) error {
	for _, p := range patterns {
		if len(p) > maxSysctl || !sysctlPattern.MatchString(p) {
			return fmt.Errorf("%q is not the name of a sysctl, such as kernel.msgmax or net.core.*", p)
		}
		if ns, _, _ := sysctl.GetNamespace(p); ns == sysctl.UnknownNamespace {
			return fmt.Errorf("sysctl %q is not known to be namespaced: a pod that sets it would set it for the machine", p)
		}
	}
	return nil
}

// forbiddenSysctl returns why the node rejects a pod that sets a sysctl, nil if the pod may.
// Allowed are the safe ones and those of the patterns, as far as the pod has the namespace for
// itself (k8s.io/kubernetes/pkg/kubelet/sysctl/allowlist.go).
func forbiddenSysctl(p *corev1.Pod, patterns []string, kernel string) *pod.Rejection {
	if p.Spec.SecurityContext == nil {
		return nil
	}
	for _, s := range p.Spec.SecurityContext.Sysctls {
		name := sysctl.NormalizeName(s.Name)
		why := "not allowlisted"
		if ns, ok := allowedSysctl(name, patterns, kernel); ok {
			if !isHosts(&p.Spec, ns) {
				continue
			}
			why = fmt.Sprintf("not allowed with host %s enabled", ns)
		}
		return rejection("SysctlForbidden", fmt.Sprintf("forbidden sysctl: %q %s", name, why))
	}
	return nil
}

// allowedSysctl reports whether a sysctl may be set, and returns the kernel's namespace that has
// it.
func allowedSysctl(name string, patterns []string, kernel string) (sysctl.Namespace, bool) {
	ns, _, _ := sysctl.GetNamespace(name)
	if since, safe := safeSysctls[name]; safe && kernelHas(kernel, since) {
		return ns, true
	}
	for _, p := range patterns {
		_, allowed, prefix := sysctl.GetNamespace(p)
		if name == allowed || prefix && strings.HasPrefix(name, allowed) {
			return ns, true
		}
	}
	return ns, false
}

// kernelHas reports whether a kernel is of a version or newer. One that does not say counts as new.
func kernelHas(kernel, since string) bool {
	has, err := version.ParseGeneric(kernel)
	return since == "" || err != nil || has.AtLeast(version.MustParseGeneric(since))
}

// isHosts reports whether a pod shares the node's namespace.
func isHosts(spec *corev1.PodSpec, ns sysctl.Namespace) bool {
	switch ns {
	case sysctl.IPCNamespace:
		return spec.HostIPC
	case sysctl.NetNamespace:
		return spec.HostNetwork
	case sysctl.UserNamespace:
		return ptr.Deref(spec.HostUsers, true)
	}
	return false
}
