package controller

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// look is one call of Reconcile, at a time since the test began.
type look struct {
	key string
	at  time.Duration
}

// looks runs a loop in virtual time for the duration and says when it looked.
func looks(t *testing.T, during time.Duration, l *Loop[string], keys ...string) []look {
	t.Helper()
	var mu sync.Mutex
	var seen []look
	start := time.Now()
	reconcile := l.Reconcile
	l.Reconcile = func(ctx context.Context, key string) (time.Duration, error) {
		mu.Lock()
		seen = append(seen, look{key, time.Since(start)})
		mu.Unlock()
		return reconcile(ctx, key)
	}
	l.Sources = append(l.Sources, func(_ context.Context, q Queue[string]) (func(), error) {
		for _, k := range keys {
			q.Add(k)
		}
		return func() {}, nil
	})
	ctx, stop := context.WithTimeout(t.Context(), during)
	defer stop()
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return seen
}

func TestFailedKeyIsRetriedWithBackoffAndNeverDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := looks(t, 5*time.Minute, &Loop[string]{
			Name:      "test",
			Reconcile: func(context.Context, string) (time.Duration, error) { return 0, errors.New("no") },
		}, "a")
		want := []look{{"a", 0}}
		for at, wait := time.Duration(0), 5*time.Millisecond; ; wait = min(2*wait, 30*time.Second) {
			if at += wait; at >= 5*time.Minute {
				break
			}
			want = append(want, look{"a", at})
		}
		if !slices.Equal(got, want) {
			t.Errorf("looked at\n%v\nwant\n%v", got, want)
		}
	})
}

func TestSuccessResetsBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		got := looks(t, time.Second, &Loop[string]{
			Reconcile: func(context.Context, string) (time.Duration, error) {
				n++
				if n == 3 {
					return 100 * time.Millisecond, nil
				}
				return 0, errors.New("no")
			},
		}, "a")
		times := []time.Duration{0, 5, 15, 115, 120, 130, 150}
		for i, want := range times {
			if i >= len(got) || got[i].at != want*time.Millisecond {
				t.Fatalf("looked at %v, want ms %v", got, times)
			}
		}
	})
}

func TestAfterAsksForAnotherLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := looks(t, 25*time.Second, &Loop[string]{
			Reconcile: func(_ context.Context, key string) (time.Duration, error) {
				if key == "once" {
					return 0, nil
				}
				return 10 * time.Second, nil
			},
		}, "once", "often")
		want := []look{{"once", 0}, {"often", 0}, {"often", 10 * time.Second}, {"often", 20 * time.Second}}
		if !slices.Equal(got, want) {
			t.Errorf("looked at %v, want %v", got, want)
		}
	})
}

func TestOneKeyIsNeverReconciledTwiceAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		busy := map[string]bool{}
		most := 0
		var queue Queue[string]
		l := &Loop[string]{
			Workers: 4,
			Sources: []Source[string]{func(_ context.Context, q Queue[string]) (func(), error) {
				queue = q
				return func() {}, nil
			}},
			Reconcile: func(_ context.Context, key string) (time.Duration, error) {
				mu.Lock()
				if busy[key] {
					t.Errorf("%s is reconciled twice at a time", key)
				}
				busy[key] = true
				most = max(most, len(busy))
				mu.Unlock()
				queue.Add(key) // it changed meanwhile
				time.Sleep(time.Second)
				mu.Lock()
				delete(busy, key)
				mu.Unlock()
				return 0, nil
			},
		}
		got := looks(t, 10500*time.Millisecond, l, "a", "b")
		if len(got) != 22 {
			t.Errorf("%d looks, want 11 at each key: one changed while it was looked at is looked at again", len(got))
		}
		if most != 2 {
			t.Errorf("%d keys at a time, want 2", most)
		}
	})
}

func TestFailureIsLoggedOnceUntilItChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		n := 0
		looks(t, time.Minute, &Loop[string]{
			Name: "test",
			Env:  Env{Logger: slog.New(slog.NewTextHandler(&log, nil))},
			Reconcile: func(context.Context, string) (time.Duration, error) {
				n++
				switch {
				case n < 5:
					return 0, errors.New("first cause")
				case n < 8:
					return 0, errors.New("second cause")
				}
				return 0, nil
			},
		}, "a")
		for _, want := range []string{"first cause", "second cause", "succeeded after failures"} {
			if c := strings.Count(log.String(), want); c != 1 {
				t.Errorf("%q is logged %d times, want once:\n%s", want, c, &log)
			}
		}
	})
}

func TestOvertakenLookIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		reg := prometheus.NewRegistry()
		n := 0
		looks(t, time.Second, &Loop[string]{
			Name: "test",
			Env:  Env{Logger: slog.New(slog.NewTextHandler(&log, nil)), Metrics: NewMetrics(reg)},
			Reconcile: func(context.Context, string) (time.Duration, error) {
				if n++; n < 3 {
					return 0, fmt.Errorf("writing: %w", ErrOvertaken)
				}
				return 0, nil
			},
		}, "a")
		if n != 3 || log.Len() > 0 {
			t.Errorf("%d looks, want 3; logged: %s", n, &log)
		}
		if counted := metric(t, reg, "skiff_reconcile_total"); strings.Contains(counted, "error") {
			t.Errorf("counted %s", counted)
		}
	})
}

func TestLookCutOffByTheEndIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		reg := prometheus.NewRegistry()
		looks(t, time.Second, &Loop[string]{
			Name: "test",
			Env:  Env{Logger: slog.New(slog.NewTextHandler(&log, nil)), Metrics: NewMetrics(reg)},
			Reconcile: func(ctx context.Context, _ string) (time.Duration, error) {
				<-ctx.Done()
				return 0, ctx.Err()
			},
		}, "a", "b", "c")
		if log.Len() > 0 {
			t.Errorf("logged: %s", &log)
		}
		if counted := metric(t, reg, "skiff_reconcile_total"); counted != "" {
			t.Errorf("counted %s, want nothing", counted)
		}
	})
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		m := NewMetrics(reg)
		var depth string
		l := &Loop[string]{
			Name: "test", Env: Env{Metrics: m},
			Reconcile: func(_ context.Context, key string) (time.Duration, error) {
				if key == "a" {
					depth = metric(t, reg, "skiff_queue_depth")
					return 0, nil
				}
				return 0, errors.New("no")
			},
		}
		looks(t, 12*time.Millisecond, l, "a", "b", "c")
		if want := `controller="test" 2`; depth != want {
			t.Errorf("queue depth %q, want %q", depth, want)
		}
		got := metric(t, reg, "skiff_reconcile_total")
		if want := `controller="test" result="error" 4, controller="test" result="ok" 1`; got != want {
			t.Errorf("results %q, want %q", got, want)
		}
		if left := metric(t, reg, "skiff_queue_depth"); left != "" {
			t.Errorf("queue depth still reported after the loop ended: %s", left)
		}
	})
}

// metric is the text of one metric: labels and values.
func metric(t *testing.T, reg *prometheus.Registry, name string) string {
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			text := ""
			for _, l := range m.GetLabel() {
				text += fmt.Sprintf("%s=%q ", l.GetName(), l.GetValue())
			}
			all = append(all, text+fmt.Sprint(m.GetGauge().GetValue()+m.GetCounter().GetValue()))
		}
	}
	return strings.Join(all, ", ")
}

func TestSourceThatCannotBeFollowedEndsTheLoop(t *testing.T) {
	l := &Loop[string]{Name: "test", Sources: []Source[string]{
		func(context.Context, Queue[string]) (func(), error) { return nil, errors.New("no such feed") },
	}}
	if err := l.Run(t.Context()); err == nil || err.Error() != "controller test: no such feed" {
		t.Errorf("got %v", err)
	}
}
