package pod

import (
	"k8s.io/utils/ptr"
	"strings"
	"testing"
	"time"

	"skiff/orchestrator/node/internal/podtest"
	"skiff/probe"
)

type planCase struct {
	name string
	scene
	want string
}

func testPlans(t *testing.T, cases []planCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := MakePlan(c.view(t)).String(); got != podtest.Lines(c.want) {
				t.Errorf("plan:\n%s\nwant:\n%s", got, podtest.Lines(c.want))
			}
		})
	}
}

// here is an image that the engine has.
var here = map[string]Image{"kubia": {Ref: "kubia", Present: true, Local: true}}

func TestPlanStart(t *testing.T) {
	const tooSmall = "containers: [{name: kubia, image: kubia, resources: {limits: {memory: 4Mi}}}]"
	testPlans(t, []planCase{
		{"new pod", scene{}, `look for image kubia: container kubia needs it`},
		{"image is here", scene{images: here}, `start container kubia attempt 0: new pod`},
		{"start is under way", scene{images: here, works: "kubia starting 0"}, ``},
		{"runs", scene{runs: "kubia 0 running"}, ``},
		{"created but not started", scene{runs: "kubia 0 created"},
			`start container kubia attempt 0 again: it was created but never started`},
		{"created by a daemon that died", scene{runs: "kubia 0 created adopted"},
			`remove container kubia attempt 0: an earlier daemon left it, created but not started`},
		{"engine is gone", scene{engine: "connection refused"}, `hold: the engine is gone: connection refused`},
		{"failed to start a moment ago", scene{
			failures: map[string]StartFailure{"kubia": {Reason: "CreateContainerError", Image: "kubia", Until: podtest.Now.Add(4 * time.Second)}},
		}, `wait 4s: container kubia: CreateContainerError`},
		{"failed to start, but the image has been changed since", scene{
			images:   here,
			failures: map[string]StartFailure{"kubia": {Reason: "ErrImagePull", Image: "kubai", Until: podtest.Now.Add(4 * time.Second)}},
		}, `start container kubia attempt 0: new pod`},
		{"failed to start a while ago", scene{
			images:   here,
			failures: map[string]StartFailure{"kubia": {Reason: "CreateContainerError", Image: "kubia", Until: podtest.Now}},
		}, `start container kubia attempt 0: new pod`},
		{"memory limit below the engine's floor", scene{pod: tooSmall},
			`refuse container kubia CreateContainerError: set memory limit 4194304 too low; should be at least 6291456 bytes`},
		{"memory limit below the engine's floor, refused already", scene{
			pod: tooSmall,
			failures: map[string]StartFailure{"kubia": {
				Reason: "CreateContainerError", Image: "kubia", Message: "set memory limit 4194304 too low; should be at least 6291456 bytes",
			}},
		}, ``},
		{"memory limit at the engine's floor, after one below it", scene{
			pod: "containers: [{name: kubia, image: kubia, resources: {limits: {memory: 6Mi}}}]", images: here,
			failures: map[string]StartFailure{"kubia": {
				Reason: "CreateContainerError", Image: "kubia", Message: "set memory limit 4194304 too low; should be at least 6291456 bytes",
			}},
		}, `start container kubia attempt 0: new pod`},
		{"has a deadline", scene{
			pod:    "{activeDeadlineSeconds: 60, containers: [{name: kubia, image: kubia}]}",
			status: "{startTime: '2030-04-01T11:59:30Z'}", runs: "kubia 0 running",
		}, `wait 30s: activeDeadlineSeconds`},
		{"config has changed", scene{runs: "kubia 0 running", stale: []string{"configmap app", "secret key"}},
			`rewrite volumes: configmap app changed
			 rewrite volumes: secret key changed`},
	})
}

