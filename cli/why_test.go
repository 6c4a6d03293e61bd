package cli

import (
	"strings"
	"testing"
)

// aJob is a job, and jobPod its pod in some state.
func aJob() map[string]any {
	return map[string]any{"apiVersion": "batch/v1", "kind": "Job", "metadata": map[string]any{"name": "batch"},
		"spec": map[string]any{"selector": map[string]any{"matchLabels": map[string]any{"job": "batch"}}}}
}

func jobPod(w *world, policy string, status map[string]any) map[string]any {
	uid := string(w.server.Get("Job", "batch").GetUID())
	return map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "batch-1", "labels": map[string]any{"job": "batch"},
		"ownerReferences": []any{map[string]any{"apiVersion": "batch/v1", "kind": "Job", "name": "batch", "uid": uid, "controller": true}}},
		"spec": map[string]any{"restartPolicy": policy, "containers": []any{map[string]any{"name": "main", "image": "i"}}}, "status": status}
}

func giveUp(o map[string]any) {
	o["status"] = map[string]any{"conditions": []any{map[string]any{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit"}}}
}

var ended = map[string]any{"terminated": map[string]any{"exitCode": int64(3), "reason": "Error"}}

const batchFailed = "error: job/batch failed: BackoffLimitExceeded: Job has reached the specified backoff limit; pod/batch-1: container main ended with exit code 3 (Error)\n  main | no disk\n"

// A job that has given up will never be complete, and says what went wrong in its pod.
func TestWaitForAJobThatFails(t *testing.T) {
	w := newWorld(t)
	w.server.Put(aJob())
	w.server.Logs["batch-1/main"] = "no disk\n"
	w.server.Put(jobPod(w, "Never", map[string]any{"phase": "Failed", "containerStatuses": []any{map[string]any{"name": "main", "state": ended}}}))
	r := w.start(t, "wait", "job/batch", "--for=condition=complete")
	awaitWatchers(t, w.server)
	w.server.Change("Job", "batch", giveUp)
	r.ends(t, 1)
	if got := r.err.String(); got != batchFailed {
		t.Errorf("printed:\n%s", got)
	}
}

// The pod of a job that restarts its containers is deleted with its log when the job gives up.
func TestWaitForAJobWhosePodIsDeleted(t *testing.T) {
	for _, verb := range [][]string{{"wait", "job/batch", "--for=condition=complete"}, {"up", "-f", "job.yaml", "--wait"}} {
		t.Run(verb[0], func(t *testing.T) {
			manifests(t)
			w := newWorld(t)
			if verb[0] == "wait" {
				w.server.Put(aJob())
			}
			w.server.Logs["batch-1/main"] = "no disk\n"
			r := w.start(t, verb...)
			for range 2 { // one for the job, one for its pods
				awaitWatchers(t, w.server)
			}
			w.server.Put(jobPod(w, "OnFailure", map[string]any{"phase": "Running", "containerStatuses": []any{map[string]any{"name": "main", "restartCount": int64(1),
				"state": map[string]any{"waiting": map[string]any{"reason": "CrashLoopBackOff"}}, "lastState": ended}}}))
			eventually(t, func() bool { return w.server.LogsRead() > 0 })
			w.server.Remove("Pod", "batch-1")
			w.server.Change("Job", "batch", giveUp)
			r.ends(t, 1)
			if got := r.err.String(); !strings.HasSuffix(got, batchFailed) {
				t.Errorf("printed:\n%s", got)
			}
		})
	}
}

// What a wait was in vain for is said below kubectl's words.
func TestWaitSaysWhyItTimedOut(t *testing.T) {
	w := newWorld(t)
	w.server.Put(map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "a", "uid": "a"},
		"status": map[string]any{"phase": "Pending", "containerStatuses": []any{map[string]any{"name": "main", "state": map[string]any{"waiting": map[string]any{"reason": "ImagePullBackOff", "message": "Back-off pulling image \"x\": not found"}}}}}})
	w.server.Put(pod("b", "Running"))
	w.server.Put(map[string]any{"apiVersion": "v1", "kind": "Event", "metadata": map[string]any{"name": "e"}, "type": "Warning", "reason": "Unhealthy",
		"involvedObject": map[string]any{"kind": "Pod", "name": "b", "uid": string(w.server.Get("Pod", "b").GetUID())}, "message": "Readiness probe failed: 500", "lastTimestamp": "2026-11-23T09:59:00Z"})
	for name, why := range map[string]string{"a": "ImagePullBackOff: Back-off pulling image \"x\": not found", "b": "Unhealthy: Readiness probe failed: 500"} {
		_, errOut, code := w.run(t.Context(), "wait", "pod/"+name, "--for=condition=Ready", "--timeout=100ms")
		if want := "error: timed out waiting for the condition on pods/" + name + "\n  pod/" + name + ": " + why + "\n"; errOut != want || code != 1 {
			t.Errorf("exit code %d, printed:\n%s\nwant:\n%s", code, errOut, want)
		}
	}
}
