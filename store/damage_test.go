package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sample makes a healthy database of several pages. Live is as a crash leaves it:
// with its content in the write-ahead log.
func sample(t *testing.T, live bool) (path string) {
	t.Helper()
	f := openOnly(t, filepath.Join(t.TempDir(), "skiff.db"))
	for i := range 40 {
		if err := f.inline(create("a", fmt.Sprintf("%02d", i), strings.Repeat("text ", 200))); err != nil {
			t.Fatal(err)
		}
	}
	if !live {
		f.stop()
		return f.path
	}
	defer f.stop()
	path = filepath.Join(t.TempDir(), "skiff.db")
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(f.path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+suffix, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// sql runs statements on the file behind the store's back.
func sql(t *testing.T, path string, statements ...string) {
	t.Helper()
	conn, err := connect(path, "mode=rwc")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		if _, err := conn.Exec(s, nil); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

// content is what must stay as it is: the database and its log. (The -shm file
// beside them is SQLite's scratch.)
func content(t *testing.T, path string) (all [2][]byte) {
	t.Helper()
	for i, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(path + suffix)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		all[i] = data
	}
	return all
}

func TestOpenRefuses(t *testing.T) {
	tests := []struct {
		name   string
		live   bool
		damage func(t *testing.T, path string)
		want   error
		says   string
	}{
		{"not a database", false, func(t *testing.T, path string) {
			write(t, path, func([]byte) []byte { return bytes.Repeat([]byte("hello "), 2000) })
		}, ErrCorrupt, "restore a backup, or move the file"},
		{"short text", false, func(t *testing.T, path string) {
			write(t, path, func([]byte) []byte { return []byte("hello") })
		}, ErrCorrupt, ""},
		{"half of it", false, func(t *testing.T, path string) {
			write(t, path, func(data []byte) []byte { return data[:len(data)/2] })
		}, ErrCorrupt, ""},
		{"one page less", false, func(t *testing.T, path string) {
			write(t, path, func(data []byte) []byte { return data[:len(data)-pageSize] })
		}, ErrCorrupt, ""},
		{"the first page only", false, func(t *testing.T, path string) {
			write(t, path, func(data []byte) []byte { return data[:pageSize] })
		}, ErrCorrupt, ""},
		{"a page of zeroes", false, func(t *testing.T, path string) {
			write(t, path, func(data []byte) []byte { clear(data[3*pageSize : 4*pageSize]); return data })
		}, ErrCorrupt, ""},
		{"emptied beside its log", true, func(t *testing.T, path string) {
			write(t, path, func([]byte) []byte { return nil })
		}, ErrCorrupt, "write-ahead log"},
		{"removed beside its log", true, func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, ErrCorrupt, "write-ahead log"},
		{"another program's", false, func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			sql(t, path, "CREATE TABLE places (url TEXT)", "PRAGMA user_version = 1")
		}, ErrForeign, "another program"},
		{"a newer skiff's", false, func(t *testing.T, path string) {
			sql(t, path, "PRAGMA user_version = 99")
		}, ErrNewerSchema, "schema 99, this skiff knows up to 1"},
		{"a newer skiff's, in the log", true, func(t *testing.T, path string) {
			conn, err := connect(path, "mode=rw")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() }) // open, lest SQLite empty the log
			if _, err := conn.Exec("PRAGMA user_version = 99", nil); err != nil {
				t.Fatal(err)
			}
		}, ErrNewerSchema, "schema 99, this skiff knows up to 1"},
		{"schema versions that differ", false, func(t *testing.T, path string) {
			sql(t, path, "UPDATE meta SET value = 2 WHERE key = 'schema'")
		}, ErrCorrupt, "1 here and 2 there"},
		{"no meta", false, func(t *testing.T, path string) {
			sql(t, path, "DROP TABLE meta")
		}, ErrCorrupt, "no such table"},
		{"no objects", false, func(t *testing.T, path string) {
			sql(t, path, "DROP TABLE objects")
		}, ErrCorrupt, "no such table"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := sample(t, test.live)
			test.damage(t, path)
			before := content(t, path)
			s, err := Open(options(t, path))
			if err == nil {
				t.Fatal("opened", s.Close())
			}
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want %v, saying %q", err, test.want, test.says)
			}
			if _, err := os.Stat(path + "-shm"); !test.live && !errors.Is(err, os.ErrNotExist) {
				t.Error("a file was made beside it")
			}
			if after := content(t, path); !bytes.Equal(before[0], after[0]) || !bytes.Equal(before[1], after[1]) {
				t.Error("the file was touched")
			}
		})
	}
}