func TestPlanImage(t *testing.T) {
	known := func(v Image) map[string]Image {
		v.Ref = "kubia"
		return map[string]Image{"kubia": v}
	}
	const always = "containers: [{name: kubia, image: kubia, imagePullPolicy: Always}]"
	const never = "containers: [{name: kubia, image: kubia, imagePullPolicy: Never}]"
	testPlans(t, []planCase{
		{"absent", scene{images: known(Image{})}, `pull image kubia: it is not on this machine`},
		{"absent, never pulled", scene{pod: never, images: known(Image{})},
			`refuse container kubia ErrImageNeverPull: Container image "kubia" is not present with pull policy of Never`},
		{"present, never pulled", scene{pod: never, images: known(Image{Present: true})}, `start container kubia attempt 0: new pod`},
		{"present, always pulled", scene{pod: always, images: known(Image{Present: true})}, `pull image kubia: imagePullPolicy Always`},
		{"built here, always pulled", scene{pod: always, images: known(Image{Present: true, Local: true})},
			`start container kubia attempt 0: new pod`},
		{"just pulled", scene{pod: always, images: known(Image{Present: true, Pulled: true})}, `start container kubia attempt 0: new pod`},
		{"being pulled", scene{pod: always, images: known(Image{Present: true}), works: "kubia pulling"}, ``},
		{"pull failed", scene{
			images: known(Image{}),
			pulls:  map[string]PullFailure{"kubia": {Ref: "kubia", Message: "ErrImagePull: denied", Until: podtest.Now.Add(8 * time.Second)}},
		}, `refuse container kubia ImagePullBackOff: Back-off pulling image "kubia": ErrImagePull: denied`},
		{"pull failed a while ago", scene{
			images: known(Image{}),
			pulls:  map[string]PullFailure{"kubia": {Ref: "kubia", Until: podtest.Now}},
		}, `pull image kubia: it is not on this machine`},
		{"pull of the image before failed", scene{
			images: known(Image{}),
			pulls:  map[string]PullFailure{"kubia": {Ref: "kubai", Until: podtest.Now.Add(time.Second)}},
		}, `pull image kubia: it is not on this machine`},
		{"no such name", scene{pod: "containers: [{name: kubia, image: 'kubia::'}]"},
			`refuse container kubia InvalidImageName: Failed to apply default image tag "kubia::": couldn't parse image name "kubia::": invalid reference format`},
		{"restart trusts the image to be there", scene{runs: "kubia 0 exited 1 1m ago"}, `start container kubia attempt 1: exited 1`},
		{"restart pulls again", scene{pod: always, runs: "kubia 0 exited 1 1m ago"}, `look for image kubia: container kubia needs it`},
		{"restart with another image", scene{runs: "kubia 0 exited 1 1m ago changed"}, `look for image kubia: container kubia needs it`},
		{"the engine lost the image", scene{runs: "kubia 0 exited 1 1m ago", images: map[string]Image{"kubia": {Doubted: true}}},
			`look for image kubia: container kubia needs it`},
	})
}

