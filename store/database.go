package store

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"
)

const (
	pageSize = 4096
	// walPages is how far the write-ahead log grows before the committing
	// transaction brings it over into the database: larger makes that rarer,
	// smaller makes it shorter.
	walPages = 2000
	// busyTimeout is how long a transaction waits for someone else who has the
	// file locked, a person with the sqlite3 shell.
	busyTimeout = 5 * time.Second
	// shrinkPages is how many free pages one upkeep gives back at most, and
	// spareFree the part of the file (one in so many pages) that may stay free.
	shrinkPages = 2000
	spareFree   = 4
)

// database is the SQLite file. Its connection is the only one and belongs to the
// writer; database/sql's pool would have nothing to do.
type database struct {
	conn connection
	path string

	begin, commit, rollback, insert, update, remove, advance, current statement

	// doubtful: a transaction failed, so what the disk holds must be asked before
	// the next.
	doubtful bool
}

// openDatabase opens the file at path after having made sure, without touching
// it, that it can be trusted, and brings its schema up to date.
func openDatabase(path string, now time.Time) (*database, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	version, err := inspect(path)
	if err != nil {
		return nil, err
	}
	if err := makeFile(path); err != nil {
		return nil, err
	}
	db, err := prepareDatabase(path, "mode=rw&_txlock=immediate", version, now)
	if isFull(err) {
		db, err = prepareDatabase(path, "mode=rw&_txlock=immediate"+alone, version, now)
	}
	return db, err
}

func prepareDatabase(path, parameters string, version int, now time.Time) (*database, error) {
	conn, err := connect(path, parameters)
	if err != nil {
		return nil, err
	}
	db := &database{conn: conn, path: path}
	for _, step := range []func() error{
		func() error { return db.configure(version == 0) },
		func() error { return migrate(conn, version, now) },
		db.prepare,
	} {
		if err := step(); err != nil {
			return nil, errors.Join(err, db.close())
		}
	}
	return db, nil
}

// connect opens the SQLite file at an absolute path.
func connect(path, parameters string) (connection, error) {
	// On Windows it is file:///C:/… (https://sqlite.org/uri.html, "The URI Path").
	path = "/" + strings.TrimPrefix(filepath.ToSlash(path), "/")
	name := url.URL{Scheme: "file", Path: path, RawQuery: parameters}
	conn, err := openDriver(name.String())
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return conn, nil
}

// configure sets what is the connection's, and on a new file what is the file's.
func (db *database) configure(fresh bool) error {
	if fresh {
		if _, err := db.conn.Exec("PRAGMA auto_vacuum = INCREMENTAL", nil); err != nil {
			return fmt.Errorf("set auto_vacuum: %w", err)
		}
	}
	for _, pragma := range []struct{ name, value, answer string }{
		{"busy_timeout", fmt.Sprint(busyTimeout.Milliseconds()), ""},
		{"journal_mode", "WAL", "wal"},
		{"synchronous", "FULL", ""},
		{"fullfsync", "ON", ""}, // macOS: fsync alone leaves data in the drive
		{"checkpoint_fullfsync", "ON", ""},
		{"wal_autocheckpoint", fmt.Sprint(walPages), ""},
		{"journal_size_limit", fmt.Sprint(2 * walPages * pageSize), ""},
	} {
		answer, err := queryText(db.conn, "PRAGMA "+pragma.name+" = "+pragma.value)
		if err != nil {
			return fmt.Errorf("set %s: %w", pragma.name, err)
		}
		if pragma.answer != "" && answer != pragma.answer {
			return fmt.Errorf("set %s: SQLite answers %q, not %q: does this file system have shared memory?", pragma.name, answer, pragma.answer)
		}
	}
	return nil
}

