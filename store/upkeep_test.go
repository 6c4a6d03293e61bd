package store

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	testclock "k8s.io/utils/clock/testing"
)

func withTTL(o *Options) { o.TTL = map[string]time.Duration{"things": time.Hour} }

func TestTTL(t *testing.T) {
	f := open(t, withTTL)
	f.must(create("a", "old", "one"), create("a", "touched", ""), Change{Key: Key{"others", "a", "x"}, Object: newThing("a", "x", "")})
	f.clock.Step(30 * time.Minute)
	f.must(update("a", "touched", "again", 3))
	w := f.watchSince(5)
	f.clock.Step(30 * time.Minute) // the ticker fires
	equal(t, "the store's own deletion", f.next(w), "DELETED a/old@6 one (was @2 one)\nat 6\n")
	if f.Snapshot("others").Len() != 1 {
		t.Error("a resource without TTL was pruned")
	}
}

// The age outlives a restart.
func TestTTLAfterRestart(t *testing.T) {
	f := openOnly(t, t.TempDir()+"/skiff.db", withTTL)
	if err := f.inline(create("a", "x", "")); err != nil {
		t.Fatal(err)
	}
	f.stop()
	later := testclock.NewFakeClock(epoch.Add(59 * time.Minute))
	f = openOnly(t, f.path, withTTL, func(o *Options) { o.Clock = later })
	defer f.stop()
	for _, want := range []string{"a/x@2 \n", ""} {
		f.writer.tick()
		f.writer.prune()
		equal(t, later.Now().String(), f.Snapshot("things").show(), want)
		later.Step(time.Minute)
	}
}

func TestTTLOfMany(t *testing.T) {
	f := openOnly(t, t.TempDir()+"/skiff.db", withTTL)
	defer f.stop()
	var changes []Change
	for i := range 2*pruneBatch + 10 {
		changes = append(changes, create("a", fmt.Sprint(i), ""))
	}
	if err := f.inline(changes...); err != nil {
		t.Fatal(err)
	}
	f.clock.Step(time.Hour)
	f.writer.tick()
	if err := f.inline(update("a", "500", "touched meanwhile", 502)); err != nil {
		t.Fatal(err)
	}
	for left := 2*pruneBatch + 10; f.Snapshot("things").Len() > 1; left = f.Snapshot("things").Len() {
		<-f.writer.upkeep.more()
		f.writer.prune()
		if pruned := left - f.Snapshot("things").Len(); pruned < 1 || pruned > pruneBatch {
			t.Fatalf("%d pruned at once", pruned)
		}
	}
	if f.writer.upkeep.more() != nil {
		t.Error("more to prune")
	}
	equal(t, "things", f.Snapshot("things").show(), "a/500@524 touched meanwhile\n")
	equal(t, "on disk", f.onDisk(), "a/500@524 touched meanwhile\n")
}

func TestTTLMustBePositive(t *testing.T) {
	o := options(t, t.TempDir()+"/skiff.db")
	o.TTL = map[string]time.Duration{"things": 0}
	if s, err := Open(o); err == nil {
		t.Error("opened", s.Close())
	}
}

func TestOldEventsAreDropped(t *testing.T) {
	f := openOnly(t, t.TempDir()+"/skiff.db")
	defer f.stop()
	minute := func() {
		f.clock.Step(upkeepEvery)
		f.writer.tick()
	}
	put := func(name string) {
		if err := f.inline(create("a", name, "")); err != nil {
			t.Fatal(err)
		}
	}
	put("0")
	idle := f.watchSince(2)
	minute()
	put("1")
	minute()
	put("2")
	for range 4 {
		minute()
	}
	// The tick behind "0" is five minutes ago, that behind "1" four.
	if _, err := f.Watch(t.Context(), "things", 1); !errors.Is(err, ErrExpired) {
		t.Errorf("since 1: error %v, want expired", err)
	}
	equal(t, "since 2", f.next(f.watchSince(2)), "ADDED a/1@3 \nADDED a/2@4 \nat 4\n")
	equal(t, "the idle watch", f.next(idle), "ADDED a/1@3 \nADDED a/2@4 \nat 4\n")
	for range 20 {
		minute()
	}
	if n := len(f.logs["things"].events); n != 0 {
		t.Errorf("%d events kept", n)
	}
	if n := len(f.writer.upkeep.marks); n > 10 {
		t.Errorf("%d marks kept", n)
	}
	put("3")
	equal(t, "one that has read all", f.next(idle), "ADDED a/3@5 \nat 5\n")
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// The file shrinks when much was deleted, and updates don't make it grow.
func TestFileSize(t *testing.T) {
	f := openOnly(t, t.TempDir()+"/skiff.db", noIndex)
	defer f.stop()
	text := func(n int) string { return strings.Repeat(fmt.Sprintf("%04d ", n), 2000) } // SQLite writes only what differs
	const things = 200
	change := func(of func(i int) Change) {
		var changes []Change
		for i := range things {
			changes = append(changes, of(i))
		}
		if err := f.inline(changes...); err != nil {
			t.Fatal(err)
		}
	}
	change(func(i int) Change { return create("a", fmt.Sprint(i), text(0)) })
	for round := range 30 { // 60 MB in all
		change(func(i int) Change { return update("a", fmt.Sprint(i), text(1+round), uint64(2+round*things+i)) })
	}
	if n, most := size(t, f.path), int64(4*things*len(text(0))/2); n > most {
		t.Errorf("the file has %d bytes, want %d at most", n, most)
	}
	if n, most := size(t, f.path+"-wal"), int64(2*walPages*pageSize); n > most {
		t.Errorf("the log has %d bytes, want %d at most", n, most)
	}
	change(func(i int) Change { return remove("a", fmt.Sprint(i), uint64(2+30*things+i)) })
	before := f.text("PRAGMA page_count")
	f.writer.tick()
	f.text("PRAGMA wal_checkpoint")
	if n := size(t, f.path); n > 100*1024 {
		t.Errorf("the empty file has %d bytes, %s pages before", n, before)
	}
}

// Somebody reading for long holds the log's end back; it becomes small again
// afterwards.
func TestLogSize(t *testing.T) {
	f := openOnly(t, t.TempDir()+"/skiff.db", noIndex)
	defer f.stop()
	revision := uint64(2)
	if err := f.inline(create("a", "x", "")); err != nil {
		t.Fatal(err)
	}
	write := func(times int) {
		for range times {
			text := strings.Repeat(fmt.Sprintf("%04d", revision), 250*pageSize)
			if err := f.inline(update("a", "x", text, revision)); err != nil {
				t.Fatal(err)
			}
			revision++
		}
	}
	reader, err := connect(f.path, "mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Begin(); err != nil {
		t.Fatal(err)
	}
	if _, err := queryText(reader, "SELECT count(*) FROM objects"); err != nil {
		t.Fatal(err)
	}
	const limit = 2 * walPages * pageSize
	write(20)
	if n := size(t, f.path+"-wal"); n < limit {
		t.Fatalf("the log has only %d bytes: the reader holds nothing back", n)
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	write(3)
	if n := size(t, f.path+"-wal"); n > limit {
		t.Errorf("the log has %d bytes, want %d at most", n, limit)
	}
}
