package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/utils/clock"
)

// lock is held for as long as a daemon uses its data directory. The kernel lets go of it when the process ends, however it
// ends, so there is no stale lock to clear away.
type lock struct{ file *os.File }

// heldError says that another process uses the data directory.
type heldError struct {
	dir string
	pid int
}

func (e *heldError) Error() string {
	return fmt.Sprintf("the data directory %s is in use by process %d (stop it with `skiff daemon stop`, or choose another directory with --data-dir)", e.dir, e.pid)
}

// tries is how often a lock that nobody seems to hold is asked for: whoever looks for its holder holds it for a moment.
const tries = 20

// acquire takes the data directory for this process, or returns a *heldError.
func acquire(ctx context.Context, c Config, clk clock.WithTicker) (*lock, error) {
	f, err := os.OpenFile(c.lockFile(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock of the data directory: %w", err)
	}
	if err := lockFile(ctx, f, clk); err != nil {
		held := &heldError{dir: c.DataDir, pid: readPid(f)}
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, held
		}
		return nil, fmt.Errorf("locking the data directory %s: %w", c.DataDir, err)
	}
	if err := writePid(f); err != nil {
		return nil, errors.Join(fmt.Errorf("writing this process's ID into the lock: %w", err), f.Close())
	}
	return &lock{file: f}, nil
}

func lockFile(ctx context.Context, f *os.File, clk clock.WithTicker) error {
	tick := clk.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for n := 1; ; n++ {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) || n == tries || alive(readPid(f)) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C():
		}
	}
}

// alive tells whether there is a process of that ID.
func alive(pid int) bool { return pid > 0 && !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

func (l *lock) release() error {
	return errors.Join(l.file.Truncate(0), l.file.Close())
}

// holder returns the ID of the process that holds the data directory, 0 when none does.
func holder(c Config) (int, error) {
	f, err := os.OpenFile(c.lockFile(), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("opening the lock of the data directory: %w", err)
	}
	defer f.Close()
	// A shared lock, so that two who look do not take each other for the daemon.
	switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); {
	case err == nil:
		return 0, nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		return readPid(f), nil
	default:
		return 0, fmt.Errorf("looking at the lock of the data directory: %w", err)
	}
}

func writePid(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

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
