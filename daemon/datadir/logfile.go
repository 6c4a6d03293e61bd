package datadir

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// maxLog is the size in bytes at which a log is rotated; one rotated log is kept.
const maxLog = 8 << 20

// OpenLog opens the log for appending, and rotates it first when it is too large.
func (d Dir) OpenLog() (*os.File, error) {
	if info, err := os.Stat(d.LogFile()); err == nil && info.Size() > maxLog {
		if err := d.rotateFile(); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(d.LogFile(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the daemon's log: %w", err)
	}
	return f, nil
}

func (d Dir) oldLogFile() string { return d.LogFile() + ".1" }

func (d Dir) rotateFile() error {
	if err := os.Rename(d.LogFile(), d.oldLogFile()); err != nil {
		return fmt.Errorf("rotating the daemon's log: %w", err)
	}
	return nil
}

// rotating is a log that is rotated when it has grown past limit bytes. It keeps writing to the
// process's standard error, whose descriptor is pointed at the new file, so that a panic is found
// there too.
type rotating struct {
	dir   Dir
	limit int64
	// descriptors are what the process writes its log to.
	descriptors []int

	mu   sync.Mutex
	file *os.File
	size int64
}

// BackgroundLog is stderr itself or, if that is the data directory's log, a writer that rotates it.
func (d Dir) BackgroundLog(stderr io.Writer) io.Writer {
	f, ok := stderr.(*os.File)
	if !ok {
		return stderr
	}
	own, err := f.Stat()
	if err != nil {
		return stderr
	}
	if log, err := os.Stat(d.LogFile()); err != nil || !os.SameFile(own, log) {
		return stderr
	}
	return &rotating{dir: d, limit: maxLog, descriptors: []int{int(os.Stdout.Fd()), int(f.Fd())}, file: f, size: own.Size()}
}

// Write implements io.Writer. A log that cannot be rotated keeps growing, which is better than
// none.
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
		_, err = fmt.Fprintf(r.file, "the log was not rotated: %v\n", failed)
	}
	return n, err
}
