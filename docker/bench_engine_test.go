package docker

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// What operations cost on this machine's engine:
//
//	go test -run '^$' -bench . -benchtime 10x ./docker/

// createMany makes n containers without starting them.
func (b *bench) createMany(n int) []string {
	b.t.Helper()
	ids := make([]string, 0, n)
	for range n {
		ids = append(ids, b.create(b.spec("sleep")))
	}
	return ids
}

func (b *bench) removeAll(ids []string) {
	b.t.Helper()
	var removals errgroup.Group
	removals.SetLimit(prunesAtOnce)
	for _, id := range ids {
		removals.Go(func() error { return b.Remove(context.WithoutCancel(b.t.Context()), id) })
	}
	check(b.t, removals.Wait())
}

func BenchmarkList50(b *testing.B) {
	bench := newBench(b)
	bench.createMany(50)
	for b.Loop() {
		list, err := bench.List(b.Context())
		if err != nil || len(list) != 50 {
			b.Fatalf("%d containers, %v", len(list), err)
		}
	}
}

func BenchmarkInspect(b *testing.B) {
	bench := newBench(b)
	id := bench.create(bench.spec("sleep"))
	for b.Loop() {
		if _, err := bench.Inspect(b.Context(), id); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCreateStart(b *testing.B) {
	bench := newBench(b)
	var ids []string
	var creating time.Duration
	for b.Loop() {
		spec := bench.spec("sleep")
		began := time.Now()
		id := bench.create(spec)
		creating += time.Since(began)
		ids = append(ids, bench.start(id))
		b.StopTimer()
		if len(ids) == 10 {
			bench.removeAll(ids)
			ids = nil
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(creating.Milliseconds())/float64(b.N), "create-ms/op")
}

// BenchmarkStartJoined starts containers in the namespace of another.
func BenchmarkStartJoined(b *testing.B) {
	bench := newBench(b)
	owner := bench.run("sleep")
	for b.Loop() {
		b.StopTimer()
		spec := bench.spec("sleep")
		spec.Network = Network{Join: owner}
		b.StartTimer()
		id := bench.start(bench.create(spec))
		b.StopTimer()
		check(b, bench.Remove(b.Context(), id))
		b.StartTimer()
	}
}

func BenchmarkExec(b *testing.B) {
	bench := newBench(b)
	id := bench.run("sleep")
	for b.Loop() {
		code, err := bench.Exec(b.Context(), id, ExecSpec{Cmd: []string{"/helper", "exit", "3"}})
		if code != 3 || err != nil {
			b.Fatalf("exit code %d, %v", code, err)
		}
	}
}

// BenchmarkDieEvent is the time from a kill to the event of the death.
func BenchmarkDieEvent(b *testing.B) {
	bench := newBench(b)
	events := bench.Events(b.Context())
	for b.Loop() {
		b.StopTimer()
		id := bench.run("sleep")
		killed := make(chan error, 1)
		b.StartTimer()
		go func() { killed <- bench.Kill(b.Context(), id, "SIGKILL") }()
		for event := range events {
			if event.Action == ActionDie && event.ID == id {
				break
			}
		}
		b.StopTimer()
		check(b, <-killed)
		check(b, bench.Remove(b.Context(), id))
		b.StartTimer()
	}
}

// BenchmarkReplace is the time from a death to its successor, with the same address, running.
func BenchmarkReplace(b *testing.B) {
	bench := newBench(b)
	events := bench.Events(b.Context())
	spec := bench.spec("sleep")
	id := bench.start(bench.create(spec))
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		killed := make(chan error, 1)
		go func() { killed <- bench.Kill(b.Context(), id, "SIGKILL") }()
		for event := range events {
			if event.Action == ActionDie && event.ID == id {
				break
			}
		}
		b.StartTimer()
		spec.Name = fmt.Sprint(bench.Instance(), "-again-", n)
		id = bench.start(bench.create(spec))
		b.StopTimer()
		check(b, <-killed)
		b.StartTimer()
	}
}

// BenchmarkFifty creates and starts 50 containers, all asked for at once, for several bounds of
// concurrent starts.
func BenchmarkFifty(b *testing.B) {
	for _, starts := range []int{1, 2, 4, 6, 8, 50} {
		b.Run(fmt.Sprintf("starts=%d", starts), func(b *testing.B) {
			bench := benchWith(b, Options{Starts: starts})
			for b.Loop() {
				b.StopTimer()
				specs := make([]ContainerSpec, 50)
				for i := range specs {
					specs[i] = bench.spec("sleep")
				}
				b.StartTimer()
				ids, running := bench.runAll(specs)
				b.StopTimer()
				b.ReportMetric(float64(running[len(running)/2].Milliseconds()), "median-ms")
				bench.removeAll(ids)
				b.StartTimer()
			}
		})
	}
}

// runAll runs specs side by side and tells when each was running.
func (b *bench) runAll(specs []ContainerSpec) (ids []string, running []time.Duration) {
	b.t.Helper()
	ids, running = make([]string, len(specs)), make([]time.Duration, len(specs))
	began := time.Now()
	var group errgroup.Group
	for i, spec := range specs {
		group.Go(func() error {
			id, err := b.Create(b.t.Context(), spec)
			if err != nil {
				return err
			}
			ids[i] = id
			err = b.Start(b.t.Context(), id)
			running[i] = time.Since(began)
			return err
		})
	}
	check(b.t, group.Wait())
	slices.Sort(running)
	return ids, running
}
