package node

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"skiff/docker"
	"skiff/manifests"
	"skiff/manifests/registry"
	"skiff/orchestrator/node/memory"
	"skiff/orchestrator/node/pod"
)

const onePod = "containers: [{name: kubia, image: kubia}]"

func TestAgentRunsAPod(t *testing.T) {
	inWorld(t, func(w *world) {
		before := w.engine.Calls()
		w.pod("kubia", onePod)
		w.want("kubia", "Running | kubia running ready")
		w.wantContainers("kubia running")
		if got, want := w.callsSince(before), "create 1, image 1, inspect 1, start 1"; got != want {
			w.Errorf("calls for a start: %s, want %s", got, want)
		}
		s := w.get("kubia").Status
		if s.PodIP != "172.30.0.2" || s.HostIP != "192.168.1.2" || s.StartTime == nil || s.QOSClass != "BestEffort" {
			w.Errorf("status %+v", s)
		}
		w.wantEvents("kubia", `Normal Pulled Container image "kubia" already present on machine and can be accessed by the pod
			Normal Created Container created
			Normal Started Container started`)
		version := w.get("kubia").ResourceVersion
		w.pass(time.Hour)
		if got := w.get("kubia").ResourceVersion; got != version {
			w.Errorf("the status of an idle pod was written: %s, then %s", version, got)
		}
	})
}

func TestAgentCrashLoop(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", onePod)
		w.exit("kubia", "kubia", 1)
		w.want("kubia", "Running | kubia running ready restarts=1 last=Error(1)")
		w.wantContainers("kubia exited; kubia_1 running")

		w.pass(time.Second)
		w.exit("kubia", "kubia", 2)
		w.want("kubia", "Running | kubia CrashLoopBackOff restarts=1 last=Error(2)")
		if m, want := w.get("kubia").Status.ContainerStatuses[0].State.Waiting.Message,
			"back-off 10s restarting failed container=kubia pod="+pod.Format(w.get("kubia")); m != want {
			w.Errorf("message %q, want %q", m, want)
		}
		w.pass(9 * time.Second)
		w.want("kubia", "Running | kubia CrashLoopBackOff restarts=1 last=Error(2)")
		w.pass(time.Second)
		w.want("kubia", "Running | kubia running ready restarts=2 last=Error(2)")
		w.wantContainers("kubia_1 exited; kubia_2 running")

		w.exit("kubia", "kubia", 3)
		w.pass(19 * time.Second)
		w.want("kubia", "Running | kubia CrashLoopBackOff restarts=2 last=Error(3)")
		w.pass(time.Second)
		w.want("kubia", "Running | kubia running ready restarts=3 last=Error(3)")

		w.pass(11 * time.Minute)
		w.exit("kubia", "kubia", 4)
		w.want("kubia", "Running | kubia running ready restarts=4 last=Error(4)")
		w.wantEvents("kubia", fmt.Sprintf(`Normal Pulled Container image "kubia" already present on machine and can be accessed by the pod x5
			Normal Created Container created x5
			Normal Started Container started x5
			Warning BackOff Back-off restarting failed container kubia in pod %s x2`, pod.Format(w.get("kubia"))))
	})
}

// The engine's calls for a restart are counted: each costs time.
func TestAgentRestartIsCheap(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", onePod)
		before := w.engine.Calls()
		w.exit("kubia", "kubia", 137)
		w.want("kubia", "Running | kubia running ready restarts=1 last=Error(137)")
		if got, want := w.callsSince(before), "create 1, image 1, inspect 3, start 1"; got != want {
			w.Errorf("calls for a restart: %s, want %s", got, want)
		}
	})
}

func TestAgentContainerRemovedByHand(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", onePod)
		if err := w.engine.Remove(w.Context(), w.id("kubia", "kubia")); err != nil {
			w.Fatal(err)
		}
		w.settle()
		w.want("kubia", "Running | kubia running ready restarts=1 last=Error(137)")
		w.wantContainers("kubia_1 running")
	})
}

func TestAgentOOM(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", onePod)
		if err := w.engine.OOM(w.id("kubia", "kubia")); err != nil {
			w.Fatal(err)
		}
		w.settle()
		w.want("kubia", "Running | kubia running ready restarts=1 last=OOMKilled(137)")
	})
}

// A limit that the engine never takes is refused once: no event after the first, and no calls.
func TestAgentMemoryLimitTooLow(t *testing.T) {
	inWorld(t, func(w *world) {
		before := w.engine.Calls()
		w.pod("kubia", "containers: [{name: kubia, image: kubia, resources: {limits: {memory: 4Mi}}}]")
		w.want("kubia", "Pending | kubia CreateContainerError")
		if m, want := w.get("kubia").Status.ContainerStatuses[0].State.Waiting.Message, "set memory limit 4194304 too low; should be at least 6291456 bytes"; m != want {
			w.Errorf("message %q, want %q", m, want)
		}
		w.pass(time.Hour)
		w.want("kubia", "Pending | kubia CreateContainerError")
		w.wantEvents("kubia", "Warning Failed Error: set memory limit 4194304 too low; should be at least 6291456 bytes")
		if got := w.callsSince(before); strings.Contains(got, "create") {
			w.Errorf("calls: %s", got)
		}
	})
}

func TestAgentRestartPolicies(t *testing.T) {
	for _, c := range []struct {
		policy string
		code   int
		want   string
	}{
		{"Never", 0, "Succeeded | kubia Completed(0)"},
		{"Never", 3, "Failed | kubia Error(3)"},
		{"OnFailure", 0, "Succeeded | kubia Completed(0)"},
		{"OnFailure", 3, "Running | kubia running ready restarts=1 last=Error(3)"},
		{"Always", 0, "Running | kubia running ready restarts=1 last=Completed(0)"},
	} {
		t.Run(fmt.Sprintf("%s exits %d", c.policy, c.code), func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.pod("kubia", "{restartPolicy: "+c.policy+", containers: [{name: kubia, image: kubia}]}")
				w.exit("kubia", "kubia", c.code)
				w.want("kubia", c.want)
			})
		})
	}
}

