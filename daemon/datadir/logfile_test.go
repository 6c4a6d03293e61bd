package datadir

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestLogIsRotated writes more than the log may hold: its end is in the log, what came before in
// the rotated one.
func TestLogIsRotated(t *testing.T) {
	d := testDir(t)
	f, err := d.OpenLog()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := d.BackgroundLog(f).(*rotating)
	w.limit, w.descriptors = 20, []int{int(f.Fd())}
	for i := range 5 {
		if _, err := fmt.Fprintf(w, "line %d\n", i); err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string]string{d.LogFile(): "line 3\nline 4\n", d.LogFile() + ".1": "line 0\nline 1\nline 2\n"} {
		if got, err := os.ReadFile(file); string(got) != want || err != nil {
			t.Errorf("%s: %q, %v", file, got, err)
		}
	}
}

func TestOnlyTheOwnLogIsRotated(t *testing.T) {
	d := testDir(t)
	var buffer strings.Builder
	if w := d.BackgroundLog(&buffer); w != &buffer {
		t.Errorf("a stream: %T", w)
	}
	other, err := os.Create(d.LogFile() + ".other")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if w := d.BackgroundLog(other); w != other {
		t.Errorf("another file: %T", w)
	}
}
