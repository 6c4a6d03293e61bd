package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"skiff/integration/bench/netload/report"
)

// keptErrors is how many failures are told of.
const keptErrors = 10

// afterFailure is how long a worker waits at least after a failure: what fails at once would fail
// thousands of times.
const afterFailure = 10 * time.Millisecond

// tally collects what workers have done.
type tally struct {
	mu     sync.Mutex
	began  time.Time
	took   []time.Duration
	failed int
	errors []string
}

func newTally() *tally { return &tally{began: time.Now()} }

// add notes one request that began at a time and has just ended.
func (t *tally) add(began time.Time, err error) {
	took := time.Since(began)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.took = append(t.took, took)
		return
	}
	t.failed++
	if len(t.errors) < keptErrors {
		t.errors = append(t.errors, fmt.Sprintf("%s, after %s: %v", time.Now().Format("15:04:05.000"), took.Round(time.Microsecond), err))
	}
}

func (t *tally) report() report.Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := report.Report{Done: len(t.took), Failed: t.failed, Errors: t.errors}
	r.PerSecond = float64(r.Done) / time.Since(t.began).Seconds()
	if r.Done > 0 {
		slices.Sort(t.took)
		r.P50, r.P99, r.Max = t.took[r.Done/2], t.took[r.Done*99/100], t.took[r.Done-1]
	}
	return r
}

// worker does one thing again and again. What it needs for itself it has made before.
type worker struct {
	do    func() error
	close func()
}

// work has l.workers workers do their thing until ctx ends, and tells what came of it.
func work(ctx context.Context, l load, start func() (worker, error)) (report.Report, error) {
	workers := make([]worker, l.workers)
	for i := range workers {
		w, err := start()
		if err != nil {
			return report.Report{}, err
		}
		if w.close != nil {
			defer w.close()
		}
		workers[i] = w
	}
	t := newTally()
	var group sync.WaitGroup
	for _, w := range workers {
		group.Go(func() {
			for ctx.Err() == nil {
				began, pause := time.Now(), l.pause
				err := w.do()
				t.add(began, err)
				if err != nil {
					pause = max(pause, afterFailure)
				}
				if pause > 0 {
					select {
					case <-ctx.Done():
					case <-time.After(pause):
					}
				}
			}
		})
	}
	group.Wait()
	return t.report(), nil
}
