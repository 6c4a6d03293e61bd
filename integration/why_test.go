package integration

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"skiff/integration/harness"
)

// whatGoesWrong are a pod that is killed for its memory, one whose probe says nothing, a pod that
// somebody else will kill, and a deployment that can not surge.
const whatGoesWrong = `apiVersion: v1
kind: Pod
metadata: {name: greedy}
spec:
  containers: [{name: main, image: IMAGE, imagePullPolicy: Never, resources: {limits: {memory: 16Mi}},
    command: [sh, -c, "echo filling; x=aaaaaaaaaaaaaaaa; while true; do x=$x$x; done"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: mute}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: IMAGE, imagePullPolicy: Never, command: [sleep, "1000"],
    readinessProbe: {exec: {command: [sh, -c, exit 7]}, periodSeconds: 1}}]
---
apiVersion: v1
kind: Pod
metadata: {name: victim, labels: {role: victim}}
spec:
  terminationGracePeriodSeconds: 0
  restartPolicy: Never
  containers: [{name: main, image: IMAGE, imagePullPolicy: Never, command: [sleep, "1000"]}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: IMAGE, imagePullPolicy: Never, command: [sleep, "1000"], ports: [{containerPort: 80, hostPort: PORT}]}]
`

// TestWhy asks why of things that go wrong on the engine.
func TestWhy(t *testing.T) {
	t.Parallel()
	engine := harness.Engine(t)
	image := harness.Toolbox(t, engine, nil)
	d := harness.Start(t)
	c := d.SkiffCLI()
	port := strconv.Itoa(freePort(t))
	c.DoIn(strings.NewReplacer("IMAGE", image, "PORT", port).Replace(whatGoesWrong), "apply", "-f", "-")
	says := func(what string, words ...string) {
		t.Helper()
		var got string
		harness.Until(t, time.Minute, "why "+what+" says: "+strings.Join(words, "; "), func() bool {
			got = c.Do("why", what)
			for _, w := range words {
				if !strings.Contains(got, w) {
					return false
				}
			}
			return true
		})
	}
	says("pod/greedy", "it needed more memory than its limit of 16Mi", "log     main | filling", "is started again at ", "resources.limits.memory")
	says("pod/mute", "its readiness probe (command", `exited with code 7 and no output`)

	c.Do("wait", "pod/victim", "--for=condition=Ready", "--timeout=1m")
	if err := engine.ContainerKill(context.Background(), d.Containers("role=victim")[0].ID, "KILL"); err != nil {
		t.Fatal(err)
	}
	says("pod/victim", "exit code 137: signal SIGKILL", "was sent signal 9 by another client of the engine than skiff")

	c.Do("wait", "deployment/web", "--for=condition=Available", "--timeout=1m")
	c.Do("patch", "deployment", "web", "-p", `{"spec":{"template":{"metadata":{"annotations":{"version":"2"}}}}}`)
	says("deployment/web", "deployment/web can not surge", `"maxSurge":0`)
	if got := c.Do("get", "events"); !strings.Contains(got, "Deployment web may not be able to surge: the pod that this one replaces has hostPort "+port) {
		t.Errorf("no event says so:\n%s", got)
	}
	c.Do("patch", "deployment", "web", "-p", `{"spec":{"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":0,"maxUnavailable":1}}}}`)
	says("deployment/web", "deployment/web has 1 of 1 replicas ready")
}

// TestDoctor asks the doctor with a daemon, without one, and without an engine.
func TestDoctor(t *testing.T) {
	t.Parallel()
	d := harness.Start(t)
	c := d.SkiffCLI()
	if got := c.Do("doctor"); !strings.Contains(got, "ok      engine      Docker Engine ") || !strings.Contains(got, "ready, API at ") {
		t.Errorf("with a daemon:\n%s", got)
	}
	if r := c.Try("", "doctor", "--engine", "unix:///nowhere/docker.sock", "--data-dir", t.TempDir()); r.Code != 1 || !strings.Contains(r.Out, "fault   engine ") || !strings.Contains(r.Out, "ok      daemon      not running") {
		t.Errorf("without an engine, and without a daemon: %+v", r)
	}
}
