package datadir

import (
	"errors"

	"golang.org/x/sys/windows"
)

// FreeBytes is how much is free on the disk of a directory for this user.
func FreeBytes(dir string) (uint64, error) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	err = windows.GetDiskFreeSpaceEx(path, &free, nil, nil)
	return free, err
}

// noRoom reports whether a write failed because the disk is full.
func noRoom(err error) bool { return errors.Is(err, windows.ERROR_DISK_FULL) }
