package joblog

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

func write(text string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

func TestKeep(t *testing.T) {
	k := &Keeper{Dir: filepath.Join(t.TempDir(), "logs")}
	if _, err := k.Logs("u"); !errors.Is(err, ErrNone) {
		t.Errorf("before anything is kept: %v", err)
	}
	if err := k.Keep("u", "a.b", "main", write("2026-01-01T00:00:00Z hello\n")); err != nil {
		t.Fatal(err)
	}
	if err := k.Keep("u", "empty", "main", write("")); err != nil {
		t.Fatal(err)
	}
	logs, err := k.Logs("u")
	if err != nil || len(logs) != 1 || logs[0].Pod != "a.b" || logs[0].Container != "main" {
		t.Fatalf("%+v, %v", logs, err)
	}
	if text, err := k.Read(logs[0]); err != nil || string(text) != "2026-01-01T00:00:00Z hello\n" {
		t.Errorf("%q, %v", text, err)
	}
	failed := errors.New("no engine")
	if err := k.Keep("u", "c", "main", func(io.Writer) error { return failed }); !errors.Is(err, failed) || !strings.Contains(err.Error(), "container main of pod c") {
		t.Errorf("%v", err)
	}
}

// TestFolders: a UID is any text that somebody has written into a pod, and leads nowhere else.
func TestFolders(t *testing.T) {
	parent := t.TempDir()
	k := &Keeper{Dir: filepath.Join(parent, "logs")}
	for _, uid := range []types.UID{"", ".", "..", "../..", "a/b", "/etc"} {
		if err := k.Keep(uid, "p", "c", write("x\n")); err == nil {
			t.Errorf("a log of job %q is kept", uid)
		}
		if _, err := k.Logs(uid); err == nil {
			t.Errorf("a log of job %q is read", uid)
		}
	}
	if there, err := os.ReadDir(parent); err != nil || len(there) > 0 {
		t.Errorf("%v, %v", there, err)
	}
}

// TestBounds: of a long log the whole lines of its end are kept, of many pods the newest, and of many jobs
// the newest.
func TestBounds(t *testing.T) {
	k := &Keeper{Dir: t.TempDir()}
	var long strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&long, "2026-01-01T00:00:00Z line %05d\n", i)
	}
	if err := k.Keep("long", "p", "c", write(long.String())); err != nil {
		t.Fatal(err)
	}
	logs, err := k.Logs("long")
	if err != nil {
		t.Fatal(err)
	}
	text, err := k.Read(logs[0])
	if err != nil || len(text) > MaxBytes || len(text) < MaxBytes-100 || !strings.HasPrefix(string(text), "2026-") || !strings.HasSuffix(string(text), "line 19999\n") {
		t.Errorf("%d bytes, %.40q…, %v", len(text), text, err)
	}
	k.mu.Lock()
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(k.Dir, "long"), old, old); err != nil {
		t.Fatal(err)
	}
	k.mu.Unlock()
	for i := range maxLogs + 1 {
		if err := k.Keep("many", fmt.Sprintf("p%d", i), "c", write("x\n")); err != nil {
			t.Fatal(err)
		}
	}
	if logs, err := k.Logs("many"); err != nil || len(logs) != maxLogs || logs[len(logs)-1].Pod != fmt.Sprintf("p%d", maxLogs) {
		t.Errorf("%+v, %v", logs, err)
	}
	for i := range maxJobs {
		if err := k.Keep(types.UID(fmt.Sprint("job-", i)), "p", "c", write("x\n")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := k.Logs("long"); !errors.Is(err, ErrNone) {
		t.Errorf("the oldest job's log is still there: %v", err)
	}
}
