package node

import (
	"errors"
	"testing"
	"time"

	"k8s.io/utils/ptr"
)

// A pod that is deleted without a grace period is gone from the API at once; its node is done with
// it when its containers are removed.
func TestRunningPodsOutliveTheirObjects(t *testing.T) {
	inWorld(t, func(w *world) {
		w.pod("kubia", onePod)
		want := func(when string, n int) {
			t.Helper()
			if got := w.agent.RunningPods(); len(got) != n || n > 0 && (got[0].Name != "kubia" || got[0].Namespace != "default" || got[0].UID == "") {
				t.Errorf("%s: %v, want %d", when, got, n)
			}
		}
		want("running", 1)
		w.engine.Fail("remove", errors.New("device or resource busy"))
		w.delete("kubia", ptr.To[int64](0))
		if w.exists("kubia") {
			t.Error("the object is still there")
		}
		want("the engine cannot remove it yet", 1)
		w.engine.Fail("remove", nil)
		w.pass(time.Minute)
		w.wantContainers("")
		want("removed", 0)
	})
}
