package podfacts

import (
	"fmt"
	"testing"

	"sigs.k8s.io/yaml"

	corev1 "k8s.io/api/core/v1"
)

// Tables of api/table print the same summaries; here are those in which the command line once
// differed, and the ones that take several containers together.
func TestSummarize(t *testing.T) {
	for _, c := range []struct{ name, pod, want string }{
		{"a phase", `{status: {phase: Pending}}`, "0/0 Pending 0"},
		{"a reason", `{status: {phase: Failed, reason: Evicted}}`, "0/0 Evicted 0"},
		{"gated", `{status: {phase: Pending, conditions: [{type: PodScheduled, status: "False", reason: SchedulingGated}]}}`,
			"0/0 SchedulingGated 0"},
		{"deleted while it runs", `{metadata: {deletionTimestamp: "2026-01-01T00:00:00Z"}, status: {phase: Running}}`, "0/0 Terminating 0"},
		{"deleted after it ended", `{metadata: {deletionTimestamp: "2026-01-01T00:00:00Z"}, status: {phase: Succeeded,
			containerStatuses: [{state: {terminated: {exitCode: 0, reason: Completed}}}]}}`, "0/0 Completed 0"},
		{"deleted on a node that is lost", `{metadata: {deletionTimestamp: "2026-01-01T00:00:00Z"}, status: {phase: Running, reason: NodeLost}}`,
			"0/0 Unknown 0"},
		{"an init container that waits", `{spec: {initContainers: [{name: i}], containers: [{name: a}]}, status: {phase: Pending,
			initContainerStatuses: [{name: i, restartCount: 2, state: {waiting: {reason: CrashLoopBackOff}}}]}}`, "0/1 Init:CrashLoopBackOff 2"},
		{"a sidecar beside its container", `{spec: {initContainers: [{name: s, restartPolicy: Always}, {name: i}], containers: [{name: a}]},
			status: {phase: Running, initContainerStatuses: [
				{name: s, ready: true, started: true, restartCount: 1, state: {running: {}}},
				{name: i, restartCount: 4, state: {terminated: {exitCode: 0}}}],
			containerStatuses: [{name: a, ready: true, restartCount: 2, state: {running: {}}}]}}`, "2/2 Running 3"},
		{"one of two has completed", `{spec: {containers: [{name: a}, {name: b}]}, status: {phase: Running, containerStatuses: [
			{name: a, state: {terminated: {exitCode: 0, reason: Completed}}}, {name: b, ready: true, state: {running: {}}}]}}`, "1/2 NotReady 0"},
		{"one of two has failed", `{spec: {containers: [{name: a}, {name: b}]}, status: {phase: Failed, containerStatuses: [
			{name: a, state: {terminated: {exitCode: 0, reason: Completed}}}, {name: b, state: {terminated: {exitCode: 3}}}]}}`, "0/2 ExitCode:3 0"},
		{"ended by a signal", `{spec: {containers: [{name: a}]}, status: {phase: Failed, containerStatuses: [
			{name: a, state: {terminated: {exitCode: 137, signal: 9}}}]}}`, "0/1 Signal:9 0"},
		{"initialized again after a restart of an init container", `{spec: {initContainers: [{name: i}], containers: [{name: a}]}, status: {
			phase: Running, conditions: [{type: Initialized, status: "True"}],
			initContainerStatuses: [{name: i, restartCount: 1, state: {running: {}}}],
			containerStatuses: [{name: a, ready: true, state: {running: {}}}]}}`, "1/1 Init:0/1 0"},
	} {
		p := &corev1.Pod{}
		if err := yaml.UnmarshalStrict([]byte(c.pod), p); err != nil {
			t.Fatal(c.name, err)
		}
		s := Summarize(p)
		if got := fmt.Sprintf("%d/%d %s %d", s.Ready, s.Containers, s.Status, s.Restarts); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
