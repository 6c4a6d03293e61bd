package spec

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"skiff/docker"
	"skiff/manifests/podfacts"
	"skiff/orchestrator/node/internal/podtest"
	"skiff/orchestrator/node/pod"
)

// specOf builds the engine's spec of a pod's first container.
func specOf(t *testing.T, spec string, adapt func(*Input)) (docker.ContainerSpec, error) {
	t.Helper()
	pod := podtest.Pod(t, spec)
	b := Input{Pod: pod, Container: &pod.Spec.Containers[0], Addr: podtest.IP, ClusterDomain: "cluster.local", NodeMemory: 16 << 30, Env: map[string]string{"A": "1"}}
	if adapt != nil {
		adapt(&b)
	}
	return Container(b)
}

func TestContainerSpec(t *testing.T) {
	for _, c := range []struct {
		name, spec string
		show       func(docker.ContainerSpec) any
		want       string
	}{
		{"image's own command", `containers: [{name: c, image: i}]`,
			func(s docker.ContainerSpec) any { return []any{s.Entrypoint == nil, s.Args == nil} }, "[true true]"},
		{"command", `containers: [{name: c, image: i, command: [run, "$(A)", "$(B)"]}]`,
			func(s docker.ContainerSpec) any { return []any{s.Entrypoint, s.Args == nil, s.Args} }, "[[run 1 $(B)] false []]"},
		{"args", `containers: [{name: c, image: i, args: ["$(A)"]}]`,
			func(s docker.ContainerSpec) any { return []any{s.Entrypoint == nil, s.Args} }, "[true [1]]"},
		{"terminal", `containers: [{name: c, image: i, tty: true, stdin: true, stdinOnce: true, workingDir: /w}]`,
			func(s docker.ContainerSpec) any { return []any{s.TTY, s.Stdin, s.StdinOnce, s.WorkingDir} }, "[true true true /w]"},
		{"own network", `{hostname: web, subdomain: shop, hostAliases: [{ip: 10.0.0.1, hostnames: [db, db.local]}],
			dnsConfig: {nameservers: [1.1.1.1], searches: [example.org], options: [{name: ndots, value: "5"}, {name: edns0}]},
			containers: [{name: c, image: i, ports: [{containerPort: 80, hostPort: 8080, protocol: TCP}, {containerPort: 81}]}]}`,
			func(s docker.ContainerSpec) any { return s.Network },
			"{ false 172.30.0.9 web shop.default.svc.cluster.local [{ 8080 80 tcp}] [db:10.0.0.1 db.local:10.0.0.1] [1.1.1.1] [example.org] [ndots:5 edns0]}"},
		{"host's network", `{hostNetwork: true, containers: [{name: c, image: i, ports: [{containerPort: 80, hostPort: 80}]}]}`,
			func(s docker.ContainerSpec) any { return s.Network }, "{ true invalid IP   [] [] [] [] []}"},
		{"host's network with names of its own", `{hostNetwork: true, hostAliases: [{ip: 10.0.0.1, hostnames: [db]}], dnsConfig: {nameservers: [1.1.1.1]}, containers: [{name: c, image: i}]}`,
			func(s docker.ContainerSpec) any { return s.Network }, "{ true invalid IP   [] [db:10.0.0.1] [1.1.1.1] [] []}"},
		{"no resources", `containers: [{name: c, image: i}]`,
			func(s docker.ContainerSpec) any { return s.Resources }, "{2 0 0 0 0 1000 0}"},
		{"resources", `containers: [{name: c, image: i, resources: {requests: {cpu: 250m, memory: 4Gi}, limits: {cpu: 1500m, memory: 8Gi}}}]`,
			func(s docker.ContainerSpec) any { return s.Resources }, "{256 150000 100000 8589934592 4294967296 750 0}"},
		{"request below the engine's floor", `containers: [{name: c, image: i, resources: {requests: {memory: 4Mi}}}]`,
			func(s docker.ContainerSpec) any { return s.Resources.MemoryReservation }, "6291456"},
		{"request below the engine's floor, limit at it", `containers: [{name: c, image: i, resources: {requests: {memory: 4Mi}, limits: {memory: 6Mi}}}]`,
			func(s docker.ContainerSpec) any {
				return []int64{s.Resources.MemoryReservation, s.Resources.Memory}
			}, "[0 6291456]"},
		{"guaranteed", `containers: [{name: c, image: i, resources: {requests: {cpu: 1, memory: 1Gi}, limits: {cpu: 1, memory: 1Gi}}}]`,
			func(s docker.ContainerSpec) any { return s.Resources }, "{1024 100000 100000 1073741824 0 0 0}"},
		{"hardly any processor", `containers: [{name: c, image: i, resources: {limits: {cpu: 1m}}}]`,
			func(s docker.ContainerSpec) any { return []any{s.Resources.CPUShares, s.Resources.CPUQuota} }, "[2 1000]"},
		{"security", `{securityContext: {runAsUser: 1, runAsGroup: 2, supplementalGroups: [5], fsGroup: 6, sysctls: [{name: net.ipv4.tcp_syncookies, value: "1"}]},
			containers: [{name: c, image: i, securityContext: {runAsUser: 3, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false,
				capabilities: {add: [NET_ADMIN], drop: [ALL]}, seccompProfile: {type: Unconfined}, appArmorProfile: {type: Localhost, localhostProfile: p}}}]}`,
			func(s docker.ContainerSpec) any {
				return []any{s.User, s.Groups, s.ReadOnlyRoot, s.Security, s.Sysctls}
			},
			"[3:2 [5 6] true {false [NET_ADMIN] [ALL] true unconfined p} map[net.ipv4.tcp_syncookies:1]]"},
		{"sysctls on the host's network", `{hostNetwork: true, securityContext: {sysctls: [{name: kernel.shm_rmid_forced, value: "1"}]}, containers: [{name: c, image: i}]}`,
			func(s docker.ContainerSpec) any { return s.Sysctls }, "map[kernel.shm_rmid_forced:1]"},
		{"group alone", `{securityContext: {runAsGroup: 7}, containers: [{name: c, image: i}]}`,
			func(s docker.ContainerSpec) any { return s.User }, "0:7"},
		{"the image's groups left out", `{securityContext: {supplementalGroupsPolicy: Strict, supplementalGroups: [5]}, containers: [{name: c, image: i}]}`,
			func(s docker.ContainerSpec) any { return []any{s.User, s.Groups} }, "[0:0 [5]]"},
		{"the pod's requests", `{resources: {requests: {cpu: 500m, memory: 1Gi}, limits: {cpu: 1}}, containers: [{name: c, image: i, resources: {requests: {memory: 512Mi}}}]}`,
			func(s docker.ContainerSpec) any {
				return []any{s.Resources.CPUShares, s.Resources.MemoryReservation}
			}, "[512 536870912]"},
		{"the pod's limits", `{resources: {limits: {cpu: 500m, memory: 1Gi}}, containers: [{name: c, image: i, resources: {limits: {memory: 512Mi}}}]}`,
			func(s docker.ContainerSpec) any { return []any{s.Resources.CPUQuota, s.Resources.Memory} }, "[50000 536870912]"},
		{"privileged", `{hostPID: true, hostIPC: true, containers: [{name: c, image: i, securityContext: {privileged: true}}]}`,
			func(s docker.ContainerSpec) any { return []any{s.Security.Privileged, s.HostPID, s.HostIPC} }, "[true true true]"},
		{"stop signal", `containers: [{name: c, image: i, lifecycle: {stopSignal: SIGUSR1}}]`,
			func(s docker.ContainerSpec) any { return s.StopSignal }, "SIGUSR1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := specOf(t, c.spec, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(c.show(s)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestContainerSpecInSandbox(t *testing.T) {
	in := func(b *Input) { b.Sandbox, b.SandboxID = 2, "sandbox-id" }
	s, err := specOf(t, `{shareProcessNamespace: true, containers: [{name: c, image: i}, {name: d, image: i}]}`, in)
	if err != nil {
		t.Fatal(err)
	}
	if s.Network.Join != "sandbox-id" || s.Network.IP.IsValid() || s.IPCContainer != "sandbox-id" || s.PIDContainer != "sandbox-id" {
		t.Errorf("spec %+v", s)
	}
	if s.Labels[pod.LabelSandbox] != "2" {
		t.Errorf("label %s=%q", pod.LabelSandbox, s.Labels[pod.LabelSandbox])
	}
}

// On the host's network containers still share IPC, and with it its sysctls.
func TestContainerSpecInSandboxOnTheHostsNetwork(t *testing.T) {
	const pod = `{hostNetwork: true, securityContext: {sysctls: [{name: kernel.shm_rmid_forced, value: "1"}]}, containers: [{name: c, image: i}, {name: d, image: i}]}`
	s, err := specOf(t, pod, func(b *Input) { b.SandboxID = "sandbox-id" })
	if err != nil {
		t.Fatal(err)
	}
	if !s.Network.Host || s.IPCContainer != "sandbox-id" || s.Sysctls != nil {
		t.Errorf("spec %+v", s)
	}
	sandbox := Sandbox(podtest.Pod(t, pod), "pause", 0, podtest.IP, Resolver{}, "cluster.local", nil)
	if got := fmt.Sprint(sandbox.Network.Host, sandbox.Sysctls); got != "true map[kernel.shm_rmid_forced:1]" {
		t.Errorf("sandbox %s", got)
	}
}

func TestSandboxSpec(t *testing.T) {
	pod := podtest.Pod(t, `{containers: [{name: c, image: i, ports: [{containerPort: 80, hostPort: 8080, protocol: UDP}]}, {name: d, image: i, ports: [{containerPort: 81, hostPort: 8081}]}]}`)
	s := Sandbox(pod, "pause", 1, podtest.IP, Resolver{}, "cluster.local", nil)
	if s.Name != "kubia_POD_3f2a9c1e_1" || s.Network.Hostname != "kubia" || s.Network.IP != podtest.IP ||
		fmt.Sprint(s.Network.Ports) != "[{ 8080 80 udp} { 8081 81 }]" {
		t.Errorf("spec %+v", s)
	}
}

func TestContainerSpecRefuses(t *testing.T) {
	where := fmt.Sprintf("(pod: \"kubia_default(%s)\", container: c)", podtest.UID)
	for _, c := range []struct{ name, spec, imageUser, want string }{
		{"root by manifest", `containers: [{name: c, image: i, securityContext: {runAsNonRoot: true, runAsUser: 0}}]`, "", "container's runAsUser breaks non-root policy " + where},
		{"root by image", `containers: [{name: c, image: i, securityContext: {runAsNonRoot: true}}]`, "", "container has runAsNonRoot and image will run as root " + where},
		{"root by image, in figures", `{securityContext: {runAsNonRoot: true}, containers: [{name: c, image: i}]}`, "0:0", "container has runAsNonRoot and image will run as root " + where},
		{"image names its user", `containers: [{name: c, image: i, securityContext: {runAsNonRoot: true}}]`, "www", "container has runAsNonRoot and image has non-numeric user (www), cannot verify user is non-root " + where},
		{"not root", `containers: [{name: c, image: i, securityContext: {runAsNonRoot: true}}]`, "1000:1000", ""},
		{"allowed by the container", `{securityContext: {runAsNonRoot: true}, containers: [{name: c, image: i, securityContext: {runAsNonRoot: false}}]}`, "", ""},
		{"seccomp", `containers: [{name: c, image: i, securityContext: {seccompProfile: {type: Localhost, localhostProfile: x}}}]`, "", "seccompProfile type Localhost is not supported by skiff: use RuntimeDefault or Unconfined"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := specOf(t, c.spec, func(b *Input) { b.ImageUser = c.imageUser })
			if got := fmt.Sprint(err); got != c.want && (err != nil || c.want != "") {
				t.Errorf("error %s, want %s", got, c.want)
			}
		})
	}
}

func TestHostname(t *testing.T) {
	long := "a-name-that-is-as-long-as-a-pod-may-have-but-no-host-0123456789--x-y"
	pod := &corev1.Pod{}
	pod.Name = long
	if got := hostname(pod); len(got) > 63 || got != "a-name-that-is-as-long-as-a-pod-may-have-but-no-host-0123456789" {
		t.Errorf("hostname %q", got)
	}
}

// With supplementalGroupsPolicy Strict the group is always named: that keeps the engine from adding
// those that the image lists for the user.
func TestContainerUser(t *testing.T) {
	const passwd = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/:/bin/sh\nbroken\n"
	for _, c := range []struct{ name, security, image, want string }{
		{"merged", `{}`, "web", ""},
		{"nothing said", `{supplementalGroupsPolicy: Strict}`, "", "0:0"},
		{"the image's user by name", `{supplementalGroupsPolicy: Strict}`, "web", "web:34"},
		{"the image's user by number", `{supplementalGroupsPolicy: Strict}`, "33", "33:34"},
		{"the image's user and group", `{supplementalGroupsPolicy: Strict}`, "web:www", "web:www"},
		{"a user of the image", `{supplementalGroupsPolicy: Strict, runAsUser: 33}`, "root:root", "33:34"},
		{"a user that the image does not know", `{supplementalGroupsPolicy: Strict, runAsUser: 7}`, "", "7:0"},
		{"a group", `{supplementalGroupsPolicy: Strict, runAsGroup: 8}`, "web", "web:8"},
		{"a user and a group", `{supplementalGroupsPolicy: Strict, runAsUser: 7, runAsGroup: 8}`, "web", "7:8"},
		{"a user, merged", `{runAsUser: 7}`, "web:www", "7"},
		{"a group, merged", `{runAsGroup: 8}`, "web:www", "web:8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := specOf(t, `{securityContext: `+c.security+`, containers: [{name: c, image: i}]}`, func(b *Input) { b.ImageUser, b.Passwd = c.image, passwd })
			if err != nil || s.User != c.want {
				t.Errorf("got %q, %v, want %q", s.User, err, c.want)
			}
		})
	}
}

