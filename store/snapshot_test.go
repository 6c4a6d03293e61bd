package store

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestSnapshotNeverChanges(t *testing.T) {
	f := open(t)
	for i := range 500 { // several levels of the tree
		f.must(create("a", fmt.Sprintf("%03d", i), "old"))
	}
	snap := f.Snapshot("things")
	before := snap.show()
	first := snap.list("", Key{})[0]
	for i, o := range snap.list("", Key{}) {
		if i%2 == 0 {
			f.must(update("a", o.GetName(), "new", revisionOf(t, o)), create("b", o.GetName(), "new"))
		} else {
			f.must(remove("a", o.GetName(), revisionOf(t, o)))
		}
	}
	equal(t, "snapshot", snap.show(), before)
	equal(t, "object", show(first), "a/000@2 old\n")
	if snap.Len() != 500 || snap.Revision() != 501 {
		t.Errorf("%d objects at %d, want 500 at 501", snap.Len(), snap.Revision())
	}
	if n := f.Snapshot("things").Len(); n != 500 {
		t.Errorf("%d objects now, want 500", n)
	}
}

func TestSnapshotAscend(t *testing.T) {
	f := open(t)
	f.must(create("b", "1", ""), create("a", "2", ""), create("", "c", ""), create("a", "1", ""), create("c", "1", ""))
	tests := []struct {
		name, namespace string
		after           Key
		want            string
	}{
		{"all", "", Key{}, "/c a/1 a/2 b/1 c/1"},
		{"one namespace", "a", Key{}, "a/1 a/2"},
		{"behind an object", "", thingKey("a", "1"), "a/2 b/1 c/1"},
		{"behind one that isn't there", "", thingKey("a", "11"), "a/2 b/1 c/1"},
		{"behind one in a namespace", "a", thingKey("a", "1"), "a/2"},
		{"behind the last in a namespace", "a", thingKey("a", "2"), ""},
		{"behind one in an earlier namespace", "b", thingKey("a", "1"), "b/1"},
		{"behind one in a later namespace", "a", thingKey("b", "1"), ""},
		{"no such namespace", "aa", Key{}, ""},
		{"behind the last", "", thingKey("c", "1"), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			for _, o := range f.Snapshot("things").list(test.namespace, test.after) {
				got += " " + o.GetNamespace() + "/" + o.GetName()
			}
			if got != "" {
				got = got[1:]
			}
			equal(t, "objects", got, test.want)
		})
	}
	calls := 0
	f.Snapshot("things").Ascend("", Key{}, func(Object) bool { calls++; return calls < 2 })
	if calls != 2 {
		t.Errorf("Ascend went on for %d objects, want 2", calls)
	}
}

func TestSnapshotOfNothing(t *testing.T) {
	f := open(t)
	snap := f.Snapshot("unheard-of")
	if snap.Len() != 0 || snap.Revision() != 1 || len(snap.list("", Key{})) != 0 {
		t.Errorf("not empty: %+v", snap)
	}
}

func TestIndex(t *testing.T) {
	f := open(t)
	find := func(word string) string { return show(f.ByIndex("things", "word", word)...) }
	equal(t, "before anything", find("red"), "")
	f.must(create("b", "1", "red green red"), create("a", "1", "red"), create("a", "2", "redder"))
	equal(t, "red", find("red"), "a/1@3 red\nb/1@2 red green red\n")
	equal(t, "green", find("green"), "b/1@2 red green red\n")
	f.must(update("b", "1", "green blue", 2))
	equal(t, "red after update", find("red"), "a/1@3 red\n")
	equal(t, "green after update", find("green"), "b/1@5 green blue\n")
	equal(t, "blue after update", find("blue"), "b/1@5 green blue\n")
	f.must(remove("b", "1", 5))
	equal(t, "green after delete", find("green"), "")
	f = f.restart()
	equal(t, "red after restart", find("red"), "a/1@3 red\n")
	defer func() {
		if recover() == nil {
			t.Error("an index nobody declared was no mistake")
		}
	}()
	f.ByIndex("things", "colour", "red")
}

func TestSnapshotAt(t *testing.T) {
	f := open(t)
	at := func(revision uint64) string {
		snap, err := f.SnapshotAt("things", revision)
		if errors.Is(err, ErrExpired) {
			return "expired"
		}
		if err != nil || snap.Revision() != revision {
			t.Fatalf("at %d: revision %d, %v", revision, snap.Revision(), err)
		}
		return snap.show()
	}
	f.must(create("a", "1", "one"))
	kept := f.Snapshot("things")
	f.Retain(kept)
	f.must(create("a", "2", "two"))
	f.must(Change{Key: Key{"others", "a", "x"}, Object: newThing("a", "x", "")})
	equal(t, "retained", at(2), "a/1@2 one\n")
	equal(t, "last changed then", at(3), "a/1@2 one\na/2@3 two\n")
	equal(t, "now", at(4), "a/1@2 one\na/2@3 two\n")
	equal(t, "not retained", at(1), "expired")
	equal(t, "not yet", at(5), "expired")

	f.clock.Step(retainFor)
	equal(t, "used in time", at(2), "a/1@2 one\n")
	f.clock.Step(retainFor)
	equal(t, "used again in time", at(2), "a/1@2 one\n")
	f.clock.Step(retainFor + time.Second)
	equal(t, "not used in time", at(2), "expired")

	f = f.restart()
	equal(t, "before the restart", at(3), "expired")
	equal(t, "at the restart", at(4), "a/1@2 one\na/2@3 two\n")
}

func TestRetainIsBounded(t *testing.T) {
	f := openOnly(t, t.TempDir()+"/skiff.db")
	defer f.stop()
	for i := range retainMax + 1 {
		f.Retain(f.Snapshot(fmt.Sprint("resource-", i)))
		f.clock.Step(time.Millisecond)
	}
	if n := len(f.retained.snapshots); n != retainMax {
		t.Errorf("%d snapshots, want %d", n, retainMax)
	}
	if _, ok := f.retained.snapshots[retainedKey{"resource-0", 1}]; ok {
		t.Error("the oldest was not the one to go")
	}
	f.clock.Step(retainFor + time.Second)
	f.writer.tick()
	if n := len(f.retained.snapshots); n != 0 {
		t.Errorf("%d snapshots after their time", n)
	}
}

// TestOldRevisionsAreNotTold: a revision that was passed five minutes ago is gone, even of a resource
// that has not changed since, and however often it is asked for.
func TestOldRevisionsAreNotTold(t *testing.T) {
	f := openOnly(t, t.TempDir()+"/skiff.db")
	defer f.stop()
	if err := f.inline(create("a", "1", "one")); err != nil {
		t.Fatal(err)
	}
	first := f.Revision()
	f.Retain(f.Snapshot("things"))
	if err := f.inline(Change{Key: Key{"others", "a", "x"}, Object: newThing("a", "x", "")}); err != nil {
		t.Fatal(err)
	}
	last := f.Revision()
	told := func() string {
		_, err := f.SnapshotAt("things", first)
		_, lastErr := f.SnapshotAt("things", last)
		return fmt.Sprint(err == nil, errors.Is(err, ErrExpired), lastErr == nil)
	}
	for minute := range 8 {
		f.writer.tick()
		want := "true false true"
		if minute >= 5 {
			want = "false true true"
		}
		equal(t, fmt.Sprint(minute, " minutes later"), told(), want)
		f.clock.Step(time.Minute)
	}
	if n := len(f.retained.snapshots); n != 0 {
		t.Errorf("%d snapshots are still retained", n)
	}
}