// The images of volumes are had like those of containers, for the first container that mounts them.
func TestPlanImageVolume(t *testing.T) {
	const pod = `{initContainers: [{name: init, image: kubia}], containers: [{name: kubia, image: kubia, volumeMounts: [{name: m, mountPath: /m}]}, {name: other, image: kubia, volumeMounts: [{name: m, mountPath: /m}]}],
		volumes: [{name: m, image: {reference: model, pullPolicy: IfNotPresent}}]}`
	const initialized = "POD 0 running; init 0 exited 0; "
	with := func(v Image) map[string]Image {
		v.Ref = "model"
		return map[string]Image{"kubia": here["kubia"], "init": here["kubia"], "other": here["kubia"], "volume:m": v}
	}
	testPlans(t, []planCase{
		{"not for a container that does not mount it", scene{pod: pod, images: with(Image{}), runs: "POD 0 running"}, `start container init attempt 0: new pod`},
		{"its own first", scene{pod: pod, runs: initialized}, `look for image kubia: container kubia needs it
			look for image kubia: container other needs it`},
		{"not looked for yet", scene{pod: pod, images: map[string]Image{"kubia": here["kubia"]}, runs: initialized}, `look for image model: container kubia needs it
			look for image kubia: container other needs it`},
		{"absent", scene{pod: pod, images: with(Image{}), runs: initialized}, `pull image model: it is not on this machine`},
		{"being pulled", scene{pod: pod, images: with(Image{}), runs: initialized, works: "volume:m pulling"}, ``},
		{"never pulled", scene{pod: strings.Replace(pod, "IfNotPresent", "Never", 1), images: with(Image{}), runs: initialized},
			`refuse container kubia ErrImageNeverPull: Container image "model" is not present with pull policy of Never
			 refuse container other ErrImageNeverPull: Container image "model" is not present with pull policy of Never`},
		{"another container has mounted it", scene{pod: pod, images: with(Image{}), runs: initialized + "other 0 running"},
			`start container kubia attempt 0: the pod is initialized`},
		{"pull failed", scene{pod: pod, images: with(Image{}), runs: initialized,
			failures: map[string]StartFailure{"other": {Reason: "ImagePullBackOff", Image: "kubia", Until: podtest.Now.Add(8 * time.Second)}},
			pulls:    map[string]PullFailure{"volume:m": {Ref: "model", Message: "ErrImagePull: denied", Until: podtest.Now.Add(8 * time.Second)}}},
			`refuse container kubia ImagePullBackOff: Back-off pulling image "model": ErrImagePull: denied
			 wait 8s: container other: ImagePullBackOff`},
		{"present", scene{pod: pod, images: with(Image{Present: true}), runs: initialized}, `start container kubia attempt 0: the pod is initialized`},
		{"always pulled", scene{pod: strings.Replace(pod, "IfNotPresent", "Always", 1), images: with(Image{Present: true}), runs: initialized}, `pull image model: imagePullPolicy Always`},
		{"a restart finds the volume", scene{pod: pod, images: map[string]Image{"kubia": here["kubia"]}, runs: initialized + "kubia 0 exited 1; other 0 running"},
			`start container kubia attempt 1: exited 1`},
		{"the engine lost the image before the volume was made", scene{pod: pod, images: with(Image{Doubted: true}), runs: initialized + "kubia 0 exited 1; other 0 running"},
			`pull image model: it is not on this machine`},
	})
}

