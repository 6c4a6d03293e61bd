// Package joblog keeps the ends of the logs of jobs' pods that are deleted: a job that has exceeded its
// deadline or its back-off limit has no pods any more, and its logs are what tells why it failed.
package joblog

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"skiff/orchestrator/node/internal/tail"
)

// What is kept at most. With its time, a line has at least 32 bytes.
const (
	MaxBytes = 256 << 10     // of a container's log
	MaxLines = MaxBytes / 32 // of a container's log
	maxLogs  = 8             // of a job, the newest
	maxJobs  = 64            // the newest
)

// ErrNone is the error where no log of a job has been kept.
var ErrNone = errors.New("no log has been kept")

// Keeper keeps logs as files, in a folder for each job. It is safe for concurrent use.
type Keeper struct {
	// Dir is made when the first log is kept.
	Dir string

	mu sync.Mutex
}

// Log is a container's log. Each of its lines begins with a time as RFC 3339 has it, and a space.
type Log struct {
	Pod, Container string
	Kept           time.Time
	path           string
}

// Keep keeps the end of what read writes. A log that is empty is not kept.
func (k *Keeper) Keep(job types.UID, pod, container string, read func(io.Writer) error) error {
	end := &tail.Buffer{Max: MaxBytes}
	if err := read(end); err != nil {
		return fmt.Errorf("reading the log of container %s of pod %s: %w", container, pod, err)
	}
	text := lines(end)
	if len(text) == 0 {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	dir, err := k.folder(job)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("keeping the logs of a job: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, pod+"."+container), text, 0o600); err != nil {
		return fmt.Errorf("keeping the log of a job: %w", err)
	}
	return errors.Join(keepNewest(dir, maxLogs), keepNewest(k.Dir, maxJobs))
}

// folder is a job's. UIDs come from objects and may be any text, a path as well.
func (k *Keeper) folder(job types.UID) (string, error) {
	name := string(job)
	if name == "." || !filepath.IsLocal(name) || filepath.Base(name) != name {
		return "", fmt.Errorf("%q is no UID of a job", name)
	}
	return filepath.Join(k.Dir, name), nil
}

// keepNewest removes all but the newest entries of a folder.
func keepNewest(dir string, most int) error {
	entries, err := byAge(dir)
	if err != nil {
		return err
	}
	for _, e := range entries[:max(0, len(entries)-most)] {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("removing old logs of jobs: %w", err)
		}
	}
	return nil
}

// byAge lists a folder, the oldest entry first.
func byAge(dir string) ([]fs.FileInfo, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing the logs of jobs: %w", err)
	}
	var out []fs.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil { // else it has just been removed
			out = append(out, info)
		}
	}
	slices.SortFunc(out, func(a, b fs.FileInfo) int {
		return cmp.Or(a.ModTime().Compare(b.ModTime()), strings.Compare(a.Name(), b.Name()))
	})
	return out, nil
}

// Logs are those kept of a job's pods, the newest last; ErrNone if there are none.
func (k *Keeper) Logs(job types.UID) ([]Log, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	dir, err := k.folder(job)
	if err != nil {
		return nil, err
	}
	files, err := byAge(dir)
	if err != nil {
		return nil, err
	}
	var out []Log
	for _, f := range files {
		// A container's name is a DNS label: it has no dots. A pod's may have.
		at := strings.LastIndexByte(f.Name(), '.')
		if at < 0 {
			continue // nothing that was kept here
		}
		out = append(out, Log{Pod: f.Name()[:at], Container: f.Name()[at+1:], Kept: f.ModTime(), path: filepath.Join(dir, f.Name())})
	}
	if len(out) == 0 {
		return nil, ErrNone
	}
	return out, nil
}

// Read is the log's text.
func (k *Keeper) Read(l Log) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	text, err := os.ReadFile(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNone
	}
	return text, err
}

// lines are the whole lines of what is left of a log: the first may have lost its beginning.
func lines(end *tail.Buffer) []byte {
	data, cut := end.Bytes()
	if at := bytes.IndexByte(data, '\n'); cut && at >= 0 {
		return data[at+1:]
	}
	return data
}
