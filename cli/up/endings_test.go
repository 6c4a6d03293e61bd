package up

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"skiff/cli/client"
)

// deaths are the lines about those in a snapshot.
func deaths(s snapshot) string {
	var b strings.Builder
	for _, w := range s.workloads {
		for _, e := range s.endingsOf(w, noon) {
			if e.isDeath() {
				b.WriteString(s.deathLine(&e) + "\n")
			}
		}
	}
	return b.String()
}

func TestDeaths(t *testing.T) {
	const owner = `{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: s, uid: s}, spec: {replicas: 1}}
`
	pod := func(meta, status string) string {
		return owner + `---
{apiVersion: v1, kind: Pod, metadata: {name: a, uid: a, ` + meta + `ownerReferences: [{kind: x, name: x, uid: s, controller: true}]}, spec: {restartPolicy: Always, initContainers: [{name: init}], containers: [{name: main}]}, status: {` + status + `}}`
	}
	ended := func(code, rest string) string {
		return `{exitCode: ` + code + `, startedAt: "2026-11-23T12:00:02Z", finishedAt: "2026-11-23T12:00:08Z"` + rest + `}`
	}
	const inMain, inInit = `containerStatuses: [{name: main, restartCount: 1, `, `initContainerStatuses: [{name: init, `
	killing := func(message string, second int) *corev1.Event {
		return event("a", "main", "Normal", "Killing", message, second)
	}
	unhealthy := event("a", "main", "Warning", "Unhealthy", "Startup probe failed: no answer", 6)
	for _, test := range []struct {
		name, objects string
		events        []*corev1.Event
		want          string
	}{
		{"failed", pod("", inMain+`state: {terminated: `+ended("1", "")+`}}]`), nil, "pod/a: container main ended with exit code 1 (Error)\n"},
		{"runs again", pod("", inMain+`state: {running: {}}, lastState: {terminated: `+ended("137", ", reason: OOMKilled")+`}}]`), nil, "pod/a: container main ended with exit code 137 (OOMKilled)\n"},
		{"ended well, but was to keep running", pod("", inMain+`state: {terminated: `+ended("0", ", reason: Completed")+`}}]`), nil, "pod/a: container main ended with exit code 0 (Completed)\n"},
		{"an init container ends well", pod("", inInit+`state: {terminated: `+ended("0", "")+`}}]`), nil, ""},
		{"an init container fails", pod("", inInit+`state: {terminated: `+ended("2", "")+`}}]`), nil, "pod/a: container init ended with exit code 2 (Error)\n"},
		{"told to end", pod(`deletionTimestamp: "2026-11-23T12:00:03Z", `, inMain+`state: {terminated: `+ended("143", "")+`}}]`), nil, ""},
		{"twice", pod("", inMain+`state: {terminated: `+ended("1", ", containerID: two")+`}, lastState: {terminated: `+ended("3", ", containerID: one")+`}}]`), nil,
			"pod/a: container main ended with exit code 3 (Error)\npod/a: container main ended with exit code 1 (Error)\n"},
		{"killed for a probe", pod("", inMain+`state: {terminated: `+ended("137", "")+`}}]`), []*corev1.Event{unhealthy, killing("Container main failed startup probe, will be restarted", 7)},
			"pod/a: container main ended with exit code 137 (startup probe failed: no answer)\n"},
		{"killed for a probe that nobody has told of", pod("", inMain+`state: {terminated: `+ended("137", "")+`}}]`), []*corev1.Event{killing("Container main failed liveness probe, will be restarted", 7)},
			"pod/a: container main ended with exit code 137 (liveness probe failed)\n"},
		{"another run was killed", pod("", inMain+`state: {terminated: `+ended("1", "")+`}}]`), []*corev1.Event{killing("Container main failed liveness probe, will be restarted", 20)},
			"pod/a: container main ended with exit code 1 (Error)\n"},
		{"killed for another reason", pod("", inMain+`state: {terminated: `+ended("137", "")+`}}]`), []*corev1.Event{unhealthy, killing("Container main definition changed, will be restarted", 7)},
			"pod/a: container main ended with exit code 137 (Error)\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := see(t, test.objects)
			s.history = newHistory()
			s.incidents = newIncidents(nil, nil, nil, nil).known
			for _, p := range s.pods {
				s.note(p, noon, false)
				s.note(p, noon, false) // a status that comes twice tells of nothing new
			}
			for _, e := range test.events {
				e.InvolvedObject.UID = "a"
				s.incidents.note(e)
			}
			if got := deaths(s); got != test.want {
				t.Errorf("got:\n%swant:\n%s", got, test.want)
			}
		})
	}
}

// What had ended before up began is no news, nor what another application's pods do.
func TestEndingsOfBefore(t *testing.T) {
	s := see(t, `{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: s, uid: s}}
---
{apiVersion: v1, kind: Pod, metadata: {name: a, uid: a, ownerReferences: [{kind: x, name: x, uid: s, controller: true}]}, status: {containerStatuses: [{name: main, state: {terminated: {exitCode: 1, finishedAt: "2026-11-23T11:59:58Z"}}}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: b, uid: b, ownerReferences: [{kind: x, name: x, uid: other, controller: true}]}, status: {containerStatuses: [{name: main, state: {terminated: {exitCode: 1, finishedAt: "2026-11-23T12:00:05Z"}}}]}}`)
	s.history = newHistory()
	for _, p := range s.pods {
		s.note(p, noon, true)
	}
	if got := deaths(s); got != "" {
		t.Errorf("told:\n%s", got)
	}
}

// A job ends the application when it is complete or has given up, and not with a pod that is tried again.
func TestJobEndsAll(t *testing.T) {
	job := func(condition string) string {
		return `{apiVersion: batch/v1, kind: Job, metadata: {name: j, uid: j}, status: {conditions: [` + condition + `]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: a, uid: a, ownerReferences: [{kind: Job, name: j, uid: j, controller: true}]}, spec: {restartPolicy: Never, containers: [{name: main}]}, status: {phase: Failed, containerStatuses: [{name: main, state: {terminated: {exitCode: 7, finishedAt: "2026-11-23T12:00:05Z"}}}]}}`
	}
	for _, test := range []struct {
		name, condition string
		decided         bool
		code            int32
	}{
		{"tries again", ``, false, 0},
		{"complete", `{type: Complete, status: "True"}`, true, 0},
		{"has given up", `{type: Failed, status: "True", reason: BackoffLimitExceeded}`, true, 7},
	} {
		s := see(t, job(test.condition))
		s.history = newHistory()
		s.note(s.pods[0], noon.Add(time.Second), false)
		r := &runner{start: noon, options: options{modes: modes{exitCodeFrom: "j"}}, exitFrom: s.workloads[0].Ref}
		v := r.judgeEnd(s)
		if (v != nil) != test.decided || v != nil && v.code != test.code {
			t.Errorf("%s: %+v", test.name, v)
		}
		r.exitFrom = client.Ref{Name: "another"}
		if v := r.judgeEnd(s); v != nil {
			t.Errorf("%s, which is not asked for: %+v", test.name, v)
		}
	}
}
