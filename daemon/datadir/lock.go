package datadir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"k8s.io/utils/clock"
)

// Lock is held while a daemon uses its data directory. The kernel releases it when the process
// ends, however it ends, so there are no stale locks.
type Lock struct{ file *os.File }

// HeldError says that another process uses the data directory.
type HeldError struct {
	dir Dir
	pid int
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("the data directory %s is in use by process %d (stop it with `skiff daemon stop`, or choose another directory with --data-dir)", e.dir, e.pid)
}

// How a file is locked: by one process alone, or by several that look.
const (
	exclusive = true
	shared    = false
)

// errHeld says that another process has a lock.
var errHeld = errors.New("locked by another process")

// tries is how often a lock that nobody seems to hold is requested: whoever looks for its holder
// holds it for a moment.
const tries = 20

// Acquire locks the data directory for this process, or returns a *HeldError.
func (d Dir) Acquire(ctx context.Context, clk clock.WithTicker) (*Lock, error) {
	f, err := os.OpenFile(d.lockFile(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock of the data directory: %w", err)
	}
	if err := lockFile(ctx, f, clk); err != nil {
		held := &HeldError{dir: d, pid: readPid(f)}
		f.Close()
		if errors.Is(err, errHeld) {
			return nil, held
		}
		return nil, fmt.Errorf("locking the data directory %s: %w", d, err)
	}
	if err := writeID(f, strconv.Itoa(os.Getpid())); err != nil {
		return nil, errors.Join(fmt.Errorf("writing this process's ID into the lock: %w", err), f.Close())
	}
	return &Lock{file: f}, nil
}

func lockFile(ctx context.Context, f *os.File, clk clock.WithTicker) error {
	tick := clk.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for n := 1; ; n++ {
		err := tryLock(f, exclusive)
		if !errors.Is(err, errHeld) || n == tries || alive(readPid(f)) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C():
		}
	}
}

// Release unlocks the directory. The file keeps its room on the disk, for the next process's ID.
func (l *Lock) Release() error {
	return errors.Join(writeID(l.file, ""), unlock(l.file), l.file.Close())
}

// Holder returns the ID of the process that holds the data directory, 0 when none does.
func (d Dir) Holder() (int, error) {
	f, err := os.OpenFile(d.lockFile(), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("opening the lock of the data directory: %w", err)
	}
	defer f.Close()
	// A shared lock, so that two processes that look do not take each other for the daemon.
	switch err := tryLock(f, shared); {
	case err == nil:
		return 0, unlock(f)
	case errors.Is(err, errHeld):
		return readPid(f), nil
	default:
		return 0, fmt.Errorf("looking at the lock of the data directory: %w", err)
	}
}

// writeID puts a process's ID into the lock, always in as many bytes: on a full disk there is room for
// those that are there already.
func writeID(f *os.File, id string) error {
	_, err := f.WriteAt(fmt.Appendf(nil, "%-*s\n", maxID, id), 0)
	return err
}

// maxID is how many digits a process's ID has at most: the kernel counts to 2^22, and no kernel
// beyond 2^31.
const maxID = 10

func readPid(f *os.File) int {
	raw, err := io.ReadAll(io.NewSectionReader(f, 0, 32))
	if err != nil {
		return -1
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return -1
	}
	return pid
}
