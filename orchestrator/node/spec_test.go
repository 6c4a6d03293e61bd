package node

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"skiff/docker"
)

// specOf builds the engine's spec of a pod's first container.
func specOf(t *testing.T, spec string, adapt func(*blueprint)) (docker.ContainerSpec, error) {
	t.Helper()
	pod := testPod(t, spec)
	b := blueprint{pod: pod, container: &pod.Spec.Containers[0], addr: sceneIP, nodeMemory: 16 << 30, env: map[string]string{"A": "1"}}
	if adapt != nil {
		adapt(&b)
	}
	return containerSpec(b)
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
	in := func(b *blueprint) { b.sandbox, b.sandboxID = 2, "sandbox-id" }
	s, err := specOf(t, `{shareProcessNamespace: true, containers: [{name: c, image: i}, {name: d, image: i}]}`, in)
	if err != nil {
		t.Fatal(err)
	}
	if s.Network.Join != "sandbox-id" || s.Network.IP.IsValid() || s.IPCContainer != "sandbox-id" || s.PIDContainer != "sandbox-id" {
		t.Errorf("spec %+v", s)
	}
	if s.Labels[labelSandbox] != "2" {
		t.Errorf("label %s=%q", labelSandbox, s.Labels[labelSandbox])
	}
}

// On the host's network containers still share IPC, and with it its sysctls.
func TestContainerSpecInSandboxOnTheHostsNetwork(t *testing.T) {
	const pod = `{hostNetwork: true, securityContext: {sysctls: [{name: kernel.shm_rmid_forced, value: "1"}]}, containers: [{name: c, image: i}, {name: d, image: i}]}`
	s, err := specOf(t, pod, func(b *blueprint) { b.sandboxID = "sandbox-id" })
	if err != nil {
		t.Fatal(err)
	}
	if !s.Network.Host || s.IPCContainer != "sandbox-id" || s.Sysctls != nil {
		t.Errorf("spec %+v", s)
	}
	sandbox := sandboxSpec(testPod(t, pod), "pause", 0, sceneIP, resolver{})
	if got := fmt.Sprint(sandbox.Network.Host, sandbox.Sysctls); got != "true map[kernel.shm_rmid_forced:1]" {
		t.Errorf("sandbox %s", got)
	}
}

func TestSandboxSpec(t *testing.T) {
	pod := testPod(t, `{containers: [{name: c, image: i, ports: [{containerPort: 80, hostPort: 8080, protocol: UDP}]}, {name: d, image: i, ports: [{containerPort: 81, hostPort: 8081}]}]}`)
	s := sandboxSpec(pod, "pause", 1, sceneIP, resolver{})
	if s.Name != "kubia_POD_3f2a9c1e_1" || s.Network.Hostname != "kubia" || s.Network.IP != sceneIP ||
		fmt.Sprint(s.Network.Ports) != "[{ 8080 80 udp} { 8081 81 }]" {
		t.Errorf("spec %+v", s)
	}
}

func TestContainerSpecRefuses(t *testing.T) {
	where := fmt.Sprintf("(pod: \"kubia_default(%s)\", container: c)", sceneUID)
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
			_, err := specOf(t, c.spec, func(b *blueprint) { b.imageUser = c.imageUser })
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

func TestWithTag(t *testing.T) {
	for in, want := range map[string]string{
		"kubia": "kubia:latest", "kubia:v1": "kubia:v1", "localhost:5000/kubia": "localhost:5000/kubia:latest",
		"localhost:5000/kubia:v1": "localhost:5000/kubia:v1", "kubia@sha256:00": "kubia@sha256:00",
	} {
		if got := withTag(in); got != want {
			t.Errorf("withTag(%s) = %s, want %s", in, got, want)
		}
	}
}
