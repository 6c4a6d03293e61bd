package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// text gives what a query answers on the store's own connection.
func (f *fixture) text(query string) string {
	f.t.Helper()
	answer, err := queryText(f.writer.db.conn, query)
	if err != nil {
		f.t.Fatal(err)
	}
	return answer
}

// The settings that durability and size rest on.
func TestSettings(t *testing.T) {
	f := openOnly(t, filepath.Join(t.TempDir(), "skiff.db"))
	defer f.stop()
	for pragma, want := range map[string]string{
		"journal_mode":         "wal",
		"synchronous":          "2", // FULL
		"fullfsync":            "1",
		"checkpoint_fullfsync": "1",
		"auto_vacuum":          "2", // INCREMENTAL
		"page_size":            fmt.Sprint(pageSize),
		"wal_autocheckpoint":   fmt.Sprint(walPages),
		"journal_size_limit":   fmt.Sprint(2 * walPages * pageSize),
		"busy_timeout":         "5000",
		"application_id":       fmt.Sprint(applicationID),
		"user_version":         fmt.Sprint(len(migrations)),
	} {
		if got := f.text("PRAGMA " + pragma); got != want {
			t.Errorf("%s is %s, want %s", pragma, got, want)
		}
	}
	if got := f.text("SELECT value FROM meta WHERE key = 'schema'"); got != fmt.Sprint(len(migrations)) {
		t.Errorf("schema in meta is %s", got)
	}
}

// A person who looks with the sqlite3 shell understands what is there.
func TestReadable(t *testing.T) {
	f := open(t)
	f.must(create("a", "x", "hello"))
	const query = `SELECT resource || '|' || namespace || '|' || name || '|' || uid || '|' || revision || '|' || updated_at || '|' || typeof(object) || '|' || object FROM objects`
	equal(t, "row", f.text(query),
		`things|a|x|uid-0|2|2026-01-02T03:04:05.000Z|text|{"kind":"Thing","apiVersion":"v1","metadata":{"name":"x","namespace":"a","uid":"uid-0"},"text":"hello"}`)
	equal(t, "inside", f.text("SELECT json_extract(object, '$.text') FROM objects"), "hello")
}

// The file holds Secrets.
func TestFileMode(t *testing.T) {
	f := open(t)
	f.must(create("a", "x", ""))
	files, err := filepath.Glob(f.path + "*")
	if err != nil || len(files) != 3 {
		t.Fatalf("files %v, %v", files, err)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", file, info.Mode())
		}
	}
}

func TestRestart(t *testing.T) {
	f := open(t)
	f.must(create("a", "x", "one"), create("b", "y", `quotes ' " and ünïcödé`), create("a", "gone", ""))
	f.must(remove("a", "gone", 4))
	f = f.restart()
	if got := f.Revision(); got != 5 {
		t.Errorf("revision %d, want 5, the deletion's", got)
	}
	equal(t, "things", f.Snapshot("things").show(), "a/x@2 one\nb/y@3 quotes ' \" and ünïcödé\n")
	got := f.must(update("a", "x", "two", 2), create("a", "gone", "again"))
	if got[0] != 6 || got[1] != 7 {
		t.Errorf("revisions %v, want 6 and 7", got)
	}
	equal(t, "after another restart", f.restart().Snapshot("things").show(), "a/gone@7 again\na/x@6 two\nb/y@3 quotes ' \" and ünïcödé\n")
}

func TestOddPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a dir?x=1&y#%41 é")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	f := openAt(t, filepath.Join(dir, "skiff.db"))
	f.must(create("a", "x", ""))
	f = f.restart()
	equal(t, "things", f.Snapshot("things").show(), "a/x@2 \n")
	if _, err := os.Stat(filepath.Join(dir, "skiff.db")); err != nil {
		t.Error(err)
	}
}

// Migrations run in order, each once, each whole.
func TestMigrate(t *testing.T) {
	path := sample(t, false)
	released := migrations
	defer func() { migrations = released }()
	migrations = append(migrations[:1:1],
		"CREATE TABLE second (x); INSERT INTO second VALUES (2)",
		"CREATE TABLE third (x); INSERT INTO third SELECT x + 1 FROM second",
	)
	f := openOnly(t, path)
	equal(t, "third", f.text("SELECT x FROM third"), "3")
	equal(t, "version", f.text("PRAGMA user_version"), "3")
	if f.Snapshot("things").Len() != 40 {
		t.Error("things are gone")
	}
	f.stop()
	openOnly(t, path).stop() // a second time would make the tables twice

	migrations = append(migrations, "CREATE TABLE fourth (x)", "CREATE TABLE fifth (x); INSERT INTO nowhere VALUES (1)")
	s, err := Open(options(t, path))
	if err == nil {
		t.Fatal("opened", s.Close())
	}
	if !strings.Contains(err.Error(), "from version 4 to 5") || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("error %v", err)
	}
	migrations = migrations[:4]
	f = openOnly(t, path)
	defer f.stop()
	equal(t, "version", f.text("PRAGMA user_version"), "4")
	equal(t, "half-made tables", f.text("SELECT count(*) FROM sqlite_master WHERE name = 'fifth'"), "0")
}
