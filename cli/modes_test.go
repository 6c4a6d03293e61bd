package cli

import (
	"os"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// ends is the status of a pod whose container has ended.
func ends(code int64, phase string) map[string]any {
	return map[string]any{"phase": phase, "containerStatuses": []any{map[string]any{"name": "kubia", "ready": false, "restartCount": int64(0), "image": "i", "imageID": "", "containerID": "docker://one",
		"state": map[string]any{"terminated": map[string]any{"exitCode": code, "reason": "Error", "containerID": "docker://one", "startedAt": "2026-11-23T10:00:00Z", "finishedAt": "2026-11-23T10:00:01Z"}}}}}
}

// runAgain is that of one whose container was killed for its probe, and runs again.
func runAgain() map[string]any {
	return map[string]any{"phase": "Running", "containerStatuses": []any{map[string]any{"name": "kubia", "ready": true, "restartCount": int64(1), "image": "i", "imageID": "", "containerID": "docker://two",
		"state":     map[string]any{"running": map[string]any{"startedAt": "2026-11-23T10:00:10Z"}},
		"lastState": map[string]any{"terminated": map[string]any{"exitCode": int64(137), "reason": "Error", "containerID": "docker://one", "startedAt": "2026-11-23T10:00:00Z", "finishedAt": "2026-11-23T10:00:09Z"}}}}}
}

func podEvent(w *world, name, pod, kind, reason, message string) {
	w.server.Put(map[string]any{"apiVersion": "v1", "kind": "Event", "metadata": map[string]any{"name": name}, "type": kind, "reason": reason, "message": message, "lastTimestamp": "2026-11-23T10:00:08Z",
		"involvedObject": map[string]any{"kind": "Pod", "name": pod, "uid": string(w.server.Get("Pod", pod).GetUID()), "fieldPath": "spec.containers{kubia}"}})
}

// Without a terminal each death is one line, with its cause, whether or not the container runs again.
func TestUpTellsEachDeathOnce(t *testing.T) {
	manifests(t)
	w := newWorld(t)
	r := w.start(t, "up", "-f", "rc.yaml", "--settle=0")
	r.err.await(t, "0/3 ready")
	comeUp(w.server)
	r.err.await(t, "3/3 ready\n")
	podEvent(w, "one", "kubia-x", "Warning", "Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500")
	podEvent(w, "two", "kubia-x", "Normal", "Killing", "Container kubia failed liveness probe, will be restarted")
	w.server.Change("Pod", "kubia-x", func(o map[string]any) { o["status"] = runAgain() })
	w.server.Change("Pod", "kubia-y", func(o map[string]any) { o["status"] = ends(1, "Running") })
	const probed = "pod/kubia-x: container kubia ended with exit code 137 (liveness probe failed: HTTP probe failed with statuscode: 500)\n"
	const failed = "pod/kubia-y: container kubia ended with exit code 1 (Error)\n"
	r.err.await(t, failed)
	r.err.await(t, "pod/kubia-x: container kubia ended with exit code 137")
	w.server.Change("Pod", "kubia-x", func(o map[string]any) { o["metadata"].(map[string]any)["labels"] = map[string]any{"seen": "again"} })
	standsStillOnInterrupt(t, w, r)
	if said := r.err.String(); strings.Count(said, probed) != 1 || strings.Count(said, failed) != 1 {
		t.Errorf("said\n%swant once each\n%s%s", said, probed, failed)
	}
}

func standsStillOnInterrupt(t *testing.T, w *world, r *running) {
	t.Helper()
	r.signals <- os.Interrupt
	r.err.await(t, "stopping\n")
	standsStill(w.server)
	r.ends(t, 130)
}

// What ends as a flag says ends everything, with its exit code.
func TestUpEndsWithAContainer(t *testing.T) {
	manifests(t)
	for _, test := range []struct {
		name   string
		args   []string
		status map[string]any
		code   int
		says   string
	}{
		{"the first failure", []string{"--abort-on-failure"}, ends(3, "Running"), 3, "Stopping everything: the exit code is that of container kubia in pod/kubia-y, 3.\n"},
		{"compose's name of it", []string{"--abort-on-container-failure"}, ends(3, "Running"), 3, "Stopping everything"},
		{"the first end", []string{"--abort-on-container-exit"}, ends(0, "Running"), 0, "container kubia in pod/kubia-y, 0.\n"},
		{"the end of one", []string{"--exit-code-from=rc/kubia"}, ends(42, "Running"), 42, "container kubia in pod/kubia-y, 42.\n"},
		{"the end of one by its name", []string{"--exit-code-from=kubia"}, ends(0, "Running"), 0, "container kubia in pod/kubia-y, 0.\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			r := w.start(t, append([]string{"up", "-f", "rc.yaml"}, test.args...)...)
			r.err.await(t, "0/3 ready")
			comeUp(w.server)
			r.err.await(t, "3/3 ready\n")
			w.server.Change("Pod", "kubia-y", func(o map[string]any) { o["status"] = test.status })
			r.err.await(t, "replicationcontroller/kubia: stopping\n")
			standsStill(w.server)
			r.ends(t, test.code)
			if !strings.Contains(r.err.String(), test.says) || !strings.Contains(r.err.String(), "Stopped; ") {
				t.Errorf("%q is missing in:\n%s", test.says, r.err)
			}
			rc := w.server.Get("ReplicationController", "kubia")
			if n, _, _ := unstructured.NestedInt64(rc.Object, "spec", "replicas"); n != 0 {
				t.Errorf("it has still %d replicas", n)
			}
		})
	}
}

