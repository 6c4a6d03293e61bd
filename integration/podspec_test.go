package integration

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"skiff/integration/harness"
)

// tool is a pod whose only container runs a shell script; more is added to its specification.
func tool(image, name, script, more string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  terminationGracePeriodSeconds: 0
  %s
  containers:
  - name: c
    image: %s
    command: [sh, -c, %q]
`, name, more, image, script)
}

// TestSysctls has a pod set an unsafe sysctl: the node refuses it, unless the daemon was told to
// allow it.
func TestSysctls(t *testing.T) {
	t.Parallel()
	image := harness.Toolbox(t, harness.Engine(t), nil)
	pod := tool(image, "tuned", "cat /proc/sys/net/ipv4/tcp_syncookies /proc/sys/net/core/somaxconn; sleep 600",
		`securityContext: {sysctls: [{name: net.core.somaxconn, value: "1024"}, {name: net.ipv4.tcp_syncookies, value: "0"}]}`)
	walkBoth(t, func(w walk) {
		w.createFrom(pod)
		w.until(soon, "get pod tuned", "NAME READY STATUS RESTARTS AGE\ntuned 0/1 SysctlForbidden 0 *")
		w.saysOnce("tuned", "SysctlForbidden", `Pod was rejected: forbidden sysctl: "net.core.somaxconn" not allowlisted`)
	})
	t.Run("allowed", func(t *testing.T) {
		t.Parallel()
		d := harness.Start(t, "--allowed-unsafe-sysctls", "kernel.msgmax,net.core.*")
		w := walk{t, d, d.SkiffCLI()}
		w.createFrom(pod)
		w.until(soon, "get pod tuned", "NAME READY STATUS RESTARTS AGE\ntuned 1/1 Running 0 *")
		w.until(soon, "logs tuned", "0\n1024")
	})
	t.Run("no sysctl", func(t *testing.T) {
		said, err := exec.Command(harness.Build(t).Skiff, "daemon", "run", "--data-dir", t.TempDir(), "--listen", "127.0.0.1:0",
			"--allowed-unsafe-sysctls", "vm.swappiness").CombinedOutput()
		if err == nil || !strings.Contains(string(said), `--allowed-unsafe-sysctls: sysctl "vm.swappiness" is not known to be namespaced`) {
			t.Errorf("%v: %s", err, said)
		}
	})
}

// TestResolvConf has pods with dnsPolicy None: their resolv.conf is what their dnsConfig says.
func TestResolvConf(t *testing.T) {
	t.Parallel()
	image := harness.Toolbox(t, harness.Engine(t), nil)
	const config = `dnsPolicy: None
  dnsConfig: {nameservers: [10.1.2.3, 10.1.2.4], searches: [a.example, b.example], options: [{name: ndots, value: "2"}, {name: edns0}]}`
	const want = "search a.example b.example\nnameserver 10.1.2.3\nnameserver 10.1.2.4\noptions ndots:2 edns0"
	walkBoth(t, func(w walk) {
		for name, more := range map[string]string{
			"alone":   "",
			"several": "\n  shareProcessNamespace: true",
			"host":    "\n  hostNetwork: true",
		} {
			w.createFrom(tool(image, name, "cat /etc/resolv.conf; sleep 600", config+more))
			w.until(soon, "get pod "+name, "NAME READY STATUS RESTARTS AGE\n"+name+" 1/1 Running 0 *")
			w.until(soon, "logs "+name, want)
		}
	})
}

// TestVariablesFromFiles has an init container write the variables of another.
func TestVariablesFromFiles(t *testing.T) {
	t.Parallel()
	image := harness.Toolbox(t, harness.Engine(t), nil)
	walkBoth(t, func(w walk) {
		w.createFrom(tool(image, "configured", "echo $COLOUR $SIZE.; sleep 600", fmt.Sprintf(`volumes: [{name: config, emptyDir: {}}]
  initContainers:
  - {name: init, image: %q, command: [sh, -c, "echo COLOUR=\\'red\\' > /config/vars"], volumeMounts: [{name: config, mountPath: /config}]}`, image)) + `
    env:
    - {name: COLOUR, valueFrom: {fileKeyRef: {volumeName: config, path: vars, key: COLOUR}}}
    - {name: SIZE, valueFrom: {fileKeyRef: {volumeName: config, path: vars, key: SIZE, optional: true}}}
`)
		w.runs("configured")
		w.until(soon, "logs configured -c c", "red .")
	})
}

// TestRestartAllContainers has a container whose end restarts all containers of its pod, in order.
func TestRestartAllContainers(t *testing.T) {
	t.Parallel()
	image := harness.Toolbox(t, harness.Engine(t), nil)
	walkBoth(t, func(w walk) {
		w.createFrom(fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: together}
spec:
  restartPolicy: Never
  volumes: [{name: diary, emptyDir: {}}]
  initContainers:
  - {name: init, image: %[1]q, command: [sh, -c, echo init >> /diary/d], volumeMounts: [{name: diary, mountPath: /diary}]}
  containers:
  - name: leader
    image: %[1]q
    command: [sh, -c, "echo leader >> /diary/d; if [ $(grep -c leader /diary/d) = 1 ]; then until grep -q other /diary/d; do sleep 0.1; done; exit 42; fi"]
    volumeMounts: [{name: diary, mountPath: /diary}]
    restartPolicy: Never
    restartPolicyRules: [{action: RestartAllContainers, exitCodes: {operator: In, values: [42]}}]
  - {name: other, image: %[1]q, command: [sh, -c, "echo other >> /diary/d; if [ $(grep -c other /diary/d) = 1 ]; then sleep 600; fi; sleep 1; cat /diary/d"], volumeMounts: [{name: diary, mountPath: /diary}]}
`, image))
		w.until(soon, "get pod together", "NAME READY STATUS RESTARTS AGE\ntogether 0/2 Completed …")
		w.until(soon, "logs together -c other", "init\nleader\nother\ninit\nleader\nother")
		w.until(soon, "get pod together -o jsonpath={.status.containerStatuses[*].restartCount}", "1 1")
	})
}

