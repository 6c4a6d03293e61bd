package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/utils/clock"
)

// load is about as long as a pod's JSON.
var load = strings.Repeat("0123456789abcdef", 128)

func realClock(o *Options) { o.Clock = clock.RealClock{} }

func noIndex(o *Options) { o.Indexes = nil }

// latencies collects how long single operations took.
type latencies struct {
	mu  sync.Mutex
	all []time.Duration
}

func (l *latencies) add(took ...time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, took...)
}

func (l *latencies) report(b *testing.B) {
	slices.Sort(l.all)
	b.ReportMetric(float64(l.all[len(l.all)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(l.all[len(l.all)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkCommit creates objects of 2 KB from so many clients, each waiting for
// its answer. Beside it what the same machine does without us: an insert and a
// commit of SQLite with the same settings, and 12 KB (the pages of such an
// insert) written and fsynced.
func BenchmarkCommit(b *testing.B) {
	b.Run("fsync", benchmarkFsync)
	b.Run("raw-sqlite", benchmarkRawCommit)
	for _, clients := range []int{1, 32, 128} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) { benchmarkCommit(b, clients) })
	}
}

func benchmarkCommit(b *testing.B, clients int) {
	f := open(b, realClock, noIndex)
	ctx := b.Context()
	var next atomic.Int64
	var wg sync.WaitGroup
	var took latencies
	b.ReportAllocs()
	b.ResetTimer()
	for range clients {
		wg.Go(func() {
			var own []time.Duration
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				began := time.Now()
				if _, err := f.Commit(ctx, create("default", fmt.Sprintf("thing-%d", n), load)); err != nil {
					b.Error(err)
					return
				}
				own = append(own, time.Since(began))
			}
			took.add(own...)
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
	took.report(b)
	f.stop()
}

func benchmarkRawCommit(b *testing.B) {
	db, err := openDatabase(filepath.Join(b.TempDir(), "raw.db"), epoch)
	if err != nil {
		b.Fatal(err)
	}
	var took latencies
	b.ResetTimer()
	for n := range b.N {
		began := time.Now()
		err := errors.Join(
			execute(db.begin, 0),
			execute(db.insert, 1, int64(n), "uid", "now", load, "things", "default", fmt.Sprintf("thing-%d", n)),
			execute(db.commit, 0))
		if err != nil {
			b.Fatal(err)
		}
		took.add(time.Since(began))
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
	took.report(b)
	if err := db.close(); err != nil {
		b.Fatal(err)
	}
}

func benchmarkFsync(b *testing.B) {
	file, err := os.Create(filepath.Join(b.TempDir(), "file"))
	if err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 3*pageSize)
	var took latencies
	b.ResetTimer()
	for n := range b.N {
		began := time.Now()
		_, err := file.WriteAt(data, int64(n%(walPages/3)*len(data))) // round and round, as in the log
		if err := errors.Join(err, file.Sync()); err != nil {
			b.Fatal(err)
		}
		took.add(time.Since(began))
	}
	b.StopTimer()
	took.report(b)
	if err := file.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkWatchFanout is one event until the last of so many watchers has it:
// memory alone, since the disk comes before and is BenchmarkCommit's.
func BenchmarkWatchFanout(b *testing.B) {
	for _, watchers := range []int{1, 100} {
		b.Run(fmt.Sprintf("watchers=%d", watchers), func(b *testing.B) { benchmarkFanout(b, watchers) })
	}
}

func benchmarkFanout(b *testing.B, watchers int) {
	f := openOnly(b, filepath.Join(b.TempDir(), "skiff.db"), noIndex)
	defer f.stop()
	ctx, cancel := context.WithCancel(b.Context())
	var wg, received sync.WaitGroup
	for range watchers {
		w, err := f.Watch(ctx, "things", 1)
		if err != nil {
			b.Fatal(err)
		}
		wg.Go(func() {
			for {
				events, _, err := w.Next(ctx)
				if err != nil {
					return
				}
				received.Add(-len(events))
			}
		})
	}
	key, object := thingKey("a", "x"), newThing("a", "x", load)
	b.ReportAllocs()
	b.ResetTimer()
	for n := range b.N {
		d := newDraft(f.writer.tables, f.schema, f.Revision(), epoch)
		c := change{key: key, object: object.DeepCopyObject().(Object)}
		if n > 0 {
			c.expect = f.Revision()
		}
		received.Add(watchers)
		if err := d.add(&commit{changes: []change{c}}); err != nil {
			b.Fatal(err)
		}
		f.writer.publish(d)
		received.Wait()
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N*watchers)/b.Elapsed().Seconds(), "events/s")
	cancel()
	wg.Wait()
}

// BenchmarkList1000 lists 1,000 objects of 2 KB, beside SQLite's reading and
// decoding them.
func BenchmarkList1000(b *testing.B) {
	f := openOnly(b, filepath.Join(b.TempDir(), "skiff.db"), noIndex)
	defer f.stop()
	var changes []Change
	for i := range 1000 {
		changes = append(changes, create("default", fmt.Sprintf("thing-%d", i), load))
	}
	if err := f.inline(changes...); err != nil {
		b.Fatal(err)
	}
	b.Run("store", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if n := len(f.Snapshot("things").list("", Key{})); n != 1000 {
				b.Fatal(n)
			}
		}
	})
	b.Run("raw-sqlite", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			n := 0
			err := f.writer.db.rows(func(r row) error {
				n++
				_, err := jsonCodec{}.Decode(r.key.Resource, []byte(r.json))
				return err
			})
			if err != nil || n != 1000 {
				b.Fatal(n, err)
			}
		}
	})
}

func BenchmarkGet(b *testing.B) {
	f := openOnly(b, filepath.Join(b.TempDir(), "skiff.db"))
	defer f.stop()
	var changes []Change
	for i := range 10_000 {
		changes = append(changes, create("default", fmt.Sprintf("thing-%d", i), "red"))
	}
	if err := f.inline(changes...); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := f.Get(thingKey("default", "thing-5000")); !ok {
			b.Fatal("not found")
		}
	}
}

// BenchmarkOpen opens a database of 10,000 objects of 2 KB.
func BenchmarkOpen(b *testing.B) {
	f := openOnly(b, filepath.Join(b.TempDir(), "skiff.db"), noIndex)
	var changes []Change
	for i := range 10_000 {
		changes = append(changes, create("default", fmt.Sprintf("thing-%d", i), load))
	}
	if err := f.inline(changes...); err != nil {
		b.Fatal(err)
	}
	f.stop()
	for b.Loop() {
		openOnly(b, f.path, noIndex).stop()
	}
}