// A failure to come up is one as well: everything is stopped, and the failure told.
func TestUpThatAbortsStopsAfterAFailure(t *testing.T) {
	manifests(t)
	w := newWorld(t)
	r := w.start(t, "up", "-f", "rc.yaml", "--abort-on-failure")
	r.err.await(t, "0/3 ready")
	w.server.Put(ownPod(w.server, "kubia-x", map[string]any{"phase": "Pending", "containerStatuses": []any{map[string]any{"name": "kubia", "image": "i", "imageID": "", "ready": false, "restartCount": int64(0),
		"state": map[string]any{"waiting": map[string]any{"reason": "ImagePullBackOff", "message": "no such image"}}}}}))
	r.err.await(t, "replicationcontroller/kubia: stopping\n")
	standsStill(w.server)
	r.ends(t, 1)
	if want := "error: pod/kubia-x cannot come up: ImagePullBackOff: no such image\n"; !strings.HasSuffix(r.err.String(), want) {
		t.Errorf("said\n%swant at its end\n%s", r.err, want)
	}
}

// --scale sets what the manifest does not.
func TestUpScales(t *testing.T) {
	manifests(t)
	w := newWorld(t)
	r := w.start(t, "up", "-f", "rc.yaml", "-d", "--scale", "kubia=5")
	r.err.await(t, "0/5 ready")
	r.signals <- os.Interrupt
	r.ends(t, 130)
}

// What already runs is left running by --no-start, and what is stopped stays so.
func TestUpNoStartLeavesWhatRuns(t *testing.T) {
	manifests(t)
	w := newWorld(t)
	if _, errOut, code := w.run(t.Context(), "apply", "-f", "rc.yaml"); code != 0 {
		t.Fatal(errOut)
	}
	if _, errOut, code := w.run(t.Context(), "up", "-f", "rc.yaml", "--no-start"); code != 0 || !strings.Contains(errOut, "replicationcontroller/kubia runs already, and is left running: skiff stop -f rc.yaml stops it\n") {
		t.Errorf("exit code %d, said\n%s", code, errOut)
	}
	replicas := func() int64 {
		n, _, _ := unstructured.NestedInt64(w.server.Get("ReplicationController", "kubia").Object, "spec", "replicas")
		return n
	}
	if n := replicas(); n != 3 {
		t.Errorf("it has %d replicas", n)
	}
	w.server.Change("ReplicationController", "kubia", func(o map[string]any) {
		o["spec"].(map[string]any)["replicas"] = int64(0)
		o["metadata"].(map[string]any)["annotations"].(map[string]any)["skiff/replicas"] = "3"
	})
	if _, errOut, code := w.run(t.Context(), "up", "-f", "rc.yaml", "--no-start"); code != 0 || replicas() != 0 {
		t.Errorf("exit code %d, %d replicas, said\n%s", code, replicas(), errOut)
	}
}

// --force-recreate replaces the pods of what has no rollouts, too.
func TestUpForceRecreate(t *testing.T) {
	manifests(t)
	w := newWorld(t)
	if _, errOut, code := w.run(t.Context(), "apply", "-f", "rc.yaml"); code != 0 {
		t.Fatal(errOut)
	}
	p := ownPod(w.server, "kubia-old", map[string]any{"phase": "Running"})
	p["metadata"].(map[string]any)["labels"] = map[string]any{"app": "kubia"}
	w.server.Put(p)
	r := w.start(t, "up", "-f", "rc.yaml", "-d", "--force-recreate")
	r.err.await(t, "replicationcontroller/kubia: all its pods are replaced\n")
	if w.server.Get("Pod", "kubia-old") != nil {
		t.Error("the pod of before is still there")
	}
	comeUp(w.server)
	r.ends(t, 0)
}
