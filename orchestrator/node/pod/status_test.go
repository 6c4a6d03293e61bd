package pod

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"skiff/orchestrator/node/internal/podtest"
	"skiff/probe"
)

// statusLines is a status as text: the phase, a line for each container, and a line for each
// condition that is not simply true.
func statusLines(s corev1.PodStatus) string {
	first := string(s.Phase)
	if s.Reason != "" {
		first += " " + s.Reason
	}
	out := []string{first}
	for _, c := range slices.Concat(s.InitContainerStatuses, s.ContainerStatuses, s.EphemeralContainerStatuses) {
		text := podtest.StatusText(c)
		if ptr.Deref(c.Started, false) && !c.Ready {
			text += " started"
		}
		out = append(out, text)
	}
	for _, c := range s.Conditions {
		if c.Status != corev1.ConditionTrue || c.Reason != "" {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", c.Type, c.Status, c.Reason, c.Message)))
		}
	}
	return strings.Join(out, "\n")
}

func TestStatus(t *testing.T) {
	const two = "containers: [{name: web, image: web}, {name: log, image: log}]"
	const once = "{restartPolicy: Never, containers: [{name: web, image: web}, {name: log, image: log}]}"
	const init = `{initContainers: [{name: one, image: i}, {name: two, image: i}], containers: [{name: kubia, image: i}]}`
	const probed = `containers: [{name: kubia, image: kubia, livenessProbe: {httpGet: {port: 1}},
		startupProbe: {httpGet: {port: 1}}, readinessProbe: {httpGet: {port: 1}}}]`
	const sidecar = `{initContainers: [{name: side, image: i, restartPolicy: Always, startupProbe: {exec: {command: [up]}}}], containers: [{name: kubia, image: i}]}`
	said := func(name string, s probe.State) map[string]probe.State { return map[string]probe.State{name: s} }
	const notReady = `Ready False ContainersNotReady containers with unready status: [kubia]
		ContainersReady False ContainersNotReady containers with unready status: [kubia]`
	const noNetwork = "PodReadyToStartContainers False\n"
	for _, c := range []struct {
		name string
		scene
		want string
	}{
		{"new", scene{noAddr: true}, `Pending
			kubia ContainerCreating
			` + noNetwork + notReady},
		{"runs", scene{runs: "kubia 0 running"}, `Running
			kubia running ready`},
		{"runs, not started", scene{pod: probed, runs: "kubia 0 running"}, `Running
			kubia running
			` + notReady},
		{"runs, not ready", scene{pod: probed, runs: "kubia 0 running", verdicts: said("kubia", probe.State{Startup: probe.Success, Readiness: probe.Failure})}, `Running
			kubia running started
			` + notReady},
		{"runs, ready", scene{pod: probed, runs: "kubia 0 running", verdicts: said("kubia", well)}, `Running
			kubia running ready`},
		{"adopted, and not probed yet", scene{pod: probed, runs: "kubia 0 running adopted",
			status: "containerStatuses: [{name: kubia, containerID: docker://kubia-0, started: true, ready: true}]"}, `Running
			kubia running ready`},
		{"adopted, and its status is about another", scene{pod: probed, runs: "kubia 1 running adopted",
			status: "containerStatuses: [{name: kubia, containerID: docker://kubia-0, started: true, ready: true}]"}, `Running
			kubia running restarts=1
			` + notReady},
		{"adopted, and sick since", scene{pod: probed, runs: "kubia 0 running adopted", verdicts: said("kubia", probe.State{Startup: probe.Success, Readiness: probe.Failure}),
			status: "containerStatuses: [{name: kubia, containerID: docker://kubia-0, started: true, ready: true}]"}, `Running
			kubia running started
			` + notReady},
		{"restarted", scene{runs: "kubia 2 running; kubia 1 exited 137"}, `Running
			kubia running ready restarts=2 last=Error(137)`},
		{"just crashed", scene{runs: "kubia 0 exited 3", works: "kubia starting 1"}, `Running
			kubia Error(3)
			` + notReady},
		{"out of memory", scene{runs: "kubia 0 exited 137 oom"}, `Running
			kubia OOMKilled(137)
			` + notReady},
		{"backs off", scene{runs: "kubia 1 exited 3; kubia 0 exited 2", crashes: map[string]Backoff{"kubia": {Delay: 10 * time.Second, Since: podtest.Now}}}, `Running
			kubia CrashLoopBackOff restarts=1 last=Error(3)
			` + notReady},
		{"starts again after its back-off", scene{runs: "kubia 1 exited 3", works: "kubia starting 2",
			status: "{phase: Running, containerStatuses: [{name: kubia, state: {waiting: {reason: CrashLoopBackOff}}}]}"}, `Running
			kubia CrashLoopBackOff restarts=1 last=Error(3)
			` + notReady},
		{"can't be started", scene{runs: "kubia 0 unstartable", works: "kubia starting 1"}, `Running
			kubia StartError(128)
			` + notReady},
		{"image missing", scene{noAddr: true, failures: map[string]StartFailure{"kubia": {Reason: "ImagePullBackOff", Image: "kubia"}}}, `Pending
			kubia ImagePullBackOff
			` + noNetwork + notReady},
		{"image was missing, but another is asked for now", scene{noAddr: true, failures: map[string]StartFailure{"kubia": {Reason: "ImagePullBackOff", Image: "kubai"}}}, `Pending
			kubia ContainerCreating
			` + noNetwork + notReady},
		{"its hook runs", scene{runs: "kubia 0 running", works: "kubia hook 0"}, `Pending
			kubia ContainerCreating
			` + notReady},
		{"one of two runs", scene{pod: two, runs: "POD 0 running; web 0 running"}, `Pending
			log ContainerCreating
			web running ready
			Ready False ContainersNotReady containers with unready status: [log]
			ContainersReady False ContainersNotReady containers with unready status: [log]`},
		{"one of two has ended", scene{pod: once, runs: "POD 0 running; web 0 running; log 0 exited 0"}, `Running
			log Completed(0)
			web running ready
			Ready False ContainersNotReady containers with unready status: [log]
			ContainersReady False ContainersNotReady containers with unready status: [log]`},
		{"both have ended well, the sandbox not yet", scene{pod: once, status: "phase: Running", runs: "POD 0 running; web 0 exited 0; log 0 exited 0"}, `Running
			log Completed(0)
			web Completed(0)
			Ready False ContainersNotReady containers with unready status: [web log]
			ContainersReady False ContainersNotReady containers with unready status: [web log]`},
		{"both have ended well", scene{pod: once, status: "phase: Running", runs: "POD 0 exited 0; web 0 exited 0; log 0 exited 0"}, `Succeeded
			log Completed(0)
			web Completed(0)
			PodReadyToStartContainers False
			Initialized True PodCompleted
			Ready False PodCompleted
			ContainersReady False PodCompleted`},
		{"one failed", scene{pod: once, status: "phase: Running", runs: "POD 0 exited 0; web 0 exited 1; log 0 exited 0"}, `Failed
			log Completed(0)
			web Error(1)
			PodReadyToStartContainers False
			Ready False PodFailed
			ContainersReady False PodFailed`},
		{"what has ended stays so", scene{status: "{phase: Failed, reason: Evicted}", runs: "kubia 0 running"}, `Failed Evicted
			kubia running ready
			PodReadyToStartContainers False
			Ready False PodFailed
			ContainersReady False PodFailed`},
		{"initializes", scene{pod: init, runs: "POD 0 running; one 0 exited 0; two 0 running"}, `Pending
			one Completed(0) ready
			two running started
			kubia PodInitializing
			Initialized False ContainersNotInitialized containers with incomplete status: [two]
			` + notReady},
		{"init container fails", scene{pod: init, runs: "POD 0 running; one 1 exited 3",
			crashes: map[string]Backoff{"one": {Delay: 10 * time.Second, Since: podtest.Now}}}, `Pending
			one CrashLoopBackOff restarts=1 last=Error(3)
			two PodInitializing
			kubia PodInitializing
			Initialized False ContainersNotInitialized containers with incomplete status: [one two]
			` + notReady},
		{"sidecar has not started", scene{pod: sidecar, runs: "POD 0 running; side 0 running"}, `Pending
			side running
			kubia PodInitializing
			Initialized False ContainersNotInitialized containers with incomplete status: [side]
			Ready False ContainersNotReady containers with unready status: [side kubia]
			ContainersReady False ContainersNotReady containers with unready status: [side kubia]`},
		{"sidecar restarts", scene{pod: sidecar, runs: "POD 0 running; side 0 exited 1; kubia 0 running", works: "side starting 1"}, `Running
			side Error(1)
			kubia running ready
			Ready False ContainersNotReady containers with unready status: [side]
			ContainersReady False ContainersNotReady containers with unready status: [side]`},
		{"being deleted", scene{deleted: ptr.To[int64](30), status: "phase: Running", runs: "kubia 0 running", works: "kubia stopping 0 20s of 30s"}, `Running
			kubia running ready`},
		{"deleted and dead", scene{deleted: ptr.To[int64](30), status: "phase: Running", runs: "kubia 0 exited 143"}, `Failed
			kubia Error(143)
			PodReadyToStartContainers False
			Ready False PodFailed
			ContainersReady False PodFailed`},
		{"deleted and well ended", scene{deleted: ptr.To[int64](30), status: "phase: Running", runs: "kubia 0 exited 0 removed", works: "kubia-0 removing 0"}, `Succeeded
			kubia Completed(0)
			PodReadyToStartContainers False
			Initialized True PodCompleted
			Ready False PodCompleted
			ContainersReady False PodCompleted`},
		{"deleted before it ran", scene{deleted: ptr.To[int64](30), status: "phase: Pending", noAddr: true}, `Failed
			kubia ContainerStatusUnknown(137)
			PodReadyToStartContainers False
			Ready False PodFailed
			ContainersReady False PodFailed`},
		{"deleted before it ran, while its object is being deleted", scene{deleted: ptr.To[int64](30), status: "phase: Pending", noAddr: true, works: "pod deleting"}, `Failed
			kubia ContainerStatusUnknown(137)
			PodReadyToStartContainers False
			Ready False PodFailed
			ContainersReady False PodFailed`},
		{"deleted before it was initialized", scene{pod: init, deleted: ptr.To[int64](30), status: "phase: Pending", runs: "POD 0 exited 137; one 0 exited 143 stopped"}, `Failed
			one Error(143)
			two PodInitializing
			kubia PodInitializing
			PodReadyToStartContainers False
			Initialized False ContainersNotInitialized containers with incomplete status: [one two]
			Ready False PodFailed
			ContainersReady False PodFailed`},
		{"too late, still running", scene{pod: "{activeDeadlineSeconds: 1, containers: [{name: kubia, image: kubia}]}",
			status: "{phase: Running, startTime: '2030-04-01T11:59:30Z'}", runs: "kubia 0 running"}, `Running
			kubia running ready`},
		{"too late", scene{pod: "{activeDeadlineSeconds: 1, containers: [{name: kubia, image: kubia}]}",
			status: "{phase: Running, startTime: '2030-04-01T11:59:30Z'}", runs: "kubia 0 exited 0"}, `Failed DeadlineExceeded
			kubia Completed(0)
			PodReadyToStartContainers False
			Ready False PodFailed
			ContainersReady False PodFailed`},
		{"in the host's network", scene{pod: "{hostNetwork: true, containers: [{name: kubia, image: kubia}]}", noAddr: true, runs: "kubia 0 running"}, `Running
			kubia running ready`},
		{"ephemeral", scene{pod: "{containers: [{name: kubia, image: kubia}], ephemeralContainers: [{name: debug, image: i}]}",
			runs: "kubia 0 running; debug 0 exited 1"}, `Running
			kubia running ready
			debug Error(1)`},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := c.view(t)
			got := MakeStatus(v)
			if text := statusLines(got); text != podtest.Lines(c.want) {
				t.Errorf("status:\n%s\nwant:\n%s", text, podtest.Lines(c.want))
			}
			// A status is a fixed point: written once, it is not written again.
			v.Pod.Status = got
			v.Now = v.Now.Add(0)
			if again := MakeStatus(v); !equality.Semantic.DeepEqual(again, got) {
				t.Errorf("the second status differs:\n%s\n%s", statusLines(again), statusLines(got))
			}
		})
	}
}

