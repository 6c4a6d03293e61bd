package node

import (
	"fmt"
	"testing"

	"skiff/orchestrator/node/internal/podtest"
	"skiff/orchestrator/node/pod"
)

// wantRejection compares a rejection with kubelet's message, which is empty for none.
func wantRejection(t *testing.T, got *pod.Rejection, want string) {
	t.Helper()
	switch {
	case got == nil && want != "":
		t.Errorf("admitted, want %s", want)
	case got != nil && (got.Reason != "SysctlForbidden" || got.Message != "Pod was rejected: "+want):
		t.Errorf("got %s %s, want %s", got.Reason, got.Message, want)
	}
}

func TestForbiddenSysctl(t *testing.T) {
	for _, c := range []struct {
		name, spec string
		patterns   []string
		kernel     string
		want       string
	}{
		{"safe", "net.ipv4.tcp_syncookies", nil, "5.10.0", ""},
		{"safe, with slashes", "net/ipv4/tcp_syncookies", nil, "5.10.0", ""},
		{"safe since a later kernel", "net.ipv4.tcp_rmem", nil, "4.14.35-generic", `forbidden sysctl: "net.ipv4.tcp_rmem" not allowlisted`},
		{"safe since this kernel", "net.ipv4.tcp_rmem", nil, "4.15.0-20-generic", ""},
		{"safe, kernel unknown", "net.ipv4.tcp_rmem", nil, "none", ""},
		{"unsafe", "net.core.somaxconn", nil, "5.10.0", `forbidden sysctl: "net.core.somaxconn" not allowlisted`},
		{"unsafe, with slashes", "net/core/somaxconn", nil, "5.10.0", `forbidden sysctl: "net.core.somaxconn" not allowlisted`},
		{"allowed by name", "net.core.somaxconn", []string{"kernel.msgmax", "net.core.somaxconn"}, "5.10.0", ""},
		{"allowed by pattern", "net.core.somaxconn", []string{"net.core.*"}, "5.10.0", ""},
		{"a name is no pattern", "net.core.somaxconn", []string{"net.core.somax"}, "5.10.0", `forbidden sysctl: "net.core.somaxconn" not allowlisted`},
		{"of another pattern", "net.core.somaxconn", []string{"kernel.msg*"}, "5.10.0", `forbidden sysctl: "net.core.somaxconn" not allowlisted`},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := podtest.Pod(t, fmt.Sprintf(`{securityContext: {sysctls: [{name: %s, value: "1"}]}, containers: [{name: c}]}`, c.spec))
			wantRejection(t, forbiddenSysctl(p, c.patterns, c.kernel), c.want)
		})
	}
}

func TestForbiddenSysctlOfTheHost(t *testing.T) {
	for _, c := range []struct{ spec, want string }{
		{`{hostIPC: true, securityContext: {sysctls: [{name: kernel.shm_rmid_forced, value: "1"}]}}`, `forbidden sysctl: "kernel.shm_rmid_forced" not allowed with host IPC enabled`},
		{`{hostNetwork: true, securityContext: {sysctls: [{name: net.core.somaxconn, value: "1"}]}}`, `forbidden sysctl: "net.core.somaxconn" not allowed with host Net enabled`},
		{`{hostNetwork: true, securityContext: {sysctls: [{name: kernel.shm_rmid_forced, value: "1"}]}}`, ``},
		{`{securityContext: {sysctls: [{name: user.max_user_namespaces, value: "1"}]}}`, `forbidden sysctl: "user.max_user_namespaces" not allowed with host User enabled`},
	} {
		wantRejection(t, forbiddenSysctl(podtest.Pod(t, c.spec), []string{"net.*", "user.*"}, "5.10.0"), c.want)
	}
}

func TestCheckSysctlPatterns(t *testing.T) {
	for pattern, want := range map[string]string{
		"net.core.*":      "",
		"net/core/*":      "",
		"kernel.msg*":     "",
		"kernel.sem":      "",
		"Net.core":        `"Net.core" is not the name of a sysctl, such as kernel.msgmax or net.core.*`,
		"net.*.somaxconn": `"net.*.somaxconn" is not the name of a sysctl, such as kernel.msgmax or net.core.*`,
		"vm.swappiness":   `sysctl "vm.swappiness" is not known to be namespaced: a pod that sets it would set it for the machine`,
		"*":               `sysctl "*" is not known to be namespaced: a pod that sets it would set it for the machine`,
	} {
		got := ""
		if err := CheckSysctlPatterns([]string{pattern}); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", pattern, got, want)
		}
	}
}

// An unsafe sysctl is refused by the node: the pod fails, once and for all.
func TestAgentForbidsSysctls(t *testing.T) {
	const unsafe = `{securityContext: {sysctls: [{name: net.core.somaxconn, value: "100"}]}, containers: [{name: kubia, image: kubia}]}`
	inWorld(t, func(w *world) {
		w.pod("kubia", unsafe)
		w.want("kubia", "Failed | SysctlForbidden")
		w.wantEvents("kubia", `Warning SysctlForbidden Pod was rejected: forbidden sysctl: "net.core.somaxconn" not allowlisted`)
		w.wantContainers("")
	})
	inWorld(t, func(w *world) {
		w.pod("kubia", unsafe)
		w.want("kubia", "Running | kubia running ready")
	}, func(o *Options) { o.AllowedUnsafeSysctls = []string{"net.core.*"} })
}
