package datadir

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// rotate copies the log aside and empties it: a file that a process has open keeps its name on Windows,
// and there are no descriptors to point elsewhere. What is written next is appended to what is then
// the beginning.
func (r *rotating) rotate() error {
	if err := copyFile(r.dir.LogFile(), r.dir.oldLogFile()); err != nil {
		return fmt.Errorf("rotating the daemon's log: %w", err)
	}
	if err := os.Truncate(r.dir.LogFile(), 0); err != nil {
		return fmt.Errorf("rotating the daemon's log: %w", err)
	}
	r.size = 0
	return nil
}

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}
