//go:build unix

package datadir

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// rotate puts the log aside and points the descriptors at a new one.
func (r *rotating) rotate() error {
	if err := r.dir.rotateFile(); err != nil {
		return err
	}
	fresh, err := r.dir.OpenLog()
	if err != nil {
		return err
	}
	defer fresh.Close()
	var errs []error
	for _, target := range r.descriptors {
		if err := unix.Dup2(int(fresh.Fd()), target); err != nil {
			errs = append(errs, fmt.Errorf("pointing descriptor %d at the new log: %w", target, err))
		}
	}
	r.size = 0
	return errors.Join(errs...)
}