func TestPlanRestart(t *testing.T) {
	crashed := func(delay, ago time.Duration) map[string]Backoff {
		return map[string]Backoff{"kubia": {Delay: delay, Since: podtest.Now.Add(-ago)}}
	}
	const onFailure = "{restartPolicy: OnFailure, containers: [{name: kubia, image: kubia}]}"
	const never = "{restartPolicy: Never, containers: [{name: kubia, image: kubia}]}"
	testPlans(t, []planCase{
		{"first crash", scene{runs: "kubia 0 exited 137"}, `start container kubia attempt 1: exited 137`},
		{"end without fault", scene{runs: "kubia 0 exited 0"}, `start container kubia attempt 1: exited 0`},
		{"out of memory", scene{runs: "kubia 0 exited 137 oom"}, `start container kubia attempt 1: OOMKilled`},
		{"removed by hand", scene{runs: "kubia 0 exited 137 removed", images: here}, `start container kubia attempt 1: exited 137`},
		{"second crash", scene{runs: "kubia 1 exited 1 4s ago; kubia 0 exited 1 20s ago", crashes: crashed(10*time.Second, 20*time.Second)},
			`wait 6s: back-off restarting failed container kubia`},
		{"back-off is over", scene{runs: "kubia 1 exited 1 10s ago; kubia 0 exited 1 20s ago", crashes: crashed(10*time.Second, 20*time.Second)},
			`start container kubia attempt 2: exited 1`},
		{"crash after ten good minutes", scene{runs: "kubia 5 exited 1", crashes: crashed(5*time.Minute, 10*time.Minute+time.Second)},
			`start container kubia attempt 6: exited 1`},
		{"crash after ten minutes less a second", scene{runs: "kubia 5 exited 1", crashes: crashed(5*time.Minute, 10*time.Minute-time.Second)},
			`wait 5m0s: back-off restarting failed container kubia`},
		{"could not be started", scene{runs: "kubia 0 unstartable"}, `start container kubia attempt 1: could not be started`},
		{"could not be started again", scene{runs: "kubia 1 unstartable 2s ago", crashes: crashed(10*time.Second, 3*time.Second)},
			`wait 8s: back-off restarting failed container kubia`},
		{"killed for its probe, though it crashes a lot", scene{
			runs: "kubia 2 exited 137 stopped; kubia 1 exited 1 1m ago", crashes: crashed(20*time.Second, time.Minute),
		}, `start container kubia attempt 3: liveness probe failed`},
		{"killed for its probe, soon after a crash", scene{
			runs: "kubia 2 exited 137 stopped; kubia 1 exited 1 15s ago", crashes: crashed(20*time.Second, 15*time.Second),
		}, `wait 5s: back-off restarting failed container kubia`},
		{"OnFailure, failed", scene{pod: onFailure, runs: "kubia 0 exited 1"}, `start container kubia attempt 1: exited 1`},
		{"OnFailure, succeeded", scene{pod: onFailure, runs: "kubia 0 exited 0"}, `release address: every container has ended`},
		{"Never, failed", scene{pod: never, runs: "kubia 0 exited 1"}, `release address: every container has ended`},
		{"Never, ended and at rest", scene{pod: never, runs: "kubia 0 exited 1", noAddr: true}, ``},
		{"never again, whatever the policy", scene{status: "phase: Failed", runs: "kubia 0 exited 1", noAddr: true}, ``},
		{"phase is terminal but something runs", scene{status: "phase: Failed", runs: "kubia 0 running"},
			`kill container kubia grace 30s: the pod has ended`},
		{"somebody started an old run", scene{runs: "kubia 1 running; kubia 0 running"},
			`kill container kubia grace 30s: attempt 1 has taken its place`},
		{"but not while the container is being started", scene{runs: "kubia 0 running", works: "kubia starting 1"}, ``},
		{"old runs are pruned", scene{runs: "kubia 3 running; kubia 2 exited 1; kubia 1 exited 1; kubia 0 exited 1"},
			`remove container kubia attempt 1: later attempts have taken its place
			 remove container kubia attempt 0: later attempts have taken its place`},
		{"a run being removed is left to it", scene{
			runs: "kubia 2 running; kubia 1 exited 1; kubia 0 exited 1", works: "kubia-0 removing 0"}, ``},
		{"pruning does not hold up a restart", scene{
			runs: "kubia 2 exited 1; kubia 1 exited 1; kubia 0 exited 1", works: "kubia-0 removing 0"},
			`start container kubia attempt 3: exited 1`},
		{"image changed", scene{runs: "kubia 0 running changed"}, `kill container kubia grace 30s: definition changed`},
	})
}

func TestPlanRestartRules(t *testing.T) {
	const pod = `{restartPolicy: Never, containers: [{name: kubia, image: kubia, restartPolicy: Never,
		restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [42]}}]}]}`
	testPlans(t, []planCase{
		{"a rule restarts", scene{pod: pod, runs: "kubia 0 exited 42"}, `start container kubia attempt 1: exited 42`},
		{"no rule does", scene{pod: pod, runs: "kubia 0 exited 1", noAddr: true}, ``},
	})
}

func TestPlanProbes(t *testing.T) {
	const pod = `containers: [{name: kubia, image: kubia,
		livenessProbe: {httpGet: {port: 8080}}, startupProbe: {httpGet: {port: 8080}}, readinessProbe: {httpGet: {port: 8080}}}]`
	const fast = `containers: [{name: kubia, image: kubia, livenessProbe: {httpGet: {port: 8080}, terminationGracePeriodSeconds: 0}}]`
	said := func(s probe.State) map[string]probe.State { return map[string]probe.State{"kubia": s} }
	dead := said(probe.State{Startup: probe.Success, Liveness: probe.Failure})
	testPlans(t, []planCase{
		{"well", scene{pod: pod, runs: "kubia 0 running", verdicts: said(well)}, ``},
		{"nothing decided", scene{pod: pod, runs: "kubia 0 running"}, ``},
		{"not ready", scene{pod: pod, runs: "kubia 0 running", verdicts: said(probe.State{Startup: probe.Success, Liveness: probe.Success, Readiness: probe.Failure})}, ``},
		{"liveness failed", scene{pod: pod, runs: "kubia 0 running", verdicts: dead}, `kill container kubia grace 30s: liveness probe failed`},
		{"the probe has its own grace", scene{pod: fast, runs: "kubia 0 running", verdicts: dead}, `kill container kubia grace 0s: liveness probe failed`},
		{"being killed", scene{pod: pod, runs: "kubia 0 running", verdicts: dead, works: "kubia stopping 0 20s of 30s"}, ``},
		{"startup failed", scene{pod: pod, runs: "kubia 0 running", verdicts: said(probe.State{Startup: probe.Failure})},
			`kill container kubia grace 30s: startup probe failed`},
	})
}