func (db *database) prepare() error {
	for _, s := range []struct {
		to  *statement
		sql string
	}{
		{&db.begin, "BEGIN IMMEDIATE"},
		{&db.commit, "COMMIT"},
		{&db.rollback, "ROLLBACK"},
		{&db.insert, "INSERT INTO objects (revision, uid, updated_at, object, resource, namespace, name) VALUES (?, ?, ?, ?, ?, ?, ?)"},
		{&db.update, "UPDATE objects SET revision = ?, uid = ?, updated_at = ?, object = ? WHERE resource = ? AND namespace = ? AND name = ? AND revision = ?"},
		{&db.remove, "DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ? AND revision = ?"},
		{&db.advance, "UPDATE meta SET value = ? WHERE key = 'revision' AND value = ?"},
		{&db.current, "SELECT value FROM meta WHERE key = 'revision'"},
	} {
		stmt, err := db.conn.Prepare(s.sql)
		if err != nil {
			return fmt.Errorf("prepare %q: %w", s.sql, err)
		}
		*s.to = stmt
	}
	return nil
}

// write makes a draft durable, which takes the database from revision `from` to
// the draft's. On an error nothing has changed.
func (db *database) write(d *draft, from uint64, now time.Time) error {
	if db.doubtful {
		if err := db.resume(from); err != nil {
			return err
		}
	}
	if err := execute(db.begin, 0); err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	err := db.fill(d, from, now)
	if err == nil {
		err = execute(db.commit, 0)
	}
	if err == nil {
		return nil
	}
	db.doubtful = true
	if isFull(err) {
		err = fmt.Errorf("%w: make room on the disk of %s", err, db.path)
	}
	return fmt.Errorf("write transaction: %w", errors.Join(err, db.abort()))
}

// resume asks, after a failure, whether the disk is where memory is.
func (db *database) resume(want uint64) error {
	have, err := db.revision()
	if err != nil {
		return fmt.Errorf("the last transaction failed, and the database cannot be read: %w", err)
	}
	if have != want {
		return fmt.Errorf("the last transaction failed, and left the database at revision %d, memory at %d: restart skiff", have, want)
	}
	db.doubtful = false
	return nil
}

func (db *database) fill(d *draft, from uint64, now time.Time) error {
	updated := now.UTC().Format(timeFormat)
	for i, c := range d.rows {
		if err := db.put(c, d.numbers[i], updated); err != nil {
			return fmt.Errorf("%s: %w", c.key, err)
		}
	}
	if err := execute(db.advance, 1, int64(d.revision), int64(from)); err != nil {
		return fmt.Errorf("advance revision: %w", err)
	}
	return nil
}

func (db *database) put(c change, revision uint64, updated string) error {
	k, uid := c.key, string(c.object.GetUID())
	switch {
	case c.deletion:
		return execute(db.remove, 1, k.Resource, k.Namespace, k.Name, int64(c.expect))
	case c.expect == 0:
		return execute(db.insert, 1, int64(revision), uid, updated, c.json, k.Resource, k.Namespace, k.Name)
	default:
		return execute(db.update, 1, int64(revision), uid, updated, c.json, k.Resource, k.Namespace, k.Name, int64(c.expect))
	}
}

// abort rolls back. SQLite may have done so itself, as on a full disk, and then says that there is
// nothing to roll back.
func (db *database) abort() error {
	if err := execute(db.rollback, 0); err != nil && !strings.Contains(err.Error(), "no transaction is active") {
		return fmt.Errorf("roll back: %w", err)
	}
	return nil
}

// shrink gives free pages back to the file system, when they are many.
func (db *database) shrink() error {
	pages, err := queryInt(db.conn, "PRAGMA page_count")
	if err != nil {
		return err
	}
	free, err := queryInt(db.conn, "PRAGMA freelist_count")
	if err != nil {
		return err
	}
	if free <= pages/spareFree {
		return nil
	}
	return query(db.conn, fmt.Sprintf("PRAGMA incremental_vacuum(%d)", shrinkPages), func([]driver.Value) error { return nil })
}

func (db *database) revision() (uint64, error) {
	value, err := one(db.current.Query(nil))
	if err != nil {
		return 0, fmt.Errorf("read revision: %w", err)
	}
	revision, ok := value.(int64)
	if !ok || revision < 1 {
		return 0, fmt.Errorf("%w: its revision is %v", ErrCorrupt, value)
	}
	return uint64(revision), nil
}

func (db *database) close() error {
	var errs []error
	for _, stmt := range []statement{db.begin, db.commit, db.rollback, db.insert, db.update, db.remove, db.advance, db.current} {
		if stmt != nil {
			errs = append(errs, stmt.Close())
		}
	}
	return errors.Join(append(errs, db.conn.Close())...)
}