func TestStatusDetails(t *testing.T) {
	v := scene{
		pod: `{containers: [{name: kubia, image: kubia, resources: {requests: {cpu: 100m}, limits: {memory: 1Gi}},
			volumeMounts: [{name: v, mountPath: /v, readOnly: true}]}], volumes: [{name: v, emptyDir: {}}]}`,
		status: "{conditions: [{type: skiff/other, status: 'True'}]}",
		runs:   "kubia 1 running; kubia 0 exited 137 4s ago",
	}.view(t)
	v.Attempts["kubia"][1].Message = "I am dying"
	got, err := yaml.Marshal(MakeStatus(v))
	if err != nil {
		t.Fatal(err)
	}
	const want = `conditions:
- lastProbeTime: null
  lastTransitionTime: null
  status: "True"
  type: skiff/other
- lastProbeTime: null
  lastTransitionTime: "2030-04-01T12:00:00Z"
  observedGeneration: 1
  status: "True"
  type: PodReadyToStartContainers
- lastProbeTime: null
  lastTransitionTime: "2030-04-01T12:00:00Z"
  observedGeneration: 1
  status: "True"
  type: Initialized
- lastProbeTime: null
  lastTransitionTime: "2030-04-01T12:00:00Z"
  observedGeneration: 1
  status: "True"
  type: Ready
- lastProbeTime: null
  lastTransitionTime: "2030-04-01T12:00:00Z"
  observedGeneration: 1
  status: "True"
  type: ContainersReady
- lastProbeTime: null
  lastTransitionTime: "2030-04-01T12:00:00Z"
  observedGeneration: 1
  status: "True"
  type: PodScheduled
containerStatuses:
- allocatedResources:
    cpu: 100m
  containerID: docker://kubia-1
  image: kubia
  imageID: sha256:1
  lastState:
    terminated:
      containerID: docker://kubia-0
      exitCode: 137
      finishedAt: "2030-04-01T11:59:56Z"
      message: I am dying
      reason: Error
      startedAt: "2030-04-01T11:00:00Z"
  name: kubia
  ready: true
  resources:
    limits:
      memory: 1Gi
    requests:
      cpu: 100m
  restartCount: 1
  started: true
  state:
    running:
      startedAt: "2030-04-01T11:59:00Z"
  volumeMounts:
  - mountPath: /v
    name: v
    readOnly: true
    recursiveReadOnly: Disabled
hostIP: 192.168.1.2
hostIPs:
- ip: 192.168.1.2
observedGeneration: 1
phase: Running
podIP: 172.30.0.9
podIPs:
- ip: 172.30.0.9
qosClass: Burstable
startTime: "2030-04-01T12:00:00Z"
`
	if string(got) != want {
		t.Errorf("status:\n%s\nwant:\n%s", got, want)
	}
}

