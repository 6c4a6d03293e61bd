package pod

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"skiff/orchestrator/node/internal/podtest"
)

// together is a pod with an init container, a sidecar, a container whose exit code 42 restarts all
// of them, and one that runs once.
const together = `{restartPolicy: Never, initContainers: [{name: init, image: kubia}, {name: side, image: kubia, restartPolicy: Always}], containers: [
	{name: kubia, image: kubia, restartPolicy: Never, restartPolicyRules: [{action: RestartAllContainers, exitCodes: {operator: In, values: [42]}}]},
	{name: once, image: kubia}]}`

// restless is a pod whose containers restart each other by any failure.
const restless = `{restartPolicy: Never, containers: [
	{name: a, image: kubia, restartPolicy: Never, restartPolicyRules: [{action: RestartAllContainers, exitCodes: {operator: NotIn, values: [0]}}]},
	{name: b, image: kubia, restartPolicy: Never, restartPolicyRules: [{action: RestartAllContainers, exitCodes: {operator: NotIn, values: [0]}}]}]}`

func TestPlanRestartAll(t *testing.T) {
	const sandbox = "POD 0 running; "
	images := map[string]Image{}
	for _, name := range []string{"init", "side", "kubia", "once", "a", "b"} {
		images[name] = Image{Ref: "kubia", Present: true, Local: true}
	}
	testPlans(t, []planCase{
		{"another exit code", scene{pod: together, images: images, runs: sandbox + "init 0 exited 0; side 0 running; kubia 0 exited 1; once 0 running"}, ``},
		{"one ends with the code", scene{pod: together, images: images, runs: sandbox + "init 0 exited 0; side 0 running; kubia 0 exited 42; once 0 running"},
			`kill container side grace 0s: all containers of the pod are restarted
			 kill container once grace 0s: all containers of the pod are restarted`},
		{"a hook is under way", scene{pod: together, images: images, works: "once hook 0", runs: sandbox + "init 0 exited 0; side 0 exited 137 nextround; kubia 0 exited 42; once 0 running"},
			`cancel the start of container once: all containers of the pod are restarted`},
		{"all have ended, the one that runs once too", scene{pod: together, images: images, runs: sandbox + "init 0 exited 0; side 0 exited 137 nextround; kubia 0 exited 42; once 0 exited 0"},
			`start container init attempt 1: all containers of the pod are restarted`},
		{"init containers first", scene{pod: together, images: images, runs: sandbox + "init 1 exited 0 round=1; init 0 exited 0; side 0 exited 137 nextround; kubia 0 exited 42; once 0 exited 0"},
			`start container side attempt 1: all containers of the pod are restarted`},
		{"a start of the round before comes to its end", scene{pod: together, images: images, runs: sandbox + "init 1 exited 0 round=1; init 0 exited 0; side 1 running round=1; kubia 0 exited 42; once 0 running"},
			`kill container once grace 0s: all containers of the pod are restarted`},
		{"the next round runs", scene{pod: together, images: images,
			runs: sandbox + "init 1 exited 0 round=1; side 1 running round=1; kubia 1 running round=1; kubia 0 exited 42; once 1 running round=1"}, ``},
		{"the next round ends", scene{pod: together, images: images,
			runs: sandbox + "init 1 exited 0 round=1; side 1 running round=1; kubia 1 exited 0 round=1; once 1 exited 0 round=1"},
			`kill container side grace 30s: every container has ended`},
		{"the ends of the others do not begin a round", scene{pod: restless, images: images, runs: sandbox + "a 0 exited 1; b 0 exited 137 nextround"},
			`start container a attempt 1: all containers of the pod are restarted`},
		{"whoever killed them is not known", scene{pod: restless, images: images, runs: sandbox + "a 1 running round=1; a 0 exited 1; b 0 exited 137"},
			`start container b attempt 1: all containers of the pod are restarted`},
		{"a pod of one container", scene{images: images, runs: "kubia 0 exited 42",
			pod: `{restartPolicy: Never, containers: [{name: kubia, image: kubia, restartPolicy: Never, restartPolicyRules: [{action: RestartAllContainers, exitCodes: {operator: In, values: [42]}}]}]}`},
			`start container kubia attempt 1: all containers of the pod are restarted`},
	})
}

func TestStatusRestartAll(t *testing.T) {
	for _, c := range []struct{ name, runs, want string }{
		{"one ends with the code", "POD 0 running; init 0 exited 0; side 0 running; kubia 0 exited 42; once 0 running",
			"Running; init RestartingAllContainers last=Completed(0); side running ready; kubia RestartingAllContainers last=Error(42); once running ready; True RestartAllContainersStarted"},
		{"all have ended", "POD 0 running; init 0 exited 0; side 0 exited 137 nextround; kubia 0 exited 42; once 0 exited 0",
			"Running; init RestartingAllContainers last=Completed(0); side RestartingAllContainers last=Error(137); kubia RestartingAllContainers last=Error(42); once RestartingAllContainers last=Completed(0); False "},
		{"one of the next round has ended before another has begun", "POD 0 running; init 1 exited 0 round=1; side 1 running round=1; kubia 1 exited 0 round=1; kubia 0 exited 42; once 0 exited 0",
			"Running; init Completed(0) ready restarts=1; side running ready restarts=1; kubia Completed(0) restarts=1 last=Error(42); once RestartingAllContainers last=Completed(0); False "},
		{"it is over", "init 1 exited 0 round=1; side 1 exited 0 round=1; kubia 1 exited 0 round=1; once 1 exited 0 round=1",
			"Succeeded; init Completed(0) ready restarts=1; side Completed(0) restarts=1; kubia Completed(0) restarts=1; once Completed(0) restarts=1; False PodCompleted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := MakeStatus(scene{pod: together, runs: c.runs, status: "{phase: Running}"}.view(t))
			got := string(s.Phase)
			for _, one := range append(s.InitContainerStatuses, s.ContainerStatuses...) {
				got += "; " + podtest.StatusText(one)
			}
			for _, condition := range s.Conditions {
				if condition.Type == corev1.AllContainersRestarting {
					got += fmt.Sprintf("; %s %s", condition.Status, condition.Reason)
				}
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}
