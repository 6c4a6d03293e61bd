package watch

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/clock"
	testingclock "k8s.io/utils/clock/testing"
)

// follow runs a notifier for a folder.
func follow(t *testing.T, dir string, prunes func(string) bool) <-chan batch {
	t.Helper()
	n, err := newNotifier(clock.RealClock{}, []string{dir}, prunes)
	if err != nil {
		t.Fatal(err)
	}
	out := make(chan batch)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx, out) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return out
}

// patience is how long a test waits for what the system tells.
const patience = 20 * time.Second

// tells waits until all of the paths have been told of, and fails for one in a folder that is pruned.
func tells(t *testing.T, dir string, out <-chan batch, want ...string) {
	t.Helper()
	deadline := time.After(patience)
	missing := slices.Clone(want)
	for len(missing) > 0 {
		select {
		case b := <-out:
			if b.since.IsZero() {
				t.Error("a batch without a time")
			}
			for _, path := range b.paths {
				rel, _ := relative(dir, path)
				if strings.HasPrefix(rel, "node_modules/") {
					t.Errorf("%s was told of", rel)
				}
				missing = slices.DeleteFunc(missing, func(name string) bool { return name == rel })
			}
		case <-deadline:
			t.Fatalf("not told of %v", missing)
		}
	}
}

// TestNotifier: saves of all sorts are told.
func TestNotifier(t *testing.T) {
	dir := tree(t, "a", "sub/b", "gone", "node_modules/x")
	out := follow(t, dir, func(path string) bool { return filepath.Base(path) == "node_modules" })
	at := func(name string) string { return filepath.Join(dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write(t, at("sub/b"), "written in place")
	write(t, at("node_modules/x"), "nobody cares")
	tells(t, dir, out, "sub/b")
	for range 2 { // as editors do: the file is another one each time
		write(t, at(".a.tmp"), "renamed over")
		must(os.Rename(at(".a.tmp"), at("a")))
		tells(t, dir, out, "a")
	}
	must(os.Remove(at("gone")))
	tells(t, dir, out, "gone")
	write(t, at("new/deep/er"), "in folders that are new")
	tells(t, dir, out, "new/deep/er")
	write(t, at("new/deep/er"), "again")
	tells(t, dir, out, "new/deep/er")
	must(os.Rename(at("new"), at("other")))
	tells(t, dir, out, "new", "other/deep/er")
	must(os.RemoveAll(at("other")))
	tells(t, dir, out, "other/deep/er", "other")
}

// TestNotifierOfAFile: one that is named by itself is followed through replacements.
func TestNotifierOfAFile(t *testing.T) {
	dir := tree(t, "conf", "other")
	out := follow(t, filepath.Join(dir, "conf"), func(string) bool { return false })
	for range 2 {
		write(t, filepath.Join(dir, "conf.new"), "x")
		if err := os.Rename(filepath.Join(dir, "conf.new"), filepath.Join(dir, "conf")); err != nil {
			t.Fatal(err)
		}
		tells(t, dir, out, "conf")
	}
}

// TestDue: changes are told together, and none waits forever for the others to end.
func TestDue(t *testing.T) {
	clk := testingclock.NewFakeClock(time.Unix(1000, 0))
	n := &notifier{clock: clk, changed: map[string]bool{}}
	n.touch("a")
	if got := n.due().Sub(clk.Now()); got != quiet {
		t.Errorf("due after %s", got)
	}
	for range 100 {
		clk.Step(quiet / 2)
		n.touch("b")
	}
	if got := n.due().Sub(time.Unix(1000, 0)); got != longest {
		t.Errorf("due after %s of changes", got)
	}
	clear(n.changed)
	n.touch("c")
	if got := n.due().Sub(clk.Now()); got != quiet {
		t.Errorf("the next is due after %s", got)
	}
}
