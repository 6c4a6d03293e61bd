package daemon

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// maxLog is the size in bytes past which a log is put aside, in place of the one put aside before.
const maxLog = 8 << 20

func openLog(c Config) (*os.File, error) {
	if info, err := os.Stat(c.logFile()); err == nil && info.Size() > maxLog {
		if err := putAside(c); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(c.logFile(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the daemon's log: %w", err)
	}
	return f, nil
}

func putAside(c Config) error {
	if err := os.Rename(c.logFile(), c.logFile()+".1"); err != nil {
		return fmt.Errorf("putting the old log aside: %w", err)
	}
	return nil
}

// rotating is a log that is put aside when it has grown past limit bytes. It writes to the process's standard
// error all along, whose descriptor is pointed at the new file, so that a panic is found there too.
type rotating struct {
	config Config
	limit  int64
	// descriptors are what the process writes its log to.
	descriptors []int

	mu   sync.Mutex
	file *os.File
	size int64
}

// backgroundLog is stderr itself, unless that is the data directory's log: then one that does not grow without bound.
func backgroundLog(c Config, stderr io.Writer) io.Writer {
	f, ok := stderr.(*os.File)
	if !ok {
		return stderr
	}
	own, err := f.Stat()
	if err != nil {
		return stderr
	}
	if log, err := os.Stat(c.logFile()); err != nil || !os.SameFile(own, log) {
		return stderr
	}
	return &rotating{config: c, limit: maxLog, descriptors: []int{int(os.Stdout.Fd()), int(f.Fd())}, file: f, size: own.Size()}
}

// Write implements io.Writer. A log that can not be put aside grows on, which is better than none.
func (r *rotating) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var failed error
	if r.size >= r.limit {
		failed = r.rotate()
	}
	n, err := r.file.Write(p)
	r.size += int64(n)
	if failed != nil {
		r.size = 0 // not to be tried again with each line
		_, err = fmt.Fprintf(r.file, "the log was not put aside: %v\n", failed)
	}
	return n, err
}

func (r *rotating) rotate() error {
	if err := putAside(r.config); err != nil {
		return err
	}
	fresh, err := openLog(r.config)
	if err != nil {
		return err
	}
	defer fresh.Close()
	var errs []error
	for _, d := range r.descriptors {
		if err := unix.Dup2(int(fresh.Fd()), d); err != nil {
			errs = append(errs, fmt.Errorf("pointing descriptor %d at the new log: %w", d, err))
		}
	}
	r.size = 0
	return errors.Join(errs...)
}
