//go:build !cgo

package store

import (
	"errors"

	"modernc.org/sqlite"
)

// alone is as it is with cgo: no -shm file.
const alone = "&_pragma=locking_mode(EXCLUSIVE)"

// openDriver opens a file by its URI. Like the driver for cgo, it waits for locks from the beginning.
func openDriver(uri string) (connection, error) {
	conn, err := (&sqlite.Driver{}).Open(uri + "&_busy_timeout=5000")
	if err != nil {
		return nil, err
	}
	return conn.(connection), nil
}

// resultCode is SQLite's extended result code, 0 for an error of something else.
func resultCode(err error) int {
	var failure *sqlite.Error
	if !errors.As(err, &failure) {
		return 0
	}
	return failure.Code()
}
