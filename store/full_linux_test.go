package store

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// smallDisk is a file system of 2 MiB. Only root may make one.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m")
	if errors.Is(err, syscall.EPERM) {
		t.Skip("SKIPPED, only root can mount a file system")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
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

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// TestOpenOnAFullDisk: what was stored can be read, whether the last process closed the store or was
// killed, on a full disk as well; nothing can be written until there is room.
func TestOpenOnAFullDisk(t *testing.T) {
	for _, left := range [][]string{nil, {"", "-wal", "-shm"}, {"", "-wal"}} {
		dir := smallDisk(t)
		path := filepath.Join(dir, "skiff.db")
		f := openOnly(t, path)
		if err := f.inline(create("a", "x", "one"), create("a", "y", "two")); err != nil {
			t.Fatal(err)
		}
		before := f.Snapshot("things").show()
		if left != nil {
			// The files as they are now are what a process that is killed leaves behind.
			path = filepath.Join(dir, "killed.db")
			for _, suffix := range left {
				raw, err := os.ReadFile(filepath.Join(dir, "skiff.db") + suffix)
				if err == nil {
					err = os.WriteFile(path+suffix, raw, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		f.stop()
		for i := range 2 {
			filler := fillDisk(t, dir)
			f = openOnly(t, path)
			equal(t, "on a full disk", f.Snapshot("things").show(), before)
			if err := f.inline(create("a", "big", strings.Repeat("big ", pageSize))); err == nil || !strings.Contains(err.Error(), "full") {
				t.Errorf("error %v, want disk full", err)
			}
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			if err := f.inline(create("a", "room"+strconv.Itoa(i), "")); err != nil {
				t.Errorf("with room again: %v", err)
			}
			before = f.Snapshot("things").show()
			f.stop()
		}
	}
}
