package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
)

// begin gives the commits that so many concurrent calls of Commit hand the writer,
// in no certain order. The test is the writer: Run must not be running.
func (f *fixture) begin(calls ...func()) (batch []*commit, wait func()) {
	var wg sync.WaitGroup
	for _, call := range calls {
		wg.Go(call)
	}
	for range calls {
		batch = append(batch, <-f.queue)
	}
	return batch, wg.Wait
}

// inline commits with the test as the writer.
func (f *fixture) inline(changes ...Change) error {
	f.t.Helper()
	c, err := f.prepare(changes)
	if err != nil {
		return err
	}
	f.writer.write([]*commit{c})
	return <-c.done
}

func TestCommit(t *testing.T) {
	f := open(t)
	revisions := f.must(create("a", "x", "one"), create("b", "y", "two"))
	if !slices.Equal(revisions, []uint64{2, 3}) {
		t.Errorf("revisions %v, want 2 and 3: a new store is at 1, and each change has its own", revisions)
	}
	f.must(update("a", "x", "uno", 2))
	f.must(remove("b", "y", 3), create("", "cluster", "three"))
	equal(t, "things", f.Snapshot("things").show(), "/cluster@6 three\na/x@4 uno\n")
	if _, ok := f.Get(thingKey("b", "y")); ok {
		t.Error("b/y is still there")
	}
	if got := f.Revision(); got != 6 {
		t.Errorf("revision %d, want 6", got)
	}
}

func TestCommitNothing(t *testing.T) {
	f := open(t)
	if objects, err := f.Commit(t.Context()); err != nil || objects != nil {
		t.Errorf("got %v, %v", objects, err)
	}
	if f.Revision() != 1 {
		t.Errorf("revision %d", f.Revision())
	}
}

func TestCommitRefuses(t *testing.T) {
	other := create("a", "other", "")
	tests := []struct {
		name   string
		change Change
		want   string
	}{
		{"create what exists", create("a", "x", ""), `things "a/x": already exists`},
		{"update what is not there", update("a", "none", "", 2), `things "a/none": not found`},
		{"delete what is not there", remove("a", "none", 2), `things "a/none": not found`},
		{"update an old state", update("a", "x", "", 2), `things "a/x" has been changed: it is at revision 3`},
		{"update a future state", update("a", "x", "", 9), `things "a/x" has been changed: it is at revision 3`},
		{"delete an old state", remove("a", "x", 2), `things "a/x" has been changed: it is at revision 3`},
		{"deletion of any state", remove("a", "x", 0), `commit things "a/x": deletion without the revision it expects`},
		{"twice the same", other, `commit things "a/other": changed twice in one commit`},
		{"another's name", Change{Key: thingKey("a", "new"), Object: newThing("b", "new", "")}, `commit things "a/new": the object is "b/new"`},
		{"no name", create("a", "", ""), `commit things "a/": key without resource or name`},
		{"not to be encoded", create("a", "bad", "unencodable"), `commit things "a/bad": encode: refusing to encode`},
	}
	f := open(t)
	f.must(create("a", "x", "one"))
	f.must(update("a", "x", "two", 2))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := f.Commit(t.Context(), other, test.change) // other is fine alone
			if err == nil || err.Error() != test.want {
				t.Errorf("error %q, want %q", err, test.want)
			}
			equal(t, "things", f.Snapshot("things").show(), "a/x@3 two\n")
			if f.Revision() != 3 {
				t.Errorf("revision %d, want 3", f.Revision())
			}
		})
	}
}

func TestCommitErrors(t *testing.T) {
	f := open(t)
	f.must(create("a", "x", ""))
	if _, err := f.Commit(t.Context(), create("a", "x", "")); !errors.Is(err, ErrExists) {
		t.Errorf("%v is not ErrExists", err)
	}
	if _, err := f.Commit(t.Context(), remove("a", "y", 2)); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v is not ErrNotFound", err)
	}
	_, err := f.Commit(t.Context(), remove("a", "x", 7))
	var conflict ErrConflict
	if !errors.As(err, &conflict) || conflict != (ErrConflict{thingKey("a", "x"), 2}) {
		t.Errorf("%v is not the conflict", err)
	}
}

// The writer refuses what was not yet visible when Commit looked.
func TestBatchWithConflicts(t *testing.T) {
	f := openOnly(t, t.TempDir()+"/skiff.db")
	defer f.stop()
	if err := f.inline(create("a", "x", "old")); err != nil {
		t.Fatal(err)
	}
	errs := make([]error, 4)
	call := func(i int, changes ...Change) func() {
		return func() { _, errs[i] = f.Commit(t.Context(), changes...) }
	}
	// One after the other, so that the order in the batch is certain.
	var batch []*commit
	var waits []func()
	for _, c := range []func(){
		call(0, update("a", "x", "first", 2), create("a", "with-first", "")),
		call(1, update("a", "x", "second", 2), create("a", "with-second", "")),
		call(2, create("a", "with-first", "too late")),
		call(3, create("a", "bystander", "")),
	} {
		b, wait := f.begin(c)
		batch, waits = append(batch, b...), append(waits, wait)
	}
	f.writer.write(batch)
	for _, wait := range waits {
		wait()
	}
	got := fmt.Sprintf("%v\n%v\n%v\n%v\n", errs[0], errs[1], errs[2], errs[3])
	equal(t, "errors", got, `<nil>
things "a/x" has been changed: it is at revision 3
things "a/with-first": already exists
<nil>
`)
	equal(t, "things", f.Snapshot("things").show(), "a/bystander@5 \na/with-first@4 \na/x@3 first\n")
}

