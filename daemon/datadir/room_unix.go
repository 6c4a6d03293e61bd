//go:build unix

package datadir

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// FreeBytes is how much is free on the disk of a directory for this user.
func FreeBytes(dir string) (uint64, error) {
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		return 0, err
	}
	return disk.Bavail * uint64(disk.Bsize), nil
}

// noRoom reports whether a write failed because the disk is full.
func noRoom(err error) bool { return errors.Is(err, syscall.ENOSPC) }
