package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

const advice = "restore a backup, or move the file and those named like it with -wal and -shm away to begin with nothing"

// inspect looks at the file without changing a byte of it and gives its schema
// version; 0: there is nothing yet.
func inspect(path string) (int, error) {
	size, err := sizeOf(path)
	if err != nil {
		return 0, err
	}
	wal, err := sizeOf(path + "-wal")
	if err != nil {
		return 0, err
	}
	if size == 0 && wal > 0 {
		return 0, fmt.Errorf("%w: the file is empty or gone, its write-ahead log (-wal) is not: %s", ErrCorrupt, advice)
	}
	if size == 0 {
		return 0, nil
	}
	// Without a log the file is complete in itself, and immutable keeps SQLite
	// from making lock files beside it.
	parameters := "mode=ro"
	if wal == 0 {
		parameters += "&immutable=1"
	}
	version, err := examineFile(path, parameters)
	if isFull(err) {
		version, err = examineFile(path, "mode=rw"+alone)
	}
	return version, damage(err)
}

func examineFile(path, parameters string) (int, error) {
	conn, err := connect(path, parameters)
	if err != nil {
		return 0, err
	}
	version, err := examine(conn)
	return version, errors.Join(err, conn.Close())
}

func examine(conn connection) (int, error) {
	version, fresh, err := identify(conn)
	if err != nil || fresh {
		return 0, err
	}
	if version > len(migrations) {
		return 0, fmt.Errorf("%w: it has schema %d, this skiff knows up to %d: use the newer skiff, or another --data-dir", ErrNewerSchema, version, len(migrations))
	}
	if result, err := queryText(conn, "PRAGMA quick_check(1)"); err != nil {
		return 0, err
	} else if result != "ok" {
		return 0, fmt.Errorf("%w: %s: %s", ErrCorrupt, result, advice)
	}
	schema, err := queryInt(conn, "SELECT value FROM meta WHERE key = 'schema'")
	if err != nil {
		return 0, fmt.Errorf("%w: %w: %s", ErrCorrupt, err, advice)
	}
	if err := query(conn, "SELECT resource, namespace, name, revision, updated_at, object FROM objects LIMIT 0", nil); err != nil {
		return 0, fmt.Errorf("%w: %w: %s", ErrCorrupt, err, advice)
	}
	if version < 1 || int64(version) != schema {
		return 0, fmt.Errorf("%w: its schema is %d here and %d there: %s", ErrCorrupt, version, schema, advice)
	}
	return version, nil
}

// identify tells whose database it is. Fresh is one that was cut off before
// anything was in it.
func identify(conn connection) (version int, fresh bool, err error) {
	var answers [3]int64
	for i, sql := range []string{"PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master"} {
		if answers[i], err = queryInt(conn, sql); err != nil {
			return 0, false, err
		}
	}
	if answers == [3]int64{} {
		return 0, true, nil
	}
	if answers[0] != applicationID {
		return 0, false, fmt.Errorf("%w: it belongs to another program (application_id %d): use another --data-dir", ErrForeign, answers[0])
	}
	return int(answers[1]), false, nil
}

// damage tells SQLite's errors about the file's content from others.
func damage(err error) error {
	switch resultCode(err) & primary {
	case codeCorrupt, codeNotADatabase:
		return fmt.Errorf("%w: %w: %s", ErrCorrupt, err, advice)
	}
	return err
}

// sizeOf is 0 for a file that isn't there.
func sizeOf(path string) (int64, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, nil
	case err != nil:
		return 0, err
	case !info.Mode().IsRegular():
		return 0, fmt.Errorf("%s is not a regular file", path)
	}
	return info.Size(), nil
}

// makeFile makes the file before SQLite does: it holds Secrets, so nobody else may
// read it. SQLite gives the files beside it the same mode.
func makeFile(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return file.Close()
}
