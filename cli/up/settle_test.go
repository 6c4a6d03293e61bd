package up

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"skiff/cli/diagnosis"
)

// oneReplica is a controller that says that its pod is ready.
const oneReplica = `{apiVersion: v1, kind: ReplicationController, metadata: {name: kubia, uid: rc}, spec: {replicas: 1}, status: {replicas: 1, readyReplicas: 1}}
---
`

const settledPod = `{apiVersion: v1, kind: Pod, metadata: {name: a, uid: a, ownerReferences: [{apiVersion: v1, kind: x, name: x, uid: rc, controller: true}]},
 spec: {restartPolicy: Always, containers: [{name: kubia, image: i%s}]},
 status: {phase: Running, conditions: [{type: Ready, status: "True"}], containerStatuses: [{name: kubia, containerID: c, ready: true%s}]}}`

const readinessProbe = `, readinessProbe: {httpGet: {port: 80}}`

func TestSettling(t *testing.T) {
	run := criteria{settle: 500 * time.Millisecond, since: noon}
	running := func(at string) string { return `, state: {running: {startedAt: "` + at + `"}}` }
	restarted := func(code int, began, ended string) string {
		return fmt.Sprintf(`, restartCount: 1, state: {running: {startedAt: "2026-11-23T12:00:05Z"}}, lastState: {terminated: {exitCode: %d, startedAt: %q, finishedAt: %q}}`, code, began, ended)
	}
	for _, test := range []struct {
		name, probe, status string
		seen                time.Duration // how long ago the container was first seen
		first               bool          // in the first listing
		wait                time.Duration
		fails               string
	}{
		{"just seen", "", running("2026-11-23T12:00:10Z"), 0, false, 500 * time.Millisecond, ""},
		{"seen for a while", "", running("2026-11-23T12:00:10Z"), 400 * time.Millisecond, false, 100 * time.Millisecond, ""},
		{"seen for long enough", "", running("2026-11-23T12:00:10Z"), 500 * time.Millisecond, false, 0, ""},
		{"runs since long before it was seen", "", running("2026-11-23T12:00:08Z"), 0, true, 0, ""},
		{"runs since long before by another clock", "", running("2026-11-23T12:00:08Z"), 0, false, 500 * time.Millisecond, ""},
		{"a probe vouches for it", readinessProbe, running("2026-11-23T12:00:10Z"), 0, false, 0, ""},
		{"ended at once", "", restarted(3, "2026-11-23T12:00:04Z", "2026-11-23T12:00:05Z"), 5 * time.Second, false, 0, "pod/a: container kubia ended with exit code 3 (Error) soon after its start"},
		{"ended at once without an error", "", restarted(0, "2026-11-23T12:00:04Z", "2026-11-23T12:00:04Z"), 5 * time.Second, false, 0, "pod/a: container kubia ended with exit code 0 (Error) soon after its start"},
		{"ended after a while", "", restarted(3, "2026-11-23T12:00:02Z", "2026-11-23T12:00:04Z"), 5 * time.Second, false, 0, ""},
		{"ended before this run", "", restarted(3, "2026-11-23T11:59:58Z", "2026-11-23T11:59:59Z"), 5 * time.Second, true, 0, ""},
		{"ended in this run by another clock", "", restarted(3, "2026-11-23T11:59:58Z", "2026-11-23T11:59:59Z"), 5 * time.Second, false, 0, "pod/a: container kubia ended with exit code 3 (Error) soon after its start"},
		{"ended, but a probe vouches for it now", readinessProbe, restarted(3, "2026-11-23T12:00:04Z", "2026-11-23T12:00:05Z"), 5 * time.Second, false, 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := see(t, oneReplica+fmt.Sprintf(settledPod, test.probe, test.status))
			now := noon.Add(10 * time.Second)
			s.history = newHistory()
			s.note(s.pods[0], now.Add(-test.seen), test.first)
			p := look(s, now, run)
			if p.wait != test.wait || p.up != (test.wait == 0) {
				t.Errorf("waits %s, up %t; want %s", p.wait, p.up, test.wait)
			}
			failure := ""
			if p.failure != nil {
				failure = p.failure.What + ": " + p.failure.Why
			}
			if failure != test.fails {
				t.Errorf("failure %q, want %q", failure, test.fails)
			}
		})
	}
	// The controller's word comes by another watch than its pods.
	if p := look(see(t, strings.TrimSuffix(oneReplica, "---\n")), noon, run); p.up || p.wait == 0 {
		t.Errorf("up before its pod was seen: %s", p)
	}
}

const job = `{apiVersion: batch/v1, kind: Job, metadata: {name: a, uid: job}, spec: {}, status: %s}
---
`

const jobPod = `{apiVersion: v1, kind: Pod, metadata: {name: %s, uid: %[1]s, creationTimestamp: "2026-11-23T11:00:0%[2]dZ", ownerReferences: [{apiVersion: v1, kind: Job, name: a, uid: job, controller: true}]},
 spec: {restartPolicy: Never, containers: [{name: main, image: i}]}, status: %[3]s}
---
`