func TestAgentLivenessKill(t *testing.T) {
	inWorld(t, func(w *world) {
		var sick atomic.Bool
		w.engine.Answer(func(docker.Container, []string) (int, string) {
			if sick.Load() {
				return 1, "no pulse"
			}
			return 0, ""
		})
		w.engine.Behave("kubia", memory.Behaviour{IgnoresTerm: true})
		w.pod("kubia", `{terminationGracePeriodSeconds: 5, containers: [{name: kubia, image: kubia,
			livenessProbe: {exec: {command: [pulse]}, periodSeconds: 10, failureThreshold: 3}}]}`)
		w.pass(time.Minute)
		w.want("kubia", "Running | kubia running ready")
		sick.Store(true)
		w.pass(29 * time.Second)
		w.want("kubia", "Running | kubia running ready")
		w.pass(time.Second) // the third failure: SIGTERM, which it ignores
		w.pass(4 * time.Second)
		w.want("kubia", "Running | kubia running ready")
		sick.Store(false)
		w.pass(time.Second)
		w.want("kubia", "Running | kubia running ready restarts=1 last=Error(137)")
		w.pass(time.Minute)
		w.want("kubia", "Running | kubia running ready restarts=1 last=Error(137)")
		w.wantEvents("kubia", `Normal Pulled Container image "kubia" already present on machine and can be accessed by the pod x2
			Normal Created Container created x2
			Normal Started Container started x2
			Warning Unhealthy Liveness probe failed: no pulse x3
			Normal Killing Container kubia failed liveness probe, will be restarted`)
	})
}

func TestAgentLivenessKillAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.Answer(func(c docker.Container, _ []string) (int, string) {
			return map[string]int{"0": 1}[c.Labels[pod.LabelAttempt]], ""
		})
		w.engine.Behave("kubia", memory.Behaviour{IgnoresTerm: true})
		w.pod("kubia", `{terminationGracePeriodSeconds: 0, containers: [{name: kubia, image: kubia,
			livenessProbe: {exec: {command: [pulse]}, periodSeconds: 1, failureThreshold: 1}}]}`)
		w.pass(time.Second)
		// No time has passed since the deciding probe.
		w.want("kubia", "Running | kubia running ready restarts=1 last=Error(137)")
	})
}

func TestAgentReadinessAndStartup(t *testing.T) {
	inWorld(t, func(w *world) {
		up := map[string]*atomic.Bool{"started": {}, "ready": {}}
		w.engine.Answer(func(_ docker.Container, command []string) (int, string) {
			if up[command[0]].Load() {
				return 0, ""
			}
			return 1, "not yet"
		})
		w.pod("kubia", `containers: [{name: kubia, image: kubia,
			startupProbe: {exec: {command: [started]}, periodSeconds: 1, failureThreshold: 100},
			readinessProbe: {exec: {command: [ready]}, periodSeconds: 1}}]`)
		w.pass(5 * time.Second)
		w.want("kubia", "Running | kubia running")
		if started := w.get("kubia").Status.ContainerStatuses[0].Started; ptr.Deref(started, false) {
			w.Error("counts as started before its startup probe has succeeded")
		}
		up["started"].Store(true)
		w.pass(2 * time.Second)
		w.want("kubia", "Running | kubia running")
		if started := w.get("kubia").Status.ContainerStatuses[0].Started; !ptr.Deref(started, false) {
			w.Error("does not count as started")
		}
		up["ready"].Store(true)
		w.pass(2 * time.Second)
		w.want("kubia", "Running | kubia running ready")
		if c := condition(w.get("kubia"), corev1.PodReady); c.Status != corev1.ConditionTrue {
			w.Errorf("condition %+v", c)
		}
		up["ready"].Store(false)
		w.pass(3 * time.Second)
		w.want("kubia", "Running | kubia running")
	})
}

func condition(p *corev1.Pod, kind corev1.PodConditionType) corev1.PodCondition {
	for _, c := range p.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return corev1.PodCondition{}
}

func TestAgentDelete(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.Behave("kubia", memory.Behaviour{IgnoresTerm: true})
		w.pod("kubia", onePod)
		w.delete("kubia", nil)
		w.pass(29 * time.Second)
		w.want("kubia", "Running | kubia running ready")
		w.pass(time.Second)
		if w.exists("kubia") {
			w.Errorf("still there: %s", w.status("kubia"))
		}
		w.wantContainers("")
		w.wantEvents("kubia", `Normal Pulled Container image "kubia" already present on machine and can be accessed by the pod
			Normal Created Container created
			Normal Started Container started
			Normal Killing Stopping container kubia`)
		if w.agent.records.get("") != nil || len(w.agent.records.all()) != 0 {
			w.Error("the agent remembers a pod that is gone")
		}
	})
}

func TestAgentDeleteSooner(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.Behave("kubia", memory.Behaviour{IgnoresTerm: true})
		w.pod("kubia", onePod)
		w.delete("kubia", nil)
		w.pass(10 * time.Second)
		// The API counts from the first request, and leaves a second at least.
		w.delete("kubia", ptr.To[int64](3))
		w.wantContainers("kubia running")
		w.pass(time.Second)
		if w.exists("kubia") {
			w.Errorf("still there: %s", w.status("kubia"))
		}
	})
}

func TestAgentDeleteByForce(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.Behave("kubia", memory.Behaviour{IgnoresTerm: true})
		w.pod("kubia", onePod)
		w.delete("kubia", ptr.To[int64](0))
		if w.exists("kubia") {
			w.Error("still there")
		}
		w.wantContainers("")
		if n := len(w.agent.records.all()); n != 0 {
			w.Errorf("%d pods remembered", n)
		}
	})
}

// The owner of a finalizer sees the pod's last status.
func TestAgentDeleteWithFinalizer(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.Behave("kubia", memory.Behaviour{TermCode: 143})
		hold := func(p *corev1.Pod) { p.Finalizers = []string{"batch.kubernetes.io/job-tracking"} }
		w.pod("kubia", onePod, hold)
		w.delete("kubia", nil)
		w.want("kubia", "Failed | kubia Error(143)")
		w.wantContainers("")
		if g := w.get("kubia").DeletionGracePeriodSeconds; g == nil || *g != 0 {
			w.Errorf("grace period %v, want 0: the deletion is confirmed", g)
		}
		version := w.get("kubia").ResourceVersion
		w.pass(time.Minute)
		if got := w.get("kubia").ResourceVersion; got != version {
			w.Error("written again and again")
		}
		_, err := w.pods.Update(w.Context(), "default", "kubia", func(p *corev1.Pod) error { p.Finalizers = nil; return nil })
		if err != nil {
			w.Fatal(err)
		}
		w.settle()
		if w.exists("kubia") {
			w.Error("still there")
		}
	})
}

func TestAgentDeleteBeforeItRan(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", "containers: [{name: kubia, image: nowhere}]", func(p *corev1.Pod) { p.Finalizers = []string{"x/y"} })
		w.delete("kubia", nil)
		w.want("kubia", "Failed | kubia ContainerStatusUnknown(137)")
	})
}