// Rows that can't be what the store wrote: it says which object, so that a person
// can repair it.
func TestOpenRefusesRows(t *testing.T) {
	const one = " WHERE name = '07'"
	tests := map[string]string{
		`decode`:                       "UPDATE objects SET object = '{'" + one,
		`its JSON says it is "a/06"`:   "UPDATE objects SET object = (SELECT object FROM objects WHERE name = '06')" + one,
		`newer than the database's`:    "UPDATE objects SET revision = 1000" + one,
		`updated_at`:                   "UPDATE objects SET updated_at = 'yesterday'" + one,
		`column 5 is not text`:         "UPDATE objects SET object = x'00'" + one,
		`column 3 is not a positive`:   "UPDATE objects SET revision = -1" + one,
		`its revision is <nil>`:        "DELETE FROM meta WHERE key = 'revision'",
		`its revision is many`:         "UPDATE meta SET value = 'many' WHERE key = 'revision'",
		`things "a/07": its JSON says`: "UPDATE objects SET object = '{}'" + one,
	}
	for says, statement := range tests {
		t.Run(says, func(t *testing.T) {
			path := sample(t, false)
			sql(t, path, statement)
			s, err := Open(options(t, path))
			if err == nil {
				t.Fatal("opened", s.Close())
			}
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), says) {
				t.Errorf("error %v, want ErrCorrupt saying %q", err, says)
			}
		})
	}
}

// However short a file is cut, it is refused, never read in part.
func TestOpenTruncated(t *testing.T) {
	path := sample(t, false)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for size := 2; size < len(whole); size += 997 { // SQLite itself takes one byte for none
		write(t, path, func([]byte) []byte { return whole[:size] })
		s, err := Open(options(t, path))
		if err == nil {
			t.Fatal("opened at", size, s.Snapshot("things").Len(), s.Close())
		}
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut to %d bytes: %v", size, err)
		}
	}
}

func TestOpenElsewhere(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "missing", "skiff.db")} {
		s, err := Open(options(t, path))
		if err == nil {
			t.Fatal("opened", s.Close())
		}
		if errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), path) {
			t.Errorf("error %v", err)
		}
	}
}

// A log whose end was cut off by a crash is as if its last transaction had not
// been.
func TestOpenTornLog(t *testing.T) {
	path := sample(t, true)
	write(t, path+"-wal", func(data []byte) []byte { return data[:len(data)-10] })
	f := openOnly(t, path)
	defer f.stop()
	if n := f.Snapshot("things").Len(); n != 39 || f.Revision() != 40 {
		t.Errorf("%d things at %d, want 39 at 40", n, f.Revision())
	}
}

// A file that was made, but in which nothing was yet, is like none.
func TestOpenBegunFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "skiff.db")
	write(t, path, func([]byte) []byte { return nil })
	openOnly(t, path).stop()

	path = filepath.Join(t.TempDir(), "skiff.db")
	sql(t, path, "PRAGMA auto_vacuum = INCREMENTAL", "PRAGMA journal_mode = WAL")
	f := openOnly(t, path)
	defer f.stop()
	if err := f.inline(create("a", "x", "")); err != nil {
		t.Error(err)
	}
}