const (
	failedStatus = `{phase: Failed, containerStatuses: [{name: main, state: {terminated: {exitCode: 3, reason: Error}}}]}`
	jobFailed    = `{failed: 2, conditions: [{type: Failed, status: "True", reason: BackoffLimitExceeded, message: too often}]}`
)

func TestJobsThatFail(t *testing.T) {
	waiting := func(reason string) string {
		return `{phase: Pending, containerStatuses: [{name: main, restartCount: 1, state: {waiting: {reason: ` + reason + `, message: why}}, lastState: {terminated: {exitCode: 3, reason: Error}}}]}`
	}
	one := fmt.Sprintf(jobPod, "a-1", 1, failedStatus)
	two := one + fmt.Sprintf(jobPod, "a-2", 2, failedStatus)
	for _, test := range []struct{ name, objects, detached, complete string }{
		{"gave up", fmt.Sprintf(job, jobFailed) + two, "job/a: BackoffLimitExceeded: too often; pod/a-2: container main ended with exit code 3 (Error)", "the same"},
		{"one pod failed", fmt.Sprintf(job, "{}") + one, "", ""},
		{"pods keep failing", fmt.Sprintf(job, "{}") + two, "pod/a-2: container main ended with exit code 3 (Error), 2 pods of job/a have failed", ""},
		{"pods keep failing, one runs", fmt.Sprintf(job, "{ready: 1}") + two + fmt.Sprintf(jobPod, "a-3", 3, readyPod), "", ""},
		{"a container keeps crashing", fmt.Sprintf(job, "{}") + fmt.Sprintf(jobPod, "a-1", 1, waiting("CrashLoopBackOff")), "pod/a-1: CrashLoopBackOff: container main ended with exit code 3 (Error), 1 restarts", ""},
		{"no image", fmt.Sprintf(job, "{}") + fmt.Sprintf(jobPod, "a-1", 1, `{phase: Pending, containerStatuses: [{name: main, state: {waiting: {reason: ImagePullBackOff, message: no such image}}}]}`), "pod/a-1: ImagePullBackOff: no such image", "the same"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.complete == "the same" {
				test.complete = test.detached
			}
			for complete, want := range map[bool]string{false: test.detached, true: test.complete} {
				got := ""
				if f := look(see(t, test.objects+"{apiVersion: v1, kind: Pod, metadata: {name: other, uid: other}}"), noon, criteria{complete: complete}).failure; f != nil {
					got = f.What + ": " + f.Why
				}
				if got != want {
					t.Errorf("complete %t: failure %q, want %q", complete, got, want)
				}
			}
		})
	}
}

// The pod of a job that restarts its containers is deleted when the job gives up.
func TestJobWhosePodIsGone(t *testing.T) {
	s := see(t, strings.TrimSuffix(fmt.Sprintf(job, jobFailed), "---\n"))
	pod := see(t, settledPodAlone).pods[0]
	s.ended = map[types.UID]diagnosis.Failure{"job": {What: "pod/a-1", Why: "container main ended with exit code 3 (Error)", Pod: pod, Container: "main", Log: "no disk\n"}}
	f := look(s, noon, criteria{complete: true}).failure
	if f == nil || f.Why != "BackoffLimitExceeded: too often; pod/a-1: container main ended with exit code 3 (Error)" || f.Log != "no disk\n" {
		t.Errorf("failure %+v", f)
	}
}

var settledPodAlone = fmt.Sprintf(settledPod, "", "")

// A port of the machine may be free in a moment, when an old pod ends; not for ever.
func TestPortInUse(t *testing.T) {
	const inUse = `{phase: Pending, containerStatuses: [{name: %s, state: {waiting: {reason: HostPortInUse, message: "port 80 is in use"}}}]}`
	for name, objects := range map[string]string{
		"a controller": fmt.Sprintf(rc, "{observedGeneration: 2}") + fmt.Sprintf(podOf, "a", "rc", fmt.Sprintf(inUse, "kubia")),
		"a job":        fmt.Sprintf(job, "{}") + strings.TrimSuffix(fmt.Sprintf(jobPod, "a", 1, fmt.Sprintf(inUse, "main")), "---\n"),
	} {
		s := see(t, objects)
		s.history = newHistory()
		for _, at := range []time.Duration{0, diagnosis.PortPatience - time.Second} {
			s.note(s.pods[0], noon.Add(at), false)
			if f := look(s, noon.Add(at), criteria{}).failure; f != nil {
				t.Errorf("%s: fails after %s: %+v", name, at, f)
			}
		}
		f := look(s, noon.Add(diagnosis.PortPatience), criteria{}).failure
		if f == nil || f.What != "pod/a" || f.Why != "HostPortInUse: port 80 is in use" {
			t.Errorf("%s: after a while %+v", name, f)
		}
		running := s.pods[0].DeepCopy()
		running.Status.ContainerStatuses[0].State.Waiting = nil
		s.note(running, noon.Add(diagnosis.PortPatience), false)
		s.note(s.pods[0], noon.Add(diagnosis.PortPatience), false)
		if f := look(s, noon.Add(diagnosis.PortPatience), criteria{}).failure; f != nil {
			t.Errorf("%s: fails for two short waits: %+v", name, f)
		}
	}
}