func TestQOSClass(t *testing.T) {
	for spec, want := range map[string]corev1.PodQOSClass{
		"containers: [{name: a}]":                                  corev1.PodQOSBestEffort,
		"containers: [{name: a, resources: {requests: {cpu: 1}}}]": corev1.PodQOSBurstable,
		"containers: [{name: a, resources: {requests: {cpu: 1, memory: 1}, limits: {cpu: 1, memory: 1}}}]":            corev1.PodQOSGuaranteed,
		"containers: [{name: a, resources: {requests: {cpu: 1, memory: 1}, limits: {cpu: 2, memory: 1}}}]":            corev1.PodQOSBurstable,
		"containers: [{name: a, resources: {requests: {cpu: 1, memory: 1}, limits: {cpu: 1, memory: 1}}}, {name: b}]": corev1.PodQOSBurstable,
		"{initContainers: [{name: i, resources: {requests: {cpu: 1}}}], containers: [{name: a}]}":                     corev1.PodQOSBurstable,
		"containers: [{name: a, resources: {requests: {ephemeral-storage: 1Gi}}}]":                                    corev1.PodQOSBestEffort,
	} {
		var s corev1.PodSpec
		if err := yaml.UnmarshalStrict([]byte(spec), &s); err != nil {
			t.Fatal(err)
		}
		if got := QOSClass(&s); got != want {
			t.Errorf("%s: %s, want %s", spec, got, want)
		}
	}
}