func TestDeletionBearsItsRevision(t *testing.T) {
	f := open(t)
	f.must(create("a", "x", "text"), create("a", "y", "text"))
	last := remove("a", "y", 3)
	last.Last = newThing("a", "y", "the very last")
	objects, err := f.Commit(t.Context(), remove("a", "x", 2), last)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "final states", show(objects...), "a/x@4 text\na/y@5 the very last\n")
	if last.Last.GetResourceVersion() != "" {
		t.Error("the caller's own object was changed")
	}
}

// The store shares nothing with what the caller gave.
func TestCommitCopies(t *testing.T) {
	f := open(t)
	mine := newThing("a", "x", "before")
	mine.ResourceVersion = "77"
	mine.Labels = map[string]string{"k": "v"}
	f.must(Change{Key: thingKey("a", "x"), Object: mine})
	mine.Text, mine.Labels["k"] = "after", "w"
	got, _ := f.Get(thingKey("a", "x"))
	equal(t, "stored", show(got), "a/x@2 before\n")
	if got.GetLabels()["k"] != "v" || mine.ResourceVersion != "77" {
		t.Error("the label or the resourceVersion is shared")
	}
}

func TestCommitWithdrawn(t *testing.T) {
	f := openOnly(t, t.TempDir()+"/skiff.db")
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error)
	go func() {
		_, err := f.Commit(ctx, create("a", "x", "")) // nobody takes it: Run does not run
		waiting <- err
	}()
	cancel()
	if err := <-waiting; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want canceled", err)
	}
	f.stop()
	if _, err := f.Commit(t.Context(), create("a", "x", "")); !errors.Is(err, ErrClosed) {
		t.Errorf("error %v, want closed", err)
	}
	equal(t, "things", f.Snapshot("things").show(), "")
}

func TestCommitTakenUpIsNotWithdrawn(t *testing.T) {
	f := openOnly(t, t.TempDir()+"/skiff.db")
	defer f.stop()
	ctx, cancel := context.WithCancel(t.Context())
	var err error
	batch, wait := f.begin(func() { _, err = f.Commit(ctx, create("a", "x", "")) })
	cancel()
	f.writer.write(batch)
	wait()
	if err != nil {
		t.Errorf("error %v: the commit had begun", err)
	}
	equal(t, "things", f.Snapshot("things").show(), "a/x@2 \n")
}

// Many clients, all of whose commits count, and races for the same object of which
// exactly one wins.
func TestGroupCommit(t *testing.T) {
	f := open(t)
	const clients, rounds = 32, 25
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := map[string]int{}
	seen := map[uint64]bool{}
	for client := range clients {
		wg.Go(func() {
			for round := range rounds {
				own := create("own", fmt.Sprintf("%d-%d", client, round), "")
				revisions := f.must(own)
				contested := fmt.Sprintf("round-%d", round)
				_, err := f.Commit(t.Context(), create("contested", contested, ""))
				if err != nil && !errors.Is(err, ErrExists) {
					t.Errorf("contested: %v", err)
				}
				mu.Lock()
				if seen[revisions[0]] {
					t.Errorf("revision %d twice", revisions[0])
				}
				seen[revisions[0]] = true
				if err == nil {
					won[contested]++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for round := range rounds {
		if n := won[fmt.Sprintf("round-%d", round)]; n != 1 {
			t.Errorf("round %d was won %d times", round, n)
		}
	}
	if got, want := f.Revision(), uint64(1+clients*rounds+rounds); got != want {
		t.Errorf("revision %d, want %d", got, want)
	}
	before := f.Snapshot("things").show()
	equal(t, "after restart", f.restart().Snapshot("things").show(), before)
}

// Commits that were waiting share a transaction.
func TestCommitsShareTransaction(t *testing.T) {
	f := openOnly(t, t.TempDir()+"/skiff.db")
	defer f.stop()
	var calls []func()
	for i := range 10 {
		calls = append(calls, func() { f.must(create("a", fmt.Sprint(i), "")) })
	}
	batch, wait := f.begin(calls...)
	watch, err := f.Watch(t.Context(), "things", 1)
	if err != nil {
		t.Fatal(err)
	}
	f.writer.write(batch)
	wait()
	events, reached, err := watch.Next(t.Context())
	if err != nil || len(events) != 10 || reached != 11 {
		t.Errorf("%d events up to %d, %v; want 10 up to 11 at once", len(events), reached, err)
	}
}

func TestCommitWaitsForRun(t *testing.T) {
	f := openOnly(t, t.TempDir()+"/skiff.db")
	answered := make(chan error)
	go func() {
		_, err := f.Commit(t.Context(), create("a", "x", ""))
		answered <- err
	}()
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error)
	go func() { ran <- f.Run(ctx) }()
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if err := f.Run(ctx); err == nil {
		t.Error("a second Run was let in")
	}
	cancel()
	if err := <-ran; err != nil {
		t.Error(err)
	}
	if err := f.Run(t.Context()); err == nil {
		t.Error("Run was let in after it had ended")
	}
	if _, err := f.Commit(t.Context(), create("a", "y", "")); !errors.Is(err, ErrClosed) {
		t.Errorf("error %v, want closed", err)
	}
	f.stop()
	if err := f.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	equal(t, "things", f.Snapshot("things").show(), "a/x@2 \n")
}
