package develop

import (
	"strings"
	"testing"
)

// TestCheck: what takes an image of its own is refused without one.
func TestCheck(t *testing.T) {
	err := Check([]Subject{{Service: "db", Rules: []Rule{{Path: "/x", Action: Rebuild}, {Path: "/y", Action: Sync}, {Path: "/z", Action: SyncRestart}}}})
	if err == nil || strings.Count(err.Error(), "\n") != 1 || !strings.Contains(err.Error(), "db: changes of ") {
		t.Error(err)
	}
}
