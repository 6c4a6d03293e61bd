//go:build cgo

package store

import (
	"errors"

	"github.com/mattn/go-sqlite3"
)

// alone keeps in memory what SQLite else keeps in a file beside the database (-shm), for which a full
// disk has no room. Other programs have to wait until this process has ended.
const alone = "&_locking_mode=EXCLUSIVE"

// openDriver opens a file by its URI.
func openDriver(uri string) (connection, error) {
	conn, err := (&sqlite3.SQLiteDriver{}).Open(uri)
	if err != nil {
		return nil, err
	}
	return conn.(*sqlite3.SQLiteConn), nil
}

// resultCode is SQLite's extended result code, 0 for an error of something else.
func resultCode(err error) int {
	var failure sqlite3.Error
	if !errors.As(err, &failure) {
		return 0
	}
	if failure.ExtendedCode != 0 {
		return int(failure.ExtendedCode)
	}
	return int(failure.Code)
}