func TestPlanSandbox(t *testing.T) {
	const pod = "containers: [{name: web, image: web}, {name: log, image: log}]"
	images := map[string]Image{"web": {Ref: "web", Present: true}, "log": {Ref: "log", Present: true}}
	testPlans(t, []planCase{
		{"new pod", scene{pod: pod}, `start sandbox attempt 0: new pod`},
		{"sandbox is being started", scene{pod: pod, works: "POD starting 0"}, ``},
		{"sandbox was created but not started", scene{pod: pod, runs: "POD 0 created"},
			`start sandbox attempt 0 again: it was created but never started`},
		{"sandbox was created by a daemon that died", scene{pod: pod, runs: "POD 0 created adopted"},
			`remove container POD attempt 0: an earlier daemon left it, created but not started`},
		{"containers start one after another", scene{pod: pod, images: images, runs: "POD 0 running"}, `start container web attempt 0: new pod`},
		{"the first is being started", scene{pod: pod, images: images, runs: "POD 0 running", works: "web starting 0"}, ``},
		{"the first runs its hook", scene{pod: pod, images: images, runs: "POD 0 running; web 0 running", works: "web hook 0"}, ``},
		{"a pull does not hold up the others", scene{pod: pod, images: images, runs: "POD 0 running", works: "web pulling"},
			`start container log attempt 0: new pod`},
		{"the second's turn", scene{pod: pod, images: images, runs: "POD 0 running; web 0 running"}, `start container log attempt 0: new pod`},
		{"all run", scene{pod: pod, runs: "POD 0 running; web 0 running; log 0 running"}, ``},
		{"sandbox died", scene{pod: pod, runs: "POD 0 exited 137; web 0 running; log 1 running"},
			`kill container web grace 30s: the pod's sandbox died
			 kill container log grace 30s: the pod's sandbox died`},
		{"sandbox died and all that was in it", scene{pod: pod, runs: "POD 0 exited 137; web 0 exited 137 stopped; log 1 exited 0 stopped"},
			`start sandbox attempt 1: the one before exited 137`},
		{"in the new sandbox", scene{pod: pod, images: images, runs: "POD 1 running; POD 0 exited 137; web 0 exited 137 stopped; log 1 exited 0 stopped"},
			`start container web attempt 1: the pod has a new sandbox
			 remove container POD attempt 0: later attempts have taken its place`},
		{"sandbox could not be started", scene{pod: pod,
			failures: map[string]StartFailure{"POD": {Reason: "CreatePodSandboxError", Message: "no room", Until: podtest.Now.Add(3 * time.Second)}}},
			`wait 3s: the sandbox could not be started: no room`},
		{"sandbox of a pod that runs once died", scene{
			pod:  "{restartPolicy: Never, containers: [{name: web, image: web}, {name: log, image: log}]}",
			runs: "POD 0 exited 137; web 0 exited 0; log 0 exited 137 stopped", noAddr: true},
			`remove container POD attempt 0: the sandbox died and no container runs again`},
		{"one ended for good, one runs", scene{
			pod:  "{restartPolicy: Never, containers: [{name: web, image: web}, {name: log, image: log}]}",
			runs: "POD 0 running; web 0 exited 0; log 0 running"}, ``},
		{"all ended for good", scene{
			pod:  "{restartPolicy: Never, containers: [{name: web, image: web}, {name: log, image: log}]}",
			runs: "POD 0 running; web 0 exited 0; log 0 exited 1"},
			`kill container POD grace 0s: every container has ended`},
		{"in the host's network IPC is shared", scene{
			pod: "{hostNetwork: true, containers: [{name: web, image: web}, {name: log, image: log}]}", images: images},
			`start sandbox attempt 0: new pod`},
		{"where all is the host's there is none", scene{
			pod: "{hostNetwork: true, hostIPC: true, containers: [{name: web, image: web}, {name: log, image: log}]}", images: images},
			`start container web attempt 0: new pod`},
		{"one container that shares its processes has one", scene{pod: "{shareProcessNamespace: true, containers: [{name: kubia, image: kubia}]}"},
			`start sandbox attempt 0: new pod`},
	})
}

