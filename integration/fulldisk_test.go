package integration

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"skiff/integration/harness"
)

// TestFullDisk has a daemon end and start again on a disk without a free byte: it serves what it
// has, leaves containers as they are, refuses writes and says what it needs.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); errors.Is(err, syscall.EPERM) {
		t.Skip("SKIPPED, only root can mount a small file system")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	d := harness.StartIn(t, dir)
	c := d.SkiffCLI()
	applyRC(t, c, "kubia", 2)
	before, pods := running(d), c.Do("get", "pods", "-o", "name")
	for name, end := range map[string]func(){"stopped": d.Stop, "killed": d.Kill} {
		end()
		filler := fillDisk(t, dir)
		d.Run()
		for _, cli := range d.CLIs() {
			if got := cli.Do("get", "pods", "-o", "name"); got != pods {
				t.Errorf("%s: pods %s, want %s", name, got, pods)
			}
			if r := cli.Try("", "create", "configmap", "new-"+name, "--from-literal=text="+strings.Repeat("x", 8<<10)); r.Code == 0 || !strings.Contains(r.Err, "disk is full") {
				t.Errorf("%s: create: exit code %d, %s", name, r.Code, r.Err)
			}
		}
		if r := c.Try("", "daemon", "status", "--data-dir", dir); !strings.Contains(r.Out, "is full") || !strings.Contains(r.Out, "free at least 8 MiB") {
			t.Errorf("%s: status: %s", name, r.Out)
		}
		if got := running(d); !slices.Equal(got, before) {
			t.Errorf("%s: %v run, before it was %v", name, got, before)
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		c.Do("create", "configmap", "room-"+name)
		awaitReady(t, c, "kubia", 2)
	}
}

// fillDisk leaves no byte free.
func fillDisk(t *testing.T, dir string) (filler string) {
	t.Helper()
	f, err := os.CreateTemp(dir, "filler")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(f, zeros{}); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the disk: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// zeros is a file without an end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