func TestAgentDeletesSeveral(t *testing.T) {
	inWorld(t, func(w *world) {
		for i := range 20 {
			w.pod(fmt.Sprintf("kubia-%d", i), onePod)
		}
		for i := range 20 {
			w.delete(fmt.Sprintf("kubia-%d", i), nil)
		}
		w.wantContainers("")
		w.pod("after", onePod)
		if ip := w.get("after").Status.PodIP; ip != "172.30.0.22" {
			w.Errorf("address %s: an address just given back was given again", ip)
		}
	})
}

func TestAgentSandbox(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.Build("web")
		w.pod("two", "containers: [{name: web, image: web}, {name: log, image: kubia}]")
		w.want("two", "Running | log running ready | web running ready")
		w.wantContainers("two_POD running; two_log running; two_web running")
		web, err := w.engine.Spec(w.id("two", "web"))
		if err != nil {
			w.Fatal(err)
		}
		if web.Network.Join != w.id("two", "POD") {
			w.Errorf("network %+v: not the sandbox's", web.Network)
		}
		ip := w.get("two").Status.PodIP

		w.exit("two", "POD", 137)
		w.want("two", "Running | log running ready restarts=1 last=Completed(0) | web running ready restarts=1 last=Completed(0)")
		w.wantContainers("two_POD_1 running; two_log exited; two_log_1 running; two_web exited; two_web_1 running")
		if got := w.get("two").Status.PodIP; got != ip {
			w.Errorf("address %s, before %s", got, ip)
		}
		if !strings.Contains(w.events("two"), "Normal SandboxChanged Pod sandbox changed, it will be killed and re-created.") {
			w.Errorf("events\n%s", w.events("two"))
		}
		w.delete("two", nil)
		w.wantContainers("")
	})
}