func TestPlanInit(t *testing.T) {
	const pod = `{initContainers: [{name: one, image: i}, {name: two, image: i}], containers: [{name: kubia, image: i}]}`
	const never = `{restartPolicy: Never, initContainers: [{name: one, image: i}, {name: two, image: i}], containers: [{name: kubia, image: i}]}`
	images := map[string]Image{}
	for _, name := range []string{"one", "two", "kubia", "side", "late"} {
		images[name] = Image{Ref: "i", Present: true}
	}
	testPlans(t, []planCase{
		{"the first", scene{pod: pod, images: images, runs: "POD 0 running"}, `start container one attempt 0: new pod`},
		{"the first runs", scene{pod: pod, images: images, runs: "POD 0 running; one 0 running"}, ``},
		{"the second", scene{pod: pod, images: images, runs: "POD 0 running; one 0 exited 0"},
			`start container two attempt 0: the init container before it is done`},
		{"the first failed", scene{pod: pod, images: images, runs: "POD 0 running; one 0 exited 3"}, `start container one attempt 1: exited 3`},
		{"the first failed again", scene{pod: pod, images: images, runs: "POD 0 running; one 1 exited 3 1s ago",
			crashes: map[string]Backoff{"one": {Delay: 10 * time.Second, Since: podtest.Now.Add(-2 * time.Second)}}},
			`wait 9s: back-off restarting failed container one`},
		{"the first failed for good", scene{pod: never, images: images, runs: "POD 0 running; one 0 exited 3"},
			`kill container POD grace 0s: an init container failed`},
		{"both done", scene{pod: pod, images: images, runs: "POD 0 running; one 0 exited 0; two 0 exited 0"},
			`start container kubia attempt 0: the pod is initialized`},
		{"done init containers are not run again", scene{pod: pod, images: images,
			runs: "POD 0 running; one 0 exited 0 removed; two 0 exited 0 removed; kubia 0 exited 1"}, `start container kubia attempt 1: exited 1`},
		{"a new sandbox begins from the beginning", scene{pod: pod, images: images,
			runs: "POD 1 running; one 0 exited 0; two 0 exited 0; kubia 0 exited 137 stopped"},
			`start container one attempt 1: the pod has a new sandbox`},
		{"in the new sandbox, init containers once more", scene{pod: pod, images: images,
			runs: "POD 1 running; one 1 exited 0 sandbox=1; one 0 exited 0; two 0 exited 0; kubia 0 exited 137 stopped"},
			`start container two attempt 1: the pod has a new sandbox`},
	})
}

