package docker

import (
	"testing"
	"time"
)

// TestEngineUsage: what is read from cgroups, where they can be, is what the engine tells.
func TestEngineUsage(t *testing.T) {
	b := newBench(t)
	running, ended := b.run("stubborn"), b.run("exit", "0")
	b.ended(ended)
	ask := func() map[string]Usage {
		t.Helper()
		found, err := b.Usage(t.Context(), []string{running, ended, "none"})
		check(t, err)
		if len(found) != 1 || found[running].CPU <= 0 || found[running].Memory <= 0 || time.Since(found[running].At) > time.Minute {
			t.Errorf("found %+v", found)
		}
		return found
	}
	direct := ask()
	b.cgroups.root, b.cgroups.proc = t.TempDir(), t.TempDir() // as if the engine were elsewhere
	b.cgroups.found.Store(nil)
	told := ask()
	if d := told[running].CPU - direct[running].CPU; d < 0 || d > time.Second {
		t.Errorf("read %s, told %s", direct[running].CPU, told[running].CPU)
	}
	const mib = 1 << 20
	if d := told[running].Memory - direct[running].Memory; d > 4*mib || d < -4*mib {
		t.Errorf("read %d bytes, told %d", direct[running].Memory, told[running].Memory)
	}
	if _, ok := b.MachineUsage(t.Context()); ok {
		t.Error("another machine's usage is told")
	}
}