// TestStrictGroups has a pod whose processes are in no groups but its own, whatever the image says.
func TestStrictGroups(t *testing.T) {
	t.Parallel()
	image := harness.Toolbox(t, harness.Engine(t), map[string]string{
		"etc/passwd": "root:x:0:0::/:/bin/sh\nweb:x:1000:1001::/:/bin/sh\n", "etc/group": "root:x:0:\nweb:x:1001:\nsecret:x:1002:web\n"}, "USER web")
	const groups = "id -u; echo $(id -G | tr ' ' '\\n' | sort -n); sleep 600"
	walkBoth(t, func(w walk) {
		w.createFrom(tool(image, "merged", groups, "securityContext: {supplementalGroups: [5]}"))
		w.createFrom(tool(image, "strict", groups, "securityContext: {supplementalGroups: [5], supplementalGroupsPolicy: Strict}"))
		w.runs("merged")
		w.runs("strict")
		w.until(soon, "logs merged", "1000\n5 1001 1002")
		w.until(soon, "logs strict", "1000\n5 1001")
	})
}

// TestPodLimits has the limit of a pod limit its one container, and be refused where nobody would keep
// it.
func TestPodLimits(t *testing.T) {
	t.Parallel()
	image := harness.Toolbox(t, harness.Engine(t), nil)
	walkBoth(t, func(w walk) {
		w.createFrom(tool(image, "limited", "sleep 600", "resources: {limits: {cpu: 500m, memory: 64Mi}}"))
		w.runs("limited")
		c, err := w.d.Engine.ContainerInspect(w.Context(), w.d.Containers("io.kubernetes.pod.name=limited")[0].ID)
		if err != nil || c.HostConfig.Memory != 64<<20 || c.HostConfig.CPUQuota != 50000 {
			w.Errorf("memory %d, CPU quota %d, %v", c.HostConfig.Memory, c.HostConfig.CPUQuota, err)
		}
		r := w.cli.Try(tool(image, "several", "sleep 600", "resources: {limits: {memory: 64Mi}}")+
			"  - {name: other, image: "+image+"}\n", "create", "-f", "-")
		if r.Code == 0 || !strings.Contains(r.Err, "spec.resources.limits[memory]: Forbidden: the Docker Engine limits containers, and no group of them") {
			w.Errorf("exit %d: %s", r.Code, r.Err)
		}
	})
}