func TestPlanSidecars(t *testing.T) {
	const pod = `{initContainers: [{name: side, image: i, restartPolicy: Always, startupProbe: {exec: {command: [up]}}},
		{name: late, image: i, restartPolicy: Always}], containers: [{name: kubia, image: i}]}`
	const never = `{restartPolicy: Never, initContainers: [{name: side, image: i, restartPolicy: Always},
		{name: late, image: i, restartPolicy: Always}], containers: [{name: kubia, image: i}]}`
	images := map[string]Image{}
	for _, name := range []string{"kubia", "side", "late"} {
		images[name] = Image{Ref: "i", Present: true}
	}
	up := map[string]probe.State{"side": well}
	testPlans(t, []planCase{
		{"the first sidecar", scene{pod: pod, images: images, runs: "POD 0 running"}, `start container side attempt 0: new pod`},
		{"it has not started yet", scene{pod: pod, images: images, runs: "POD 0 running; side 0 running"}, ``},
		{"it has", scene{pod: pod, images: images, runs: "POD 0 running; side 0 running", verdicts: up},
			`start container late attempt 0: the init container before it is done`},
		{"all have", scene{pod: pod, images: images, runs: "POD 0 running; side 0 running; late 0 running", verdicts: up},
			`start container kubia attempt 0: the pod is initialized`},
		{"a sidecar crashed", scene{pod: pod, images: images, runs: "POD 0 running; side 0 exited 1; late 0 running; kubia 0 running"},
			`start container side attempt 1: exited 1`},
		{"sidecars don't keep the pod alive", scene{pod: never, images: images,
			runs: "POD 0 running; side 0 running; late 0 running; kubia 0 exited 0"}, `kill container late grace 30s: every container has ended`},
		{"in reverse order", scene{pod: never, images: images,
			runs: "POD 0 running; side 0 running; late 0 exited 0; kubia 0 exited 0"}, `kill container side grace 30s: every container has ended`},
		{"and are not restarted then", scene{pod: never, images: images,
			runs: "POD 0 running; side 0 exited 0; late 0 exited 0; kubia 0 exited 0"}, `kill container POD grace 0s: every container has ended`},
	})
}

func TestPlanEphemeral(t *testing.T) {
	const pod = `{containers: [{name: kubia, image: kubia}], ephemeralContainers: [{name: debug, image: busybox}]}`
	images := map[string]Image{"debug": {Ref: "busybox", Present: true}}
	testPlans(t, []planCase{
		{"is started", scene{pod: pod, images: images, runs: "kubia 0 running"}, `start container debug attempt 0: ephemeral container added`},
		{"once", scene{pod: pod, images: images, runs: "kubia 0 running; debug 0 exited 1"}, ``},
		{"with a container whose network it joins", scene{pod: pod, images: images, runs: "kubia 0 exited 1"}, `start container kubia attempt 1: exited 1`},
	})
}