// kubectl debug --target: the ephemeral container sees the processes of the one it names.
func TestAgentEphemeralContainerWithTarget(t *testing.T) {
	for _, c := range []struct{ name, pod string }{
		{"a pod of one", `containers: [{name: web, image: kubia}]`},
		{"a pod of two", `containers: [{name: log, image: kubia}, {name: web, image: kubia}]`},
		{"processes shared", `{shareProcessNamespace: true, containers: [{name: web, image: kubia}]}`},
		{"the host's processes", `{hostPID: true, containers: [{name: web, image: kubia}]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.engine.Build("busybox")
				w.pod("kubia", c.pod)
				w.debug("kubia", "debug", "web")
				spec, err := w.engine.Spec(w.id("kubia", "debug"))
				if err != nil {
					w.Fatal(err)
				}
				if spec.PIDContainer != w.id("kubia", "web") || spec.HostPID {
					w.Errorf("processes of %q (host's: %v), want those of web", spec.PIDContainer, spec.HostPID)
				}
			})
		})
	}
}

func TestAgentEphemeralContainerWithoutItsTarget(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.Build("busybox")
		w.pod("kubia", "{restartPolicy: Never, containers: [{name: log, image: kubia}, {name: web, image: kubia}]}")
		w.exit("kubia", "web", 0)
		w.debug("kubia", "debug", "web")
		waiting := w.get("kubia").Status.EphemeralContainerStatuses[0].State.Waiting
		if waiting == nil || waiting.Reason != pod.ReasonConfigError || waiting.Message != "unable to find target container web" {
			w.Errorf("state %+v", waiting)
		}
	})
}

// debug adds an ephemeral container.
func (w *world) debug(pod, name, target string) {
	w.Helper()
	_, err := w.pods.UpdateSubresource(w.Context(), "default", pod, manifests.SubresourceEphemeral, func(p *corev1.Pod) error {
		c := corev1.EphemeralContainer{TargetContainerName: target}
		c.Name, c.Image, c.ImagePullPolicy = name, "busybox", corev1.PullIfNotPresent
		c.TerminationMessagePolicy, c.TerminationMessagePath = corev1.TerminationMessageReadFile, corev1.TerminationMessagePathDefault
		p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, c)
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
	w.settle()
}

func TestAgentInitContainers(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.Build("setup")
		w.pod("app", `{initContainers: [{name: one, image: setup}, {name: two, image: setup}], containers: [{name: kubia, image: kubia}]}`)
		w.want("app", "Pending | one running | two PodInitializing | kubia PodInitializing")
		w.exit("app", "one", 1)
		w.want("app", "Pending | one running restarts=1 last=Error(1) | two PodInitializing | kubia PodInitializing")
		w.exit("app", "one", 0)
		w.want("app", "Pending | one Completed(0) ready restarts=1 last=Error(1) | two running | kubia PodInitializing")
		if c := condition(w.get("app"), corev1.PodInitialized); c.Message != "containers with incomplete status: [two]" {
			w.Errorf("condition %+v", c)
		}
		w.exit("app", "two", 0)
		w.want("app", "Running | one Completed(0) ready restarts=1 last=Error(1) | two Completed(0) ready | kubia running ready")
	})
}

func TestAgentInitContainerFailsForGood(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.Build("setup")
		w.pod("app", `{restartPolicy: Never, initContainers: [{name: one, image: setup}], containers: [{name: kubia, image: kubia}]}`)
		w.exit("app", "one", 1)
		w.want("app", "Failed | one Error(1) | kubia PodInitializing")
		w.wantContainers("app_one exited")
	})
}

func TestAgentSidecar(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.Build("side")
		w.pod("job", `{restartPolicy: Never, initContainers: [{name: side, image: side, restartPolicy: Always}], containers: [{name: kubia, image: kubia}]}`)
		w.want("job", "Running | side running ready | kubia running ready")
		w.exit("job", "side", 1)
		w.want("job", "Running | side running ready restarts=1 last=Error(1) | kubia running ready")
		w.exit("job", "kubia", 0)
		w.want("job", "Succeeded | side Completed(0) restarts=1 last=Error(1) | kubia Completed(0)")
	})
}

func TestAgentPullFailure(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", "containers: [{name: kubia, image: 'kubia:v2'}]")
		w.want("kubia", "Pending | kubia ErrImagePull")
		w.pass(3 * time.Second)
		w.want("kubia", "Pending | kubia ImagePullBackOff")
		const said = "pull: pull access denied for kubia:v2, repository does not exist or may require 'docker login': pull failed"
		if m, want := w.get("kubia").Status.ContainerStatuses[0].State.Waiting.Message,
			`Back-off pulling image "kubia:v2": ErrImagePull: pull access denied`; !strings.HasPrefix(m, want) {
			w.Errorf("message %q, want %q", m, want)
		}
		w.pass(7 * time.Second)
		w.want("kubia", "Pending | kubia ErrImagePull")
		w.wantEvents("kubia", `Normal Pulling Pulling image "kubia:v2" x2
			Warning Failed Failed to pull image "kubia:v2": `+strings.TrimPrefix(said, "pull: ")+` x2
			Warning Failed Error: ErrImagePull x2
			Normal BackOff Back-off pulling image "kubia:v2"
			Warning Failed Error: ImagePullBackOff`)
		w.engine.Publish("kubia:v2", docker.Image{Size: 7})
		w.pass(20 * time.Second)
		w.want("kubia", "Running | kubia running ready")
		if id := w.get("kubia").Status.ContainerStatuses[0].ImageID; !strings.HasPrefix(id, "kubia:v2@sha256:") {
			w.Errorf("imageID %q", id)
		}
	})
}

// A restart does not ask about the image again, and its status still has the image's ID.
func TestAgentImageIDOutlivesRestart(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.Publish("nginx:1", docker.Image{})
		w.pod("web", "containers: [{name: web, image: 'nginx:1'}]")
		id := w.get("web").Status.ContainerStatuses[0].ImageID
		before := w.engine.Calls()
		w.exit("web", "web", 1)
		w.want("web", "Running | web running ready restarts=1 last=Error(1)")
		if got := w.get("web").Status.ContainerStatuses[0].ImageID; got != id || id == "" {
			w.Errorf("imageID %q, before %q", got, id)
		}
		if got, want := w.callsSince(before), "create 1, inspect 3, start 1"; got != want {
			w.Errorf("calls for a restart: %s, want %s", got, want)
		}
		// The image is gone behind the agent's back, and is got again.
		w.engine.Unload("nginx:1")
		w.exit("web", "web", 1)
		w.pass(10 * time.Second)
		w.want("web", "Running | web running ready restarts=2 last=Error(1)")
	})
}

func TestAgentPullAlways(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.Publish("nginx", docker.Image{Size: 1234})
		w.pod("fetched", "containers: [{name: web, image: nginx}]")
		w.want("fetched", "Running | web running ready")
		w.wantEvents("fetched", `Normal Pulling Pulling image "nginx:latest"
			Normal Pulled Successfully pulled image "nginx:latest" in 0s (0s including waiting). Image size: 1234 bytes.
			Normal Created Container created
			Normal Started Container started`)

		// The registry is gone, the image is here.
		w.engine.Fail("pull", fmt.Errorf("dial tcp: lookup registry-1.docker.io: no such host: %w", docker.ErrPull))
		w.pod("again", "containers: [{name: web, image: nginx}]")
		w.want("again", "Running | web running ready")
		w.wantEvents("again", `Normal Pulling Pulling image "nginx:latest"
			Warning Pulled Image "nginx:latest" could not be pulled, the one on this machine is used: pull: dial tcp: lookup registry-1.docker.io: no such host: pull failed
			Normal Created Container created
			Normal Started Container started`)
	})
}

// The containerd store gives every image a digest, which is its ID: an image that was just built
// has one too, and must not be replaced by what a registry has under its name.
func TestAgentPullAlwaysFromContainerdStore(t *testing.T) {
	stored := func(ref, digit string) docker.Image {
		id := "sha256:" + strings.Repeat(digit, 64)
		return docker.Image{ID: id, RepoTags: []string{ref}, RepoDigests: []string{ref + "@" + id}}
	}
	inWorld(t, func(w *world) {
		w.engine.Load("kubia", stored("kubia", "1"))
		w.engine.Publish("kubia", stored("kubia", "2"))
		runs := func(pod, image, digit string) {
			w.Helper()
			w.pod(pod, "containers: [{name: c, imagePullPolicy: Always, image: '"+image+"'}]")
			w.want(pod, "Running | c running ready")
			if id, want := w.get(pod).Status.ContainerStatuses[0].ImageID, image+"@sha256:"+strings.Repeat(digit, 64); id != want {
				w.Errorf("%s runs %s, want %s", pod, id, want)
			}
		}
		runs("built", "kubia", "1")
		w.wantEvents("built", `Normal Pulled Container image "kubia" already present on machine and can be accessed by the pod; `+
			`it may have been built here, so it is not pulled in spite of imagePullPolicy Always: remove it to get the registry's
			Normal Created Container created
			Normal Started Container started`)

		// What the agent has pulled itself is pulled again, until it is built anew.
		w.engine.Unload("kubia")
		runs("fetched", "kubia", "2")
		w.engine.Publish("kubia", stored("kubia", "3"))
		runs("newer", "kubia", "3")
		w.engine.Load("kubia", stored("kubia", "4"))
		runs("rebuilt", "kubia", "4")

		// Nobody but the user asks for this.
		w.engine.Load("kubia:v1", stored("kubia:v1", "1"))
		w.engine.Publish("kubia:v1", stored("kubia:v1", "2"))
		runs("tagged", "kubia:v1", "2")
	})
}

func TestAgentPullsOnceForMany(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.Publish("nginx:1", docker.Image{})
		pulls := w.slowPulls(time.Minute)
		for i := range 10 {
			w.pod(fmt.Sprintf("web-%d", i), "containers: [{name: web, image: 'nginx:1'}]")
		}
		w.pass(10 * time.Second)
		if got, want := w.get("web-3").Status.ContainerStatuses[0].State.Waiting.Message, `Pulling image "nginx:1": 12.3MB of 45MB`; got != want {
			w.Errorf("while it is pulled the status says %q, want %q", got, want)
		}
		w.pass(time.Minute)
		for i := range 10 {
			w.want(fmt.Sprintf("web-%d", i), "Running | web running ready")
		}
		if n := pulls(); n != 1 {
			w.Errorf("%d pulls", n)
		}
	}, slowly)
}

func TestAgentDeleteDuringPull(t *testing.T) {
	inWorld(t, func(w *world) {
		w.slowPulls(time.Hour)
		w.pod("web", "containers: [{name: web, image: 'nginx:1'}]")
		w.want("web", "Pending | web ContainerCreating")
		w.delete("web", nil)
		if w.exists("web") {
			w.Error("waits for the pull")
		}
	}, slowly)
}

func TestAgentImageErrors(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("never", "containers: [{name: web, image: nginx, imagePullPolicy: Never}]")
		w.want("never", "Pending | web ErrImageNeverPull")
		w.wantEvents("never", `Warning ErrImageNeverPull Container image "nginx" is not present with pull policy of Never
			Warning Failed Error: ErrImageNeverPull`)
		w.engine.Build("nginx")
		w.pass(10 * time.Second)
		w.want("never", "Running | web running ready")
		w.pod("bad", "containers: [{name: web, image: 'nginx:'}]")
		w.want("bad", "Pending | web InvalidImageName")
		w.set("bad", "nginx")
		w.want("bad", "Running | web running ready")
	})
}

// set changes a pod's image.
func (w *world) set(pod, image string) {
	w.Helper()
	_, err := w.pods.Update(w.Context(), "default", pod, func(p *corev1.Pod) error { p.Spec.Containers[0].Image = image; return nil })
	if err != nil {
		w.Fatal(err)
	}
	w.settle()
}

func TestAgentImageChange(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.Build("kubia:v2")
		w.pod("kubia", onePod)
		w.set("kubia", "kubia:v2")
		w.want("kubia", "Running | kubia running ready restarts=1 last=Completed(0)")
		if !strings.Contains(w.events("kubia"), "Normal Killing Container kubia definition changed, will be restarted") {
			w.Errorf("events\n%s", w.events("kubia"))
		}
	})
}

func TestAgentStartError(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.Behave("kubia", memory.Behaviour{StartError: `exec: "nothing": executable file not found in $PATH`})
		w.pod("kubia", onePod)
		// The first failure is tried again at once.
		w.want("kubia", "Running | kubia CrashLoopBackOff restarts=1 last=StartError(128)")
		if !strings.Contains(w.events("kubia"), `Warning Failed Error: exec: "nothing": executable file not found in $PATH`) {
			w.Errorf("events\n%s", w.events("kubia"))
		}
		w.engine.Behave("kubia", memory.Behaviour{})
		w.pass(10 * time.Second)
		w.want("kubia", "Running | kubia running ready restarts=2 last=StartError(128)")
	})
}

// A taken host port is not a crash: the pod waits for it, and its status says so.
func TestAgentHostPortInUse(t *testing.T) {
	const taken = "driver failed programming external connectivity on endpoint x: Bind for 0.0.0.0:8080 failed: port is already allocated"
	const message = "hostPort 8080 is in use on this machine: free it, or use another hostPort"
	inWorld(t, func(w *world) {
		w.engine.Fail("start", fmt.Errorf("%s: %w", taken, docker.ErrPortInUse))
		w.pod("one", "{restartPolicy: Never, containers: [{name: kubia, image: kubia, ports: [{containerPort: 80, hostPort: 80}, {containerPort: 8080, hostPort: 8080}]}]}")
		w.pod("two", "containers: [{name: kubia, image: kubia, ports: [{containerPort: 80, hostPort: 8081}]}, {name: other, image: kubia}]")
		w.want("one", "Pending | kubia HostPortInUse")
		w.want("two", "Pending | kubia HostPortInUse | other HostPortInUse")
		if got := w.get("one").Status.ContainerStatuses[0].State.Waiting.Message; got != message {
			w.Errorf("message %q", got)
		}
		if got := w.get("two").Status.ContainerStatuses[1].State.Waiting.Message; !strings.Contains(got, taken) {
			w.Errorf("message %q", got)
		}
		w.wantContainers("")
		w.engine.Fail("start", nil)
		w.pass(11 * time.Second)
		w.want("one", "Running | kubia running ready")
		w.want("two", "Running | kubia running ready | other running ready")
		if got := w.events("one"); !strings.Contains(got, "Warning Failed Error: "+message) {
			w.Errorf("events\n%s", got)
		}
	})
}

// A container that has crashed and finds its host port taken waits for the port alone: its back-off
// does not grow meanwhile.
func TestAgentHostPortInUseAfterACrash(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", "containers: [{name: kubia, image: kubia, ports: [{containerPort: 80, hostPort: 80}]}]")
		w.settle()
		w.engine.Fail("start", fmt.Errorf("taken: %w", docker.ErrPortInUse))
		w.exit("kubia", "kubia", 1)
		for range 12 {
			w.pass(10 * time.Second)
			w.want("kubia", "Running | kubia HostPortInUse last=Error(1)")
		}
		w.engine.Fail("start", nil)
		w.pass(11 * time.Second)
		w.want("kubia", "Running | kubia running ready restarts=1 last=Error(1)")
	})
}

func TestAgentCreateError(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.Fail("create", fmt.Errorf("minimum memory limit allowed is 6MB: %w", docker.ErrInvalid))
		w.pod("kubia", onePod)
		w.want("kubia", "Pending | kubia CreateContainerError")
		w.engine.Fail("create", nil)
		w.pass(10 * time.Second)
		w.want("kubia", "Running | kubia running ready")
	})
}

func TestAgentConfigError(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", `containers: [{name: kubia, image: kubia, env: [{name: A, valueFrom: {configMapKeyRef: {name: app, key: a}}}]}]`)
		w.want("kubia", "Pending | kubia CreateContainerConfigError")
		if m := w.get("kubia").Status.ContainerStatuses[0].State.Waiting.Message; m != `configmap "app" not found` {
			w.Errorf("message %q", m)
		}
		w.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "app"}, Data: map[string]string{"a": "1"}})
		w.settle()
		// No time has passed: the ConfigMap's coming was enough.
		w.want("kubia", "Running | kubia running ready")
		spec, err := w.engine.Spec(w.id("kubia", "kubia"))
		if err != nil || fmt.Sprint(spec.Env) != "[A=1]" {
			w.Errorf("env %v, %v", spec.Env, err)
		}
	})
}

func TestAgentUnsupportedVolume(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", `{containers: [{name: kubia, image: kubia}], volumes: [{name: data, nfs: {server: nas, path: /}}]}`)
		w.want("kubia", "Pending | kubia ContainerCreating")
		w.wantEvents("kubia", `Warning FailedMount MountVolume.SetUp failed for volume "data" : skiff does not support volumes of type nfs`)
	})
}

func TestAgentDeadline(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.Behave("kubia", memory.Behaviour{IgnoresTerm: true})
		w.pod("kubia", "{activeDeadlineSeconds: 60, terminationGracePeriodSeconds: 5, containers: [{name: kubia, image: kubia}]}")
		w.pass(61 * time.Second)
		w.want("kubia", "Running | kubia running ready")
		w.pass(5 * time.Second)
		w.want("kubia", "Failed | DeadlineExceeded | kubia Error(137)")
		if !strings.Contains(w.events("kubia"), "Normal DeadlineExceeded Pod was active on the node longer than the specified deadline") {
			w.Errorf("events\n%s", w.events("kubia"))
		}
	})
}

func TestAgentHooks(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", `containers: [{name: kubia, image: kubia, lifecycle: {postStart: {sleep: {seconds: 5}}, preStop: {sleep: {seconds: 7}}}}]`)
		w.want("kubia", "Pending | kubia ContainerCreating")
		w.pass(5 * time.Second)
		w.want("kubia", "Running | kubia running ready")
		w.delete("kubia", ptr.To[int64](30))
		w.pass(6 * time.Second)
		w.wantContainers("kubia running")
		w.pass(time.Second)
		w.wantContainers("")
	})
}

func TestAgentPostStartFails(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.Answer(func(docker.Container, []string) (int, string) { return 7, "secret" })
		w.pod("kubia", `{restartPolicy: Never, containers: [{name: kubia, image: kubia, lifecycle: {postStart: {exec: {command: [setup]}}}}]}`)
		w.want("kubia", "Succeeded | kubia Completed(0)")
		w.wantEvents("kubia", `Normal Pulled Container image "kubia" already present on machine and can be accessed by the pod
			Normal Created Container created
			Normal Started Container started
			Warning FailedPostStartHook PostStartHook failed
			Normal Killing FailedPostStartHook`)
	})
}

func TestAgentPreStopIsCutOff(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.Behave("kubia", memory.Behaviour{IgnoresTerm: true})
		w.pod("kubia", `{terminationGracePeriodSeconds: 200, containers: [{name: kubia, image: kubia, lifecycle: {preStop: {sleep: {seconds: 100}}}}]}`)
		w.delete("kubia", ptr.To[int64](10))
		w.pass(11 * time.Second)
		w.wantContainers("kubia running")
		w.pass(time.Second) // a moment for SIGTERM when the hook has used up the time
		w.wantContainers("")
	})
}

func TestAgentTakesOver(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.Build("web")
		w.pod("kubia", onePod)
		w.exit("kubia", "kubia", 1)
		w.pod("two", "containers: [{name: web, image: web}, {name: log, image: kubia}]")
		w.pod("done", "{restartPolicy: Never, containers: [{name: kubia, image: kubia}]}")
		w.exit("done", "kubia", 5)
		w.pod("meddled", onePod)
		if err := w.engine.Remove(w.Context(), w.id("meddled", "kubia")); err != nil {
			w.Fatal(err)
		}
		w.settle()
		statuses := map[string]string{}
		versions := map[string]string{}
		for _, name := range []string{"kubia", "two", "done", "meddled"} {
			statuses[name], versions[name] = w.status(name), w.get(name).ResourceVersion
		}
		containers, before := w.containers(), w.engine.Calls()
		w.restart(func() { time.Sleep(time.Minute) })
		w.wantContainers(containers)
		for name, text := range statuses {
			w.want(name, text)
			if v := w.get(name).ResourceVersion; v != versions[name] {
				w.Errorf("status of %s was written anew", name)
			}
		}
		if got := w.callsSince(before); strings.Contains(got, "create") || strings.Contains(got, "st"+"op") || strings.Contains(got, "start") {
			w.Errorf("calls %s", got)
		}
		// It goes on where the other left off: restart count, and no address given twice.
		w.exit("kubia", "kubia", 1)
		w.want("kubia", "Running | kubia running ready restarts=2 last=Error(1)")
		w.pod("new", onePod)
		ips := map[string]bool{}
		for _, name := range []string{"kubia", "two", "new"} {
			ips[w.get(name).Status.PodIP] = true
		}
		if len(ips) != 3 {
			w.Errorf("addresses %v", ips)
		}
	})
}

func TestAgentTakesOverProbes(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", `containers: [{name: kubia, image: kubia, readinessProbe: {exec: {command: [ready]}, periodSeconds: 10},
			startupProbe: {exec: {command: [started]}, periodSeconds: 10}}]`)
		w.pass(30 * time.Second)
		w.want("kubia", "Running | kubia running ready")
		version := w.get("kubia").ResourceVersion
		w.restart(func() {})
		w.want("kubia", "Running | kubia running ready")
		w.pass(30 * time.Second)
		if v := w.get("kubia").ResourceVersion; v != version {
			w.Error("was not ready for a while")
		}
		w.engine.Answer(func(docker.Container, []string) (int, string) { return 1, "" })
		w.pass(time.Minute)
		w.want("kubia", "Running | kubia running")
	})
}

func TestAgentTakesOverWhatHappenedMeanwhile(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.Build("web")
		w.pod("died", onePod)
		w.pod("vanished", onePod)
		w.pod("forced", onePod)
		w.pod("two", "containers: [{name: web, image: web}, {name: log, image: kubia}]")
		died, vanished := w.id("died", "kubia"), w.id("vanished", "kubia")
		sandbox := w.id("two", "POD")
		w.delete("forced", ptr.To[int64](0))
		w.restart(func() {
			if err := w.engine.Exit(died, 3); err != nil {
				w.Error(err)
			}
			for _, id := range []string{vanished, sandbox} {
				if err := w.engine.Remove(w.Context(), id); err != nil {
					w.Error(err)
				}
			}
		})
		w.want("died", "Running | kubia running ready restarts=1 last=Error(3)")
		w.want("vanished", "Running | kubia running ready restarts=1 last=ContainerStatusUnknown(137)")
		w.want("two", "Running | log running ready restarts=1 last=Completed(0) | web running ready restarts=1 last=Completed(0)")
	})
}

func TestAgentRemovesOrphans(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", onePod)
		stranger, err := w.engine.Create(w.Context(), docker.ContainerSpec{Name: "stranger", Image: "kubia",
			Labels: map[string]string{pod.LabelPodUID: "x", pod.LabelContainer: "c", pod.LabelNode: "there", pod.LabelAttempt: "0", pod.LabelSandbox: "0"}})
		if err != nil {
			w.Fatal(err)
		}
		w.stopAll()
		// While no daemon runs, the object goes.
		w.startStoreOnly(func(pods registry.Client[*corev1.Pod]) {
			zero := int64(0)
			if err := pods.Delete(w.Context(), "default", "kubia", metav1.DeleteOptions{GracePeriodSeconds: &zero}); err != nil {
				w.Error(err)
			}
		})
		w.start()
		w.settle()
		w.wantContainers("stranger created")
		if _, err := w.engine.Inspect(w.Context(), stranger); err != nil {
			w.Errorf("another node's container: %v", err)
		}
	})
}

func TestAgentTakesOverDeletion(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.Behave("kubia", memory.Behaviour{IgnoresTerm: true})
		w.pod("kubia", onePod)
		w.delete("kubia", ptr.To[int64](10))
		w.restart(func() {})
		w.pass(10 * time.Second)
		if w.exists("kubia") {
			w.Errorf("still there: %s", w.status("kubia"))
		}
		w.wantContainers("")
	})
}

// A daemon that dies between create and start leaves a container that its successor replaces.
func TestAgentStartsWhatWasCreated(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.Fail("start", docker.ErrUnavailable)
		w.pod("kubia", onePod)
		w.wantContainers("kubia created")
		w.engine.Fail("start", nil)
		w.restart(func() {})
		w.want("kubia", "Running | kubia running ready")
		w.wantContainers("kubia running")
	})
}

func TestAgentEngineOutage(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", onePod)
		w.pod("crashed", onePod)
		w.engine.Outage(fmt.Errorf("cannot reach the Docker Engine: %w", docker.ErrUnavailable))
		w.pass(5 * time.Second)
		ready := nodeCondition(w, corev1.NodeReady)
		if ready.Status != corev1.ConditionFalse || ready.Reason != "KubeletNotReady" ||
			!strings.Contains(ready.Message, "cannot reach the Docker Engine") {
			w.Errorf("condition %+v", ready)
		}
		w.pod("late", onePod)
		w.want("kubia", "Running | kubia running ready")
		if phase := w.get("late").Status.Phase; phase != corev1.PodPending {
			w.Errorf("phase %s", phase)
		}
		w.pass(10 * time.Minute)
		w.want("kubia", "Running | kubia running ready")

		w.engine.Recover()
		w.pass(5 * time.Second)
		w.want("kubia", "Running | kubia running ready")
		w.want("late", "Running | kubia running ready")
		if ready := nodeCondition(w, corev1.NodeReady); ready.Status != corev1.ConditionTrue {
			w.Errorf("condition %+v", ready)
		}
	})
}

// A new pod gets an event once for each outage of the engine that keeps it from starting. Pods that
// run get none.
func TestAgentTellsOfAnOutage(t *testing.T) {
	inWorld(t, func(w *world) {
		const said = "Warning FailedCreatePodSandBox Failed to create pod sandbox: the engine is gone: ping: cannot reach the Docker Engine"
		w.pod("kubia", onePod)
		before := w.events("kubia")
		for outage := 1; outage <= 2; outage++ {
			w.engine.Outage(errors.Join(errors.New("cannot reach the Docker Engine"), docker.ErrUnavailable))
			w.pass(5 * time.Second)
			name := fmt.Sprintf("late-%d", outage)
			w.pod(name, onePod)
			w.pass(10 * time.Minute)
			w.set(name, "kubia:v2") // another look at it
			if got := w.events(name); strings.Count(got, "\nWarning") > 0 || !strings.HasPrefix(got, said) || strings.HasSuffix(got, "x2") {
				w.Errorf("%s: events\n%s\nwant once\n%s", name, got, said)
			}
			if got := w.events("kubia"); got != before {
				w.Errorf("a pod that runs was told\n%s", got)
			}
			w.engine.Recover()
			w.pass(5 * time.Second)
		}
	})
}

// So does a pod that is older than a daemon that finds no engine.
func TestAgentTellsOfAnEngineThatNeverWas(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", onePod)
		before := w.events("kubia")
		w.engine.Outage(docker.ErrUnavailable)
		w.pod("late", onePod)
		w.restart(func() {})
		w.pass(time.Minute)
		if got := w.events("late"); !strings.Contains(got, "Failed to create pod sandbox: the engine is gone") {
			w.Errorf("events\n%s", got)
		}
		if got := w.events("kubia"); got != before {
			w.Errorf("a pod that runs was told\n%s", got)
		}
	})
}

func TestAgentStartsBeforeItsEngine(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", onePod)
		w.pod("vanished", onePod)
		id := w.id("vanished", "kubia")
		w.restart(func() {
			if err := w.engine.Remove(w.Context(), id); err != nil {
				w.Error(err)
			}
			w.engine.Outage(docker.ErrUnavailable)
		})
		w.pass(time.Minute)
		w.want("kubia", "Running | kubia running ready")
		w.engine.Recover()
		w.pass(5 * time.Second)
		w.want("kubia", "Running | kubia running ready")
		w.want("vanished", "Running | kubia running ready restarts=1 last=ContainerStatusUnknown(137)")
		w.pod("new", onePod)
		if a, b := w.get("new").Status.PodIP, w.get("kubia").Status.PodIP; a == b {
			w.Errorf("both have the address %s", a)
		}
	})
}

// The next listing makes up for a lost event.
func TestAgentLostEvent(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", onePod)
		if err := w.engine.Lose(w.id("kubia", "kubia")); err != nil {
			w.Fatal(err)
		}
		w.pass(5 * time.Minute)
		w.want("kubia", "Running | kubia running ready restarts=1 last=Error(137)")
	})
}

// The end of a sandbox whose event was lost is noticed when a container can't join it.
func TestAgentLostSandbox(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.Build("web")
		w.pod("two", "containers: [{name: web, image: web}, {name: log, image: kubia}]")
		if err := w.engine.Lose(w.id("two", "POD")); err != nil {
			w.Fatal(err)
		}
		w.exit("two", "web", 1)
		w.pass(2 * time.Second)
		w.want("two", "Running | log running ready restarts=1 last=Completed(0) | web running ready restarts=1 last=Error(1)")
	})
}

// The end of a container during an outage is noticed when the outage is over.
func TestAgentDeathDuringOutage(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", onePod)
		id := w.id("kubia", "kubia")
		w.engine.Outage(docker.ErrUnavailable)
		w.pass(5 * time.Second)
		if err := w.engine.Exit(id, 137); err != nil {
			w.Fatal(err)
		}
		w.pass(time.Minute)
		w.want("kubia", "Running | kubia running ready")
		w.engine.Recover()
		w.pass(2 * time.Second)
		w.want("kubia", "Running | kubia running ready restarts=1 last=Error(137)")
	})
}

func nodeCondition(w *world, kind corev1.NodeConditionType) corev1.NodeCondition {
	w.Helper()
	n, err := registry.For[*corev1.Node](w.registry).Get("", "here")
	if err != nil {
		w.Fatal(err)
	}
	for _, c := range n.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return corev1.NodeCondition{}
}

func TestAgentKeepsOthersConditions(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", `{readinessGates: [{conditionType: skiff/gate}], containers: [{name: kubia, image: kubia}]}`)
		if c := condition(w.get("kubia"), corev1.PodReady); c.Reason != "ReadinessGatesNotReady" {
			w.Errorf("condition %+v", c)
		}
		_, err := w.pods.UpdateStatus(w.Context(), "default", "kubia", func(p *corev1.Pod) error {
			p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: "skiff/gate", Status: corev1.ConditionTrue})
			return nil
		})
		if err != nil {
			w.Fatal(err)
		}
		w.settle()
		if c := condition(w.get("kubia"), corev1.PodReady); c.Status != corev1.ConditionTrue {
			w.Errorf("condition %+v", c)
		}
		if c := condition(w.get("kubia"), "skiff/gate"); c.Status != corev1.ConditionTrue {
			w.Errorf("condition %+v", c)
		}
	})
}

// Volumes that the engine makes for a pod are there before it runs, and go with it.
func TestAgentVolumesOfTheEngine(t *testing.T) {
	const spec = `{containers: [{name: kubia, image: kubia, volumeMounts: [{name: quick, mountPath: /q}, {name: model, mountPath: /m}]}],
		volumes: [{name: quick, emptyDir: {medium: Memory, sizeLimit: 1Mi}}, {name: model, image: {reference: models/tiny}}]}`
	inWorld(t, func(w *world) {
		w.engine.Publish("models/tiny", docker.Image{ID: "sha256:tiny"})
		volumes := func() string {
			list, err := w.engine.Volumes(w.Context(), pod.LabelPodUID)
			if err != nil {
				w.Fatal(err)
			}
			var names []string
			for _, v := range list {
				_, name, _ := strings.Cut(v.Name, "_")
				names = append(names, fmt.Sprintf("%s of %s on %s", name, v.Labels[pod.LabelPodName], v.Labels[pod.LabelNode]))
			}
			return strings.Join(names, ", ")
		}
		w.pod("kubia", spec)
		w.want("kubia", "Running | kubia running ready")
		w.wantContainers("kubia running; kubia_POD running")
		if got, want := volumes(), "model of kubia on here, quick of kubia on here"; got != want {
			w.Errorf("volumes: %s, want %s", got, want)
		}
		made, err := w.engine.Spec(w.id("kubia", pod.SandboxName))
		if err != nil || len(made.Mounts) != 1 || made.Mounts[0].Target != "/volumes/quick" {
			w.Errorf("the sandbox has mounted %v, %v", made.Mounts, err)
		}
		w.exit("kubia", "kubia", 1)
		w.want("kubia", "Running | kubia running ready restarts=1 last=Error(1)")
		w.restart(func() {})
		w.want("kubia", "Running | kubia running ready restarts=1 last=Error(1)")
		w.delete("kubia", nil)
		w.pass(time.Minute)
		if got := volumes(); got != "" {
			w.Errorf("left behind: %s", got)
		}
	})
}

// An image that a volume wants and nobody has keeps the container waiting, and says so.
func TestAgentImageOfAVolumeIsMissing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", `{containers: [{name: kubia, image: kubia, volumeMounts: [{name: model, mountPath: /m}]}], volumes: [{name: model, image: {reference: models/tiny}}]}`)
		w.want("kubia", "Pending | kubia ErrImagePull")
		w.pass(5 * time.Second)
		w.want("kubia", "Pending | kubia ImagePullBackOff")
		w.engine.Publish("models/tiny", docker.Image{ID: "sha256:tiny"})
		w.pass(time.Minute)
		w.want("kubia", "Running | kubia running ready")
	})
}

// A container's end can restart all of them, and then in order.
func TestAgentRestartsAllContainers(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", `{restartPolicy: Never, initContainers: [{name: init, image: kubia}], containers: [
			{name: kubia, image: kubia, restartPolicy: Never, restartPolicyRules: [{action: RestartAllContainers, exitCodes: {operator: In, values: [42]}}]},
			{name: other, image: kubia}]}`)
		w.exit("kubia", "init", 0)
		w.want("kubia", "Running | init Completed(0) ready | kubia running ready | other running ready")
		ip := w.get("kubia").Status.PodIP
		w.exit("kubia", "kubia", 42)
		w.want("kubia", "Pending | init running restarts=1 last=Completed(0) | kubia RestartingAllContainers last=Error(42) | other RestartingAllContainers last=Error(137)")
		w.restart(func() {})
		w.exit("kubia", "init", 0)
		w.want("kubia", "Running | init Completed(0) ready restarts=1 last=Completed(0) | kubia running ready restarts=1 last=Error(42) | other running ready restarts=1 last=Error(137)")
		if got := w.get("kubia").Status.PodIP; got != ip {
			w.Errorf("address %s, then %s", ip, got)
		}
		w.restart(func() {})
		w.exit("kubia", "other", 0)
		w.exit("kubia", "kubia", 0)
		w.want("kubia", "Succeeded | init Completed(0) ready restarts=1 last=Completed(0) | kubia Completed(0) restarts=1 last=Error(42) | other Completed(0) restarts=1 last=Error(137)")
	})
}

func TestAgentManyPodsSettle(t *testing.T) {
	inWorld(t, func(w *world) {
		for i := range 50 {
			w.pod(fmt.Sprintf("kubia-%02d", i), onePod)
		}
		synctest.Wait()
		for i := range 50 {
			w.want(fmt.Sprintf("kubia-%02d", i), "Running | kubia running ready")
		}
	})
}

// Who kills a container with the docker command is told by its signal; what the agent sends itself is not.
func TestAgentTellsOfSignalsFromElsewhere(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", onePod)
		list, err := w.engine.List(w.Context())
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		kill := docker.Event{Action: docker.ActionKill, ID: list[0].ID, Labels: list[0].Labels, Signal: 9, At: w.agent.Clock.Now()}
		w.agent.engineEvent(kill)
		w.exit("kubia", "kubia", 137)
		w.settle()
		w.agent.engineEvent(kill) // of a container that has ended
		w.pass(time.Minute)
		asked, err := w.pods.Get("default", "kubia")
		if err != nil {
			t.Fatal(err)
		}
		signalled := func(id string) {
			w.agent.engineEvent(docker.Event{Action: docker.ActionKill, ID: id, Labels: list[0].Labels, Signal: 15, At: w.agent.Clock.Now()})
		}
		w.engine.Behave("kubia", memory.Behaviour{IgnoresTerm: true})
		w.exit("kubia", "kubia", 0)
		w.pass(time.Minute)
		if err := w.agent.Kill(w.Context(), asked, "kubia", "TERM"); err != nil { // asked for by a client of the API
			t.Fatal(err)
		}
		running := w.id("kubia", "kubia")
		signalled(running)
		w.delete("kubia", nil) // and of one that is being stopped
		w.settle()
		signalled(running)
		w.pass(time.Minute)
		const told = "Warning KilledElsewhere Container kubia was sent signal 9 by another client of the engine than skiff, as docker kill and docker stop do"
		if got := w.events("kubia"); !strings.Contains(got, told+"\n") || strings.Count(got, "KilledElsewhere") != 1 {
			t.Errorf("events\n%s", got)
		}
	})
}
