package store

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/watch"
)

// onDisk shows the things as another program reads them.
func (f *fixture) onDisk() string {
	f.t.Helper()
	conn, err := connect(f.path, "mode=ro")
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() {
		if err := conn.Close(); err != nil {
			f.t.Error(err)
		}
	}()
	lines, err := queryText(conn, `SELECT coalesce(group_concat(line, ''), '') FROM (
		SELECT namespace || '/' || name || '@' || revision || ' ' || json_extract(object, '$.text') || char(10) AS line
		FROM objects WHERE resource = 'things' ORDER BY namespace, name)`)
	if err != nil {
		f.t.Fatal(err)
	}
	return lines
}

// fill makes the disk full: the file may grow by so many pages only.
func (f *fixture) fill(pages int) {
	f.t.Helper()
	now, err := queryInt(f.writer.db.conn, "PRAGMA page_count")
	if err != nil {
		f.t.Fatal(err)
	}
	f.text(fmt.Sprintf("PRAGMA max_page_count = %d", now+int64(pages)))
}

func TestDiskFull(t *testing.T) {
	f := openOnly(t, t.TempDir()+"/skiff.db")
	defer f.stop()
	big := strings.Repeat("big ", 10*pageSize)
	if err := f.inline(create("a", "x", "one"), create("a", "y", "two")); err != nil {
		t.Fatal(err)
	}
	w := f.watchSince(3)
	before := f.Snapshot("things").show()
	f.fill(4)
	for range 3 {
		err := f.inline(update("a", "x", "half", 2), create("a", "big", big))
		if err == nil || !strings.Contains(err.Error(), "full") {
			t.Fatalf("error %v, want disk full", err)
		}
		if err := f.Healthy(); err == nil || !strings.Contains(err.Error(), "full") {
			t.Errorf("healthy: %v, want disk full", err)
		}
		equal(t, "in memory", f.Snapshot("things").show(), before)
		equal(t, "on disk", f.onDisk(), before)
		equal(t, "index", show(f.ByIndex("things", "word", "half")...), "")
	}
	if f.Revision() != 3 {
		t.Errorf("revision %d, want 3", f.Revision())
	}
	if err := f.inline(update("a", "x", "small", 2)); err != nil {
		t.Errorf("what fits: %v", err)
	}
	f.text("PRAGMA max_page_count = 100000")
	if err := f.inline(create("a", "big", "fits now")); err != nil {
		t.Errorf("with room again: %v", err)
	}
	equal(t, "events", f.next(w), "MODIFIED a/x@4 small (was @2 one)\nADDED a/big@5 fits now\nat 5\n")
	equal(t, "on disk", f.onDisk(), f.Snapshot("things").show())
}

// In a batch too big for the disk, what fits alone gets through.
func TestDiskFullSpoilsNoOther(t *testing.T) {
	f := openOnly(t, t.TempDir()+"/skiff.db")
	defer f.stop()
	if err := f.inline(create("a", "x", "one"), create("a", "y", "two")); err != nil {
		t.Fatal(err)
	}
	f.fill(4)
	errs := make([]error, 3)
	batch, wait := f.begin(
		func() { _, errs[0] = f.Commit(t.Context(), create("a", "big", strings.Repeat("big ", 10*pageSize))) },
		func() { _, errs[1] = f.Commit(t.Context(), update("a", "x", "uno", 2)) },
		func() { _, errs[2] = f.Commit(t.Context(), remove("a", "y", 3)) },
	)
	f.writer.write(batch)
	wait()
	if errs[0] == nil || errs[1] != nil || errs[2] != nil {
		t.Errorf("errors %v", errs)
	}
	if o, _ := f.Get(thingKey("a", "x")); o.(*thing).Text != "uno" {
		t.Error("a/x was not updated")
	}
	equal(t, "on disk", f.onDisk(), f.Snapshot("things").show())
}

// Nobody sees what is not durable yet: here, what a transaction that then fails
// would have made.
func TestFailedCommitIsNeverSeen(t *testing.T) {
	f := openOnly(t, t.TempDir()+"/skiff.db")
	defer f.stop()
	f.fill(4)
	seen := make(chan error)
	go func() {
		events, _, err := f.watchSince(1).Next(t.Context())
		if err == nil && (len(events) != 1 || events[0].Type != watch.Added || events[0].Object.GetName() != "small") {
			err = fmt.Errorf("saw %s", showEvents(events))
		}
		seen <- err
	}()
	if err := f.inline(create("a", "big", strings.Repeat("big ", 10*pageSize))); err == nil {
		t.Fatal("no error")
	}
	if _, ok := f.Get(thingKey("a", "big")); ok {
		t.Error("what failed is there")
	}
	if err := f.inline(create("a", "small", "")); err != nil {
		t.Fatal(err)
	}
	if err := <-seen; err != nil {
		t.Error(err)
	}
}

// Somebody changes a row behind the store's back: writing over it is refused,
// other writes go on.
func TestForeignWrite(t *testing.T) {
	f := openOnly(t, t.TempDir()+"/skiff.db")
	defer f.stop()
	if err := f.inline(create("a", "x", "one"), create("a", "y", "two"), create("a", "z", "three")); err != nil {
		t.Fatal(err)
	}
	sql(t, f.path, "UPDATE objects SET revision = 77 WHERE name = 'x'", "DELETE FROM objects WHERE name = 'y'")
	for _, c := range []Change{update("a", "x", "", 2), remove("a", "x", 2), update("a", "y", "", 3)} {
		if err := f.inline(c); err == nil || !strings.Contains(err.Error(), "another program") {
			t.Errorf("%s: error %v", c.Key, err)
		}
	}
	if err := f.inline(update("a", "z", "drei", 4)); err != nil {
		t.Error(err)
	}
	equal(t, "things", f.Snapshot("things").show(), "a/x@2 one\na/y@3 two\na/z@5 drei\n")
}

// The disk is ahead of memory, as when an fsync failed whose data got there all the
// same: nothing is written any more until the restart, which takes the disk's
// word.
func TestDiskAhead(t *testing.T) {
	f := openOnly(t, t.TempDir()+"/skiff.db")
	if err := f.inline(create("a", "x", "one")); err != nil {
		t.Fatal(err)
	}
	sql(t, f.path, "UPDATE meta SET value = 9 WHERE key = 'revision'")
	for _, says := range []string{"another program", "restart skiff", "restart skiff"} {
		if err := f.inline(create("a", "y", "")); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v, want one saying %q", err, says)
		}
	}
	equal(t, "things", f.Snapshot("things").show(), "a/x@2 one\n")
	f = f.restart()
	f.must(create("a", "y", ""))
	equal(t, "things", f.Snapshot("things").show(), "a/x@2 one\na/y@10 \n")
}

// A writer that is locked out waits, and answers with an error in the end.
func TestLocked(t *testing.T) {
	f := openOnly(t, t.TempDir()+"/skiff.db")
	defer f.stop()
	other, err := connect(f.path, "mode=rw&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	tx, err := other.Begin()
	if err != nil {
		t.Fatal(err)
	}
	f.text("PRAGMA busy_timeout = 1")
	if err := f.inline(create("a", "x", "")); err == nil || !strings.Contains(err.Error(), "locked") {
		t.Errorf("error %v, want locked", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := f.inline(create("a", "x", "")); err != nil {
		t.Errorf("after the lock: %v", err)
	}
}
