package integration

import (
	"strings"
	"testing"

	"skiff/integration/harness"
)

// TestLittleMemory has a pod whose request is below what the engine accepts as a reservation, which
// runs, and one with such a limit, which says once why it does not.
func TestLittleMemory(t *testing.T) {
	t.Parallel()
	walkBoth(t, func(w walk) {
		little := func(name, resources string) string {
			return strings.TrimSuffix(kubia(name, ""), "\n") + "\n    resources: " + resources + "\n"
		}
		w.createFrom(little("modest", "{requests: {memory: 4Mi}}"))
		w.until(soon, "get pod modest", "NAME READY STATUS RESTARTS AGE\nmodest 1/1 Running 0 *")

		r := w.cli.Try(little("starved", "{limits: {memory: 4Mi}}"), "create", "-f", "-")
		if r.Code != 0 || !strings.Contains(r.Err, "resources.limits[memory]: the Docker Engine takes no limit below 6Mi") {
			w.Errorf("no warning: exit %d, %s", r.Code, r.Err)
		}
		w.until(soon, "get pod starved", "NAME READY STATUS RESTARTS AGE\nstarved 0/1 CreateContainerError 0 *")
		w.saysOnce("starved", "Failed", "Error: set memory limit 4194304 too low; should be at least 6291456 bytes")
	})
}

// saysOnce waits for an event of a pod, which must have happened once, and be the last.
func (w walk) saysOnce(pod, reason, message string) {
	w.Helper()
	var last string
	harness.Until(w.T, soon, pod+" has an event: "+message, func() bool {
		all := lines(w.cli.Do("describe", "pod", pod))
		last = all[len(all)-1]
		return strings.HasSuffix(last, message)
	})
	if words := strings.Fields(last); words[1] != reason || words[3] != "kubelet" {
		w.Errorf("the last event is %q, want one of reason %s", last, reason)
	}
}