func TestPlanDelete(t *testing.T) {
	const two = "containers: [{name: web, image: web}, {name: log, image: log}]"
	const sidecar = `{initContainers: [{name: side, image: i, restartPolicy: Always}], containers: [{name: kubia, image: i}]}`
	testPlans(t, []planCase{
		{"asked for", scene{deleted: ptr.To[int64](30), runs: "kubia 0 running"}, `kill container kubia grace 30s: the pod is being deleted`},
		{"at once", scene{deleted: ptr.To[int64](0), runs: "kubia 0 running"}, `kill container kubia grace 0s: the pod is being deleted`},
		{"being killed", scene{deleted: ptr.To[int64](30), runs: "kubia 0 running", works: "kubia stopping 0 20s of 30s"}, ``},
		{"sooner", scene{deleted: ptr.To[int64](5), runs: "kubia 0 running", works: "kubia stopping 0 20s of 30s"},
			`kill container kubia grace 5s: the pod is being deleted`},
		{"sooner, but it is nearly over", scene{deleted: ptr.To[int64](5), runs: "kubia 0 running", works: "kubia stopping 0 3s of 30s"}, ``},
		{"later is not heeded", scene{deleted: ptr.To[int64](60), runs: "kubia 0 running", works: "kubia stopping 0 20s of 30s"}, ``},
		{"while its image is pulled", scene{deleted: ptr.To[int64](30), works: "kubia pulling"},
			`cancel the start of container kubia: the pod is being deleted`},
		{"while it starts", scene{deleted: ptr.To[int64](30), works: "kubia starting 0"}, ``},
		{"during its postStart hook", scene{deleted: ptr.To[int64](30), runs: "kubia 0 running", works: "kubia hook 0"},
			`cancel the start of container kubia: the pod is being deleted`},
		{"dead", scene{deleted: ptr.To[int64](30), runs: "kubia 1 exited 0; kubia 0 exited 1"},
			`remove container kubia attempt 1: the pod is being deleted
			 remove container kubia attempt 0: the pod is being deleted`},
		{"being removed", scene{deleted: ptr.To[int64](30), runs: "kubia 0 exited 0", works: "kubia-0 removing 0"}, ``},
		{"removed", scene{deleted: ptr.To[int64](30), runs: "kubia 0 exited 0 removed"}, `delete pod: every container has ended`},
		{"never ran", scene{deleted: ptr.To[int64](30)}, `delete pod: every container has ended`},
		{"being deleted for good", scene{deleted: ptr.To[int64](30), works: "pod deleting"}, ``},
		{"held by a finalizer", scene{deleted: ptr.To[int64](0), finalizers: []string{"batch.kubernetes.io/job-tracking"}, status: "phase: Succeeded"},
			`release address: the pod is being deleted`},
		{"held by a finalizer, at rest", scene{deleted: ptr.To[int64](0), finalizers: []string{"x/y"}, status: "phase: Succeeded", noAddr: true}, ``},
		{"all containers at once, the sandbox last", scene{pod: two, deleted: ptr.To[int64](30), runs: "POD 0 running; web 0 running; log 0 running"},
			`kill container web grace 30s: the pod is being deleted
			 kill container log grace 30s: the pod is being deleted`},
		{"the sandbox", scene{pod: two, deleted: ptr.To[int64](30), runs: "POD 0 running; web 0 exited 0; log 0 exited 0"},
			`kill container POD grace 0s: the pod is being deleted`},
		{"sidecars after the others", scene{pod: sidecar, deleted: ptr.To[int64](30), runs: "POD 0 running; side 0 running; kubia 0 running"},
			`kill container kubia grace 30s: the pod is being deleted`},
		{"with what is left of the time", scene{pod: sidecar, deleted: ptr.To[int64](30), deletedAgo: 10 * time.Second,
			runs: "POD 0 running; side 0 running; kubia 0 exited 0"}, `kill container side grace 20s: the pod is being deleted`},
		{"or a moment", scene{pod: sidecar, deleted: ptr.To[int64](30), deletedAgo: 40 * time.Second,
			runs: "POD 0 running; side 0 running; kubia 0 exited 0"}, `kill container side grace 2s: the pod is being deleted`},
	})
}

func TestPlanGone(t *testing.T) {
	testPlans(t, []planCase{
		{"runs", scene{gone: true, runs: "POD 0 running; web 0 running; log 0 exited 1"},
			`kill container web grace 0s: its pod is gone
			 kill container POD grace 0s: its pod is gone`},
		{"being stopped with patience", scene{gone: true, runs: "kubia 0 running", works: "kubia stopping 0 20s of 30s"},
			`kill container kubia grace 0s: its pod is gone`},
		{"being killed", scene{gone: true, runs: "kubia 0 running", works: "kubia stopping 0 0s of 0s"}, ``},
		{"being started", scene{gone: true, works: "kubia starting 0"}, ``},
		{"dead", scene{gone: true, runs: "POD 0 exited 137; web 0 exited 137"},
			`remove container web attempt 0: its pod is gone
			 remove container POD attempt 0: its pod is gone`},
		{"two runs of one container", scene{gone: true, runs: "kubia 1 running; kubia 0 running"},
			`kill container kubia grace 0s: its pod is gone`},
		{"nothing left", scene{gone: true, runs: "kubia 0 exited 137 removed"}, `forget pod: neither the store nor the engine has it`},
	})
}

func TestPlanDeadline(t *testing.T) {
	const pod = "{activeDeadlineSeconds: 30, containers: [{name: kubia, image: kubia}]}"
	const begun = "{startTime: '2030-04-01T11:59:30Z'}"
	testPlans(t, []planCase{
		{"over", scene{pod: pod, status: begun, runs: "kubia 0 running"}, `kill container kubia grace 30s: activeDeadlineSeconds are over`},
		{"over and dead", scene{pod: pod, status: begun, runs: "kubia 0 exited 137"}, `release address: activeDeadlineSeconds are over`},
		{"over before anything ran", scene{pod: pod, status: begun, noAddr: true}, ``},
	})
}
