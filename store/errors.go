package store

import (
	"context"
	"errors"
	"fmt"
)

var (
	// ErrExists answers a create (Expect 0) of an object that exists.
	ErrExists = errors.New("already exists")
	// ErrNotFound answers an update or delete of an object that does not exist.
	ErrNotFound = errors.New("not found")
	// ErrExpired answers a watch or a snapshot of a revision that is no longer
	// in memory, or that this store never reached: the API's 410 Gone. List
	// again.
	ErrExpired = errors.New("revision expired")
	// ErrClosed answers a commit or a watch after the store has stopped.
	ErrClosed = errors.New("store is closed")

	// ErrCorrupt: Open met a file that is damaged. Its content was left as it was.
	ErrCorrupt = errors.New("database is damaged")
	// ErrForeign: Open met a database of another program. It was left as it was.
	ErrForeign = errors.New("database is not skiff's")
	// ErrNewerSchema: Open met a database that a newer skiff wrote. It was left
	// as it was.
	ErrNewerSchema = errors.New("database was written by a newer skiff")
)

// ErrConflict answers a change whose Expect is not the revision the object is
// at. Find it with errors.As.
type ErrConflict struct {
	Key Key
	// Have is the revision the object is at.
	Have uint64
}

func (e ErrConflict) Error() string {
	return fmt.Sprintf("%s has been changed: it is at revision %d", e.Key, e.Have)
}

// withdrawn: the commit was not begun, nothing is wrong with it.
func withdrawn(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrClosed)
}

// isFull reports whether an error of SQLite means that there is no room on the disk.
func isFull(err error) bool {
	code := resultCode(err)
	switch code {
	case codeShmOpen, codeShmSize, codeShmMap, codeWrite:
		return true
	}
	return code&primary == codeFull
}