// TestNamedUser: a name counts where the pod does not give a number, and does not get around
// runAsNonRoot.
func TestNamedUser(t *testing.T) {
	for _, c := range []struct{ security, want string }{
		{`{}`, "postgres:root"}, {`{runAsUser: 7}`, "7"}, {`{runAsGroup: 8}`, "web:8"}, {`{runAsNonRoot: true}`, ""},
	} {
		p := &corev1.Pod{}
		p.Annotations = map[string]string{podfacts.UserAnnotation + "c": "postgres:root", podfacts.UserAnnotation + "other": "x"}
		p.Spec.SecurityContext = &corev1.PodSecurityContext{}
		if err := yaml.UnmarshalStrict([]byte(c.security), p.Spec.SecurityContext); err != nil {
			t.Fatal(err)
		}
		if got := containerUser(p, &corev1.Container{Name: "c"}, "web", ""); got != c.want {
			t.Errorf("%s: %q, want %q", c.security, got, c.want)
		}
	}
}

// TestNoResolver: the engine is kept from a name server of its own where nobody would ask it.
func TestNoResolver(t *testing.T) {
	for _, c := range []struct {
		spec    string
		mounted bool
		want    string
	}{
		{`{containers: [{name: c}]}`, true, "[] [] [ndots:none]"},
		{`{containers: [{name: c}]}`, false, "[] [] []"},
		{`{hostNetwork: true, dnsPolicy: ClusterFirstWithHostNet, containers: [{name: c}]}`, true, "[] [] []"},
		{`{dnsPolicy: Default, dnsConfig: {options: [{name: edns0}]}, containers: [{name: c}]}`, false, "[] [] [edns0]"},
	} {
		n := Sandbox(podtest.Pod(t, c.spec), "pause", 0, podtest.IP, Resolver{Mounted: c.mounted}, "cluster.local", nil).Network
		if got := fmt.Sprint(n.DNS, n.DNSSearch, n.DNSOpts); got != c.want {
			t.Errorf("%s, mounted %v: got %s, want %s", c.spec, c.mounted, got, c.want)
		}
	}
}
