package report

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/yaml"
)

// world is a recorder whose world is told line by line.
type world struct {
	*testing.T
	*Recorder
	clock *testingclock.FakeClock
}

func newWorld(t *testing.T) world {
	clk := testingclock.NewFakeClock(start)
	return world{t, NewLive(nil, clk, ""), clk}
}

func (s world) look(first bool) look { return look{watch.Modified, s.clock.Now(), first} }

// pod tells the status of a pod called name.
func (s world) pod(name, status string, first bool) {
	s.Helper()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(start)}}
	p.Spec.Containers = []corev1.Container{{Name: "c", Image: "i"}}
	if err := yaml.UnmarshalStrict([]byte(status), &p.Status); err != nil {
		s.Fatal(err)
	}
	s.seePod(p, s.look(first))
}

// event tells of an Event about a pod's container.
func (s world) event(pod, kind, reason, message string) {
	e := &corev1.Event{ObjectMeta: metav1.ObjectMeta{UID: types.UID(fmt.Sprint(reason, s.clock.Now()))}, Type: kind, Reason: reason, Message: message,
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: pod, UID: types.UID(pod), FieldPath: "spec.containers{c}"}}
	s.seeEvent(e, s.look(false))
}

func (s world) step() { s.clock.Step(time.Second) }

// spans is what a container went through, a line each.
func spans(c *Container) string {
	var out []string
	for _, span := range c.Spans {
		line := fmt.Sprintf("%s %s", span.From.Sub(start), span.State)
		for _, more := range []string{span.Note, span.Cause} {
			if more != "" {
				line += ", " + more
			}
		}
		if span.Failed {
			line += ", failed"
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

// TestPullAndKill: Events tell when an image is pulled, and which probe a container was killed for.
func TestPullAndKill(t *testing.T) {
	for _, late := range []bool{false, true} {
		s := newWorld(t)
		s.pod("p", `{containerStatuses: [{name: c, state: {waiting: {reason: ContainerCreating}}}]}`, false)
		s.step()
		s.event("p", "Normal", "Pulling", "Pulling image i")
		s.step()
		s.pod("p", `{podIP: 10.0.0.1, containerStatuses: [{name: c, state: {waiting: {reason: ContainerCreating}}}]}`, false)
		s.step()
		s.event("p", "Normal", "Pulled", "Successfully pulled image i")
		s.step()
		s.pod("p", `{containerStatuses: [{name: c, ready: true, state: {running: {}}}]}`, false)
		s.step()
		s.event("p", "Warning", "Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500")
		killing := func() { s.event("p", "Normal", "Killing", "Container c failed liveness probe, will be restarted") }
		if !late {
			killing()
		}
		s.step()
		s.pod("p", `{containerStatuses: [{name: c, state: {terminated: {exitCode: 137, reason: Error}}}]}`, false)
		if late {
			killing()
		}
		s.step()
		s.pod("p", `{containerStatuses: [{name: c, restartCount: 1, state: {running: {}}, lastState: {terminated: {exitCode: 137, reason: Error}}}]}`, false)
		s.step()
		s.pod("p", `{containerStatuses: [{name: c, restartCount: 1, state: {terminated: {exitCode: 1, reason: Error}}}]}`, false)
		want := `0s waiting, ContainerCreating
1s pulling, Pulling image i
3s waiting, ContainerCreating
4s ready
6s exited, exit code 137 Error, liveness probe failed: HTTP probe failed with statuscode: 500, failed
7s running
8s exited, exit code 1 Error, failed`
		if got := spans(s.pods["p"].Containers[0]); got != want {
			t.Errorf("late %v: got\n%s\nwant\n%s", late, got, want)
		}
	}
}

// TestCrashLoop: a run's end comes before the wait that follows it, though the status may tell both at once.
func TestCrashLoop(t *testing.T) {
	s := newWorld(t)
	for _, status := range []string{
		`{restartCount: 0, ready: true, state: {running: {}}}`,
		`{restartCount: 0, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {containerID: one, exitCode: 137, reason: Error}}}`,
		`{restartCount: 1, ready: true, state: {running: {}}, lastState: {terminated: {containerID: one, exitCode: 137, reason: Error}}}`,
		`{restartCount: 1, state: {terminated: {containerID: two, exitCode: 1, reason: Error}}, lastState: {terminated: {containerID: one, exitCode: 137, reason: Error}}}`,
		`{restartCount: 1, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {containerID: two, exitCode: 1, reason: Error}}}`,
		`{restartCount: 2, ready: true, state: {running: {}}, lastState: {terminated: {containerID: two, exitCode: 1, reason: Error}}}`,
	} {
		s.pod("p", `{containerStatuses: [`+strings.Replace(status, "{", "{name: c, ", 1)+`]}`, false)
		s.step()
	}
	want := `0s ready
1s exited, exit code 137 Error, failed
1s waiting, CrashLoopBackOff, failed
2s ready
3s exited, exit code 1 Error, failed
4s waiting, CrashLoopBackOff, failed
5s ready`
	if got := spans(s.pods["p"].Containers[0]); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestBefore: what had happened when it was first seen is taken from the server's times.
func TestBefore(t *testing.T) {
	at := func(seconds int) string { return start.Add(time.Duration(seconds) * time.Second).Format(time.RFC3339) }
	for _, test := range []struct{ status, want string }{
		{fmt.Sprintf(`{conditions: [{type: Ready, status: "True", lastTransitionTime: %q}], containerStatuses: [{name: c, ready: true, state: {running: {startedAt: %q}}}]}`, at(4), at(2)),
			"0s waiting\n2s running\n4s ready"},
		{fmt.Sprintf(`{containerStatuses: [{name: c, restartCount: 3, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 1, reason: Error, startedAt: %q, finishedAt: %q}}}]}`, at(5), at(6)),
			"0s waiting\n5s running\n6s exited, exit code 1 Error, failed\n6s waiting, CrashLoopBackOff, failed"},
		{fmt.Sprintf(`{phase: Succeeded, containerStatuses: [{name: c, state: {terminated: {exitCode: 0, reason: Completed, startedAt: %q, finishedAt: %q}}}]}`, at(5), at(6)),
			"0s waiting\n5s running\n6s exited, exit code 0 Completed"},
	} {
		s := newWorld(t)
		s.clock.Step(time.Minute)
		s.pod("p", test.status, true)
		if got := spans(s.pods["p"].Containers[0]); got != test.want {
			t.Errorf("%s: got\n%s\nwant\n%s", test.status, got, test.want)
		}
	}
}

// TestChanges: rollouts are told with their cause, and when they are over.
func TestChanges(t *testing.T) {
	s := newWorld(t)
	for _, step := range []string{
		`spec: {replicas: 2, template: {spec: {containers: [{name: web, image: "a:1"}]}}}, status: {readyReplicas: 2, replicas: 2, updatedReplicas: 2}`,
		`spec: {replicas: 5, template: {spec: {containers: [{name: web, image: "a:1"}]}}}, status: {readyReplicas: 2, replicas: 5, updatedReplicas: 5}`,
		`spec: {replicas: 5, template: {spec: {containers: [{name: web, image: "a:2"}]}}}, status: {readyReplicas: 5, replicas: 5, updatedReplicas: 1}`,
		`spec: {replicas: 5, template: {spec: {containers: [{name: web, image: "a:2"}]}}}, status: {readyReplicas: 5, replicas: 5, updatedReplicas: 5}`,
		`spec: {replicas: 5, template: {metadata: {annotations: {kubectl.kubernetes.io/restartedAt: now}}, spec: {containers: [{name: web, image: "a:2"}]}}}, status: {readyReplicas: 5, replicas: 6, updatedReplicas: 1}`,
		`spec: {replicas: 5, template: {metadata: {annotations: {kubectl.kubernetes.io/restartedAt: now}}, spec: {containers: [{name: web, image: "a:2", env: [{name: A, value: b}]}]}}}, status: {readyReplicas: 4}`,
	} {
		o := object(t, `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, uid: d}, `+step+`}`)
		o.Object = normal(t, o.Object)
		s.seeWorkload(o, s.look(false))
		s.step()
	}
	var got []string
	for _, c := range s.workloads["d"].Changes {
		got = append(got, fmt.Sprintf("%s %s", c.At.Sub(start), c.What))
	}
	want := "1s scaled from 2 to 5\n2s rollout: image of web from a:1 to a:2\n3s rolled out\n4s rollout: restart\n5s rollout: the pods' template was changed"
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}

// since is what a viewer gets who has seen so much.
func (s world) since(seen Seen) (state, Seen) {
	s.Helper()
	text, now, err := s.Since(seen)
	if err != nil {
		s.Fatal(err)
	}
	var out state
	if err := json.Unmarshal(text, &out); err != nil {
		s.Fatal(err)
	}
	return out, now
}

// TestLongSession: whatever happens for days, what is kept is bounded, and viewers are told of what is dropped.
func TestLongSession(t *testing.T) {
	s := newWorld(t)
	_, seen := s.since(Seen{})
	for i := range 3000 {
		name := fmt.Sprint("pod-", i)
		s.pod(name, `{containerStatuses: [{name: c, ready: true, state: {running: {}}}]}`, false)
		for range 3 {
			s.event(name, "Warning", "Unhealthy", "Readiness probe failed")
			s.step()
		}
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}}
		s.seePod(p, look{kind: watch.Deleted, now: s.clock.Now()})
		s.forget(s.clock.Now())
	}
	for i := range 1000 {
		s.pod("flapping", fmt.Sprintf(`{containerStatuses: [{name: c, ready: %v, state: {running: {}}}]}`, i%2 == 0), false)
		s.step()
	}
	if n := len(s.pods); n > liveLimits.ended+1 {
		t.Errorf("%d pods are kept", n)
	}
	if n := len(s.workloads); n > liveLimits.ended+1 {
		t.Errorf("%d workloads are kept", n)
	}
	if n := len(s.list); n > liveLimits.events {
		t.Errorf("%d events are kept", n)
	}
	if n := len(s.pods["flapping"].Containers[0].Spans); n > liveLimits.spans {
		t.Errorf("%d spans are kept", n)
	}
	if n := len(s.order); n > liveLimits.ended+1 {
		t.Errorf("the order has %d", n)
	}
	all, seen := s.since(seen)
	if !all.Whole || len(all.Pods) != len(s.pods) {
		t.Errorf("whole: %v, %d pods of %d", all.Whole, len(all.Pods), len(s.pods))
	}
	s.event("flapping", "Normal", "Started", "Started")
	more, seen := s.since(seen)
	if more.Whole || len(more.Events) != 1 || len(more.Pods) != 1 || len(more.Workloads) != 0 {
		t.Errorf("after one event: %d events, %d pods, %d workloads", len(more.Events), len(more.Pods), len(more.Workloads))
	}
	if none, _ := s.since(seen); len(none.Events)+len(none.Pods)+len(none.Workloads) > 0 {
		t.Errorf("after nothing: %+v", none)
	}
	s.clock.Step(liveLimits.age + time.Second)
	s.forget(s.clock.Now())
	if len(s.pods) != 1 {
		t.Errorf("%d pods are kept after %s", len(s.pods), liveLimits.age)
	}
}

// TestProblems: what is wrong is said while it is, and for a while after a restart.
func TestProblems(t *testing.T) {
	s := newWorld(t)
	is := func(want string) {
		t.Helper()
		p := s.pods["p"]
		if got := s.podProblem(p, s.clock.Now()); got != want {
			t.Errorf("it is %q, want %q", got, want)
		}
	}
	s.pod("p", `{containerStatuses: [{name: c, state: {waiting: {reason: ContainerCreating}}}]}`, false)
	is("")
	s.pod("p", `{containerStatuses: [{name: c, state: {waiting: {reason: ErrImageNeverPull, message: i is not there}}}]}`, false)
	is("ErrImageNeverPull: i is not there")
	s.pod("p", `{containerStatuses: [{name: c, state: {running: {}}}]}`, false)
	s.event("p", "Warning", "Unhealthy", "Readiness probe failed: refused")
	is("Unhealthy: Readiness probe failed: refused")
	s.pod("p", `{conditions: [{type: Ready, status: "True"}], containerStatuses: [{name: c, ready: true, state: {running: {}}}]}`, false)
	is("")
	s.pod("p", `{conditions: [{type: Ready, status: "True"}], containerStatuses: [{name: c, ready: true, restartCount: 1, state: {running: {}}, lastState: {terminated: {exitCode: 137, reason: OOMKilled}}}]}`, false)
	is("container c was restarted: exit code 137 OOMKilled")
	s.clock.Step(lately + time.Second)
	is("")
}
