package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// world drives a schedule through virtual time. Nothing in it runs by itself.
type world struct {
	*schedule
	epoch, now time.Time
	flying     []flight
	// answers are what the checks of a kind get to hear, the last one for ever. "ok", "fail",
	// "warn" and "err", with "/3s" behind for an answer that takes so long.
	answers map[Kind]string
	log     strings.Builder
}

type flight struct {
	check *check
	text  string
	lands time.Time
}

type noAsker struct{}

func (noAsker) ask(context.Context, time.Duration) answer { panic("the world answers by itself") }
func (noAsker) handler() handler                          { return handlerNone }

func newWorld(limit Limit, answers map[Kind]string) *world {
	epoch := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	build := func(*Container, Kind) (asker, laneName) { return noAsker{}, network }
	return &world{
		schedule: newSchedule(epoch, [laneCount]Limit{network: limit}, build),
		epoch:    epoch, now: epoch, answers: answers,
	}
}

// at is the point of time d after the beginning.
func (w *world) at(d time.Duration) time.Time { return w.epoch.Add(d) }

// runTo lets everything happen until d, as Pool does.
func (w *world) runTo(d time.Duration) {
	for {
		for c := w.take(w.now); c != nil; c = w.take(w.now) {
			w.takeOff(c)
		}
		next := w.at(d)
		if wake := w.wake(w.now); !wake.IsZero() && wake.Before(next) {
			next = wake
		}
		for _, f := range w.flying {
			if f.lands.Before(next) {
				next = f.lands
			}
		}
		w.now = next
		w.land()
		if !next.Before(w.at(d)) {
			return
		}
	}
}

// takeOff asks.
func (w *world) takeOff(c *check) {
	heard := strings.Fields(w.answers[c.kind])
	text, took, _ := strings.Cut(heard[0], "/")
	if len(heard) > 1 {
		w.answers[c.kind] = strings.Join(heard[1:], " ")
	}
	d, _ := time.ParseDuration(took)
	c.cancel = func() {}
	w.flying = append(w.flying, flight{c, text, w.now.Add(d)})
}

// land hears the answers that are in.
func (w *world) land() {
	landed := w.flying
	w.flying = nil
	for _, f := range landed {
		if f.lands.After(w.now) {
			w.flying = append(w.flying, f)
			continue
		}
		a := map[string]answer{
			"ok": {outcome: Success}, "fail": {outcome: Failure, message: "sick"},
			"warn": {outcome: Warning}, "err": {err: errors.New("no engine")},
		}[f.text]
		if r, wanted := w.answer(f.check, a, w.now); wanted {
			w.tell(r)
		}
		w.again(f.check, w.now)
	}
}

func (w *world) tell(r Result) {
	fmt.Fprintf(&w.log, "t=%v", r.At.Sub(w.epoch))
	if r.Latency > 0 {
		fmt.Fprintf(&w.log, "..%v", r.At.Add(r.Latency).Sub(w.epoch))
	}
	if r.Key.Pod != "" {
		fmt.Fprintf(&w.log, " %s", r.Key.Pod)
	}
	fmt.Fprintf(&w.log, " %s %s", strings.ToLower(r.Kind.String()), r.Outcome)
	if r.Changed {
		fmt.Fprintf(&w.log, " => %s", r.Verdict)
	}
	w.log.WriteString("\n")
}

// every is a probe of the given period in seconds, with kubelet's defaults otherwise.
func every(period int32, changes ...func(*corev1.Probe)) *corev1.Probe {
	p := &corev1.Probe{PeriodSeconds: period, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 3}
	for _, change := range changes {
		change(p)
	}
	return p
}

func after(seconds int32) func(*corev1.Probe) {
	return func(p *corev1.Probe) { p.InitialDelaySeconds = seconds }
}

func thresholds(success, failure int32) func(*corev1.Probe) {
	return func(p *corev1.Probe) { p.SuccessThreshold, p.FailureThreshold = success, failure }
}

func TestSchedule(t *testing.T) {
	ample := Limit{Slots: 10, Patience: time.Second, Max: 100}
	for _, test := range []struct {
		name    string
		limit   Limit
		answers map[Kind]string
		story   func(w *world)
		want    string
	}{{
		name:    "readiness is asked at once, liveness after a period",
		answers: map[Kind]string{Liveness: "ok", Readiness: "fail ok"},
		story: func(w *world) {
			w.set(Container{StartedAt: w.epoch, Liveness: every(3), Readiness: every(2)}, w.now)
			w.runTo(6500 * time.Millisecond)
		},
		want: `
			t=0s readiness failure
			t=2s readiness success => success
			t=3s liveness success
			t=4s readiness success
			t=6s liveness success
			t=6s readiness success`,
	}, {
		name:    "initial delays count from the container's start",
		answers: map[Kind]string{Liveness: "ok", Readiness: "ok"},
		story: func(w *world) {
			w.runTo(time.Second)
			w.set(Container{StartedAt: w.epoch, Liveness: every(10, after(15)), Readiness: every(10, after(5))}, w.now)
			w.runTo(26 * time.Second)
		},
		want: `
			t=5s readiness success => success
			t=15s liveness success
			t=15s readiness success
			t=25s liveness success
			t=25s readiness success`,
	}, {
		name:    "after the first time checks keep to ticks",
		answers: map[Kind]string{Readiness: "ok"},
		story: func(w *world) {
			w.runTo(1234 * time.Millisecond)
			w.set(Container{StartedAt: w.now, Readiness: every(1)}, w.now)
			w.runTo(4 * time.Second)
		},
		want: `
			t=1.234s readiness success => success
			t=2.25s readiness success
			t=3.25s readiness success`,
	}, {
		name:    "three failures in a row decide on liveness, and then nothing more is asked",
		answers: map[Kind]string{Liveness: "fail fail ok fail warn fail fail fail"},
		story: func(w *world) {
			w.set(Container{StartedAt: w.epoch, Liveness: every(1)}, w.now)
			w.runTo(60 * time.Second)
		},
		want: `
			t=1s liveness failure
			t=2s liveness failure
			t=3s liveness success
			t=4s liveness failure
			t=5s liveness warning
			t=6s liveness failure
			t=7s liveness failure
			t=8s liveness failure => failure`,
	}, {
		name:    "a restarted container begins afresh",
		answers: map[Kind]string{Liveness: "fail ok"},
		story: func(w *world) {
			w.set(Container{Key: Key{ID: "1"}, StartedAt: w.epoch, Liveness: every(1, thresholds(1, 1))}, w.now)
			w.runTo(5 * time.Second)
			w.remove(Key{ID: "1"})
			w.set(Container{Key: Key{ID: "2"}, StartedAt: w.now, Liveness: every(1, thresholds(1, 1))}, w.now)
			w.runTo(7500 * time.Millisecond)
		},
		want: `
			t=1s liveness failure => failure
			t=6s liveness success
			t=7s liveness success`,
	}, {
		name:    "readiness comes and goes at its thresholds",
		answers: map[Kind]string{Readiness: "ok ok fail ok fail fail fail ok ok"},
		story: func(w *world) {
			w.set(Container{StartedAt: w.epoch, Readiness: every(1, thresholds(2, 2))}, w.now)
			w.runTo(8500 * time.Millisecond)
		},
		want: `
			t=0s readiness success
			t=1s readiness success => success
			t=2s readiness failure
			t=3s readiness success
			t=4s readiness failure
			t=5s readiness failure => failure
			t=6s readiness failure
			t=7s readiness success
			t=8s readiness success => success`,
	}, {
		name:    "an error neither counts nor ends a run of failures",
		answers: map[Kind]string{Liveness: "fail err fail err err fail"},
		story: func(w *world) {
			w.set(Container{StartedAt: w.epoch, Liveness: every(1)}, w.now)
			w.runTo(60 * time.Second)
		},
		want: `
			t=1s liveness failure
			t=2s liveness unknown
			t=3s liveness failure
			t=4s liveness unknown
			t=5s liveness unknown
			t=6s liveness failure => failure`,
	}, {
		name:    "startup holds back the others and is asked no more once it has succeeded",
		answers: map[Kind]string{Startup: "fail fail fail ok", Liveness: "ok", Readiness: "ok"},
		story: func(w *world) {
			w.set(Container{StartedAt: w.epoch, Startup: every(2), Liveness: every(5), Readiness: every(5, after(10))}, w.now)
			w.runTo(16 * time.Second)
		},
		want: `
			t=0s startup failure
			t=2s startup failure
			t=4s startup failure
			t=6s startup success => success
			t=6s liveness success
			t=10s readiness success => success
			t=11s liveness success
			t=15s readiness success`,
	}, {
		name:    "a startup probe fails no sooner than after failureThreshold periods",
		answers: map[Kind]string{Startup: "fail", Liveness: "ok", Readiness: "ok"},
		story: func(w *world) {
			w.set(Container{StartedAt: w.epoch, Startup: every(10), Liveness: every(5), Readiness: every(5)}, w.now)
			w.runTo(90 * time.Second)
		},
		want: `
			t=0s startup failure
			t=10s startup failure
			t=20s startup failure
			t=30s startup failure => failure`,
	}, {
		name:    "a container taken over goes on as it was, at its own share of the period",
		answers: map[Kind]string{Startup: "fail", Liveness: "ok", Readiness: "fail ok"},
		story: func(w *world) {
			for _, pod := range []string{"a", "b", "c"} {
				w.set(Container{
					Key: Key{Pod: pod}, StartedAt: w.epoch.Add(-time.Hour), Started: true, Ready: true,
					Startup: every(1), Liveness: every(10), Readiness: every(10),
				}, w.now)
			}
			w.runTo(11 * time.Second)
		},
		want: `
			t=2.690864605s c liveness success
			t=3.97337195s c readiness failure
			t=4.282511724s a readiness success
			t=4.508350934s b liveness success
			t=6.614648927s a liveness success
			t=7.163141911s b readiness success`,
	}, {
		name:    "setting a known container again disturbs nothing",
		answers: map[Kind]string{Liveness: "ok fail", Readiness: "ok/1500ms fail"},
		story: func(w *world) {
			c := Container{StartedAt: w.epoch, Liveness: every(2, thresholds(1, 2)), Readiness: every(2, thresholds(1, 2))}
			for w.now.Before(w.at(7 * time.Second)) {
				w.set(c, w.now)
				w.runTo(w.now.Sub(w.epoch) + 700*time.Millisecond)
			}
		},
		want: `
			t=0s..1.5s readiness success => success
			t=2s liveness success
			t=2s readiness failure
			t=4s liveness failure
			t=4s readiness failure => failure
			t=6s liveness failure => failure
			t=6s readiness failure`,
	}, {
		name:    "under termination only readiness is asked, even of a container that has not started",
		answers: map[Kind]string{Startup: "fail", Liveness: "fail", Readiness: "ok"},
		story: func(w *world) {
			c := Container{StartedAt: w.epoch, Startup: every(1, thresholds(1, 9)), Liveness: every(1), Readiness: every(1)}
			w.set(c, w.now)
			w.runTo(1500 * time.Millisecond)
			c.Startup, c.Liveness = nil, nil
			w.set(c, w.now)
			w.runTo(4 * time.Second)
		},
		want: `
			t=0s startup failure
			t=1s startup failure
			t=1.5s readiness success => success
			t=2.5s readiness success
			t=3.5s readiness success`,
	}, {
		name:    "beats missed by a slow answer are skipped",
		answers: map[Kind]string{Readiness: "ok/3500ms ok/1s ok"},
		story: func(w *world) {
			w.set(Container{StartedAt: w.epoch, Readiness: every(1)}, w.now)
			w.runTo(6500 * time.Millisecond)
		},
		want: `
			t=0s..3.5s readiness success => success
			t=4s..5s readiness success
			t=5s readiness success
			t=6s readiness success`,
	}, {
		name:    "the answer to a removed container is dropped",
		answers: map[Kind]string{Readiness: "ok/2s"},
		story: func(w *world) {
			w.set(Container{Key: Key{Pod: "a"}, StartedAt: w.epoch, Readiness: every(5)}, w.now)
			w.runTo(time.Second)
			w.remove(Key{Pod: "a"})
			w.set(Container{Key: Key{Pod: "b"}, StartedAt: w.now, Readiness: every(5)}, w.now)
			w.runTo(4 * time.Second)
		},
		want: `t=1s..3s b readiness success => success`,
	}, {
		name:    "a check out of slots waits until the oldest has had its time",
		limit:   Limit{Slots: 1, Patience: 300 * time.Millisecond, Max: 3},
		answers: map[Kind]string{Readiness: "ok/2s ok/100ms ok/2s ok/2s ok"},
		story: func(w *world) {
			for i, pod := range []string{"a", "b", "c", "d", "e"} {
				started := w.epoch.Add(time.Duration(i)) // so that they are due in this order
				w.set(Container{Key: Key{Pod: pod}, StartedAt: started, Readiness: every(60)}, w.now)
			}
			w.runTo(1100 * time.Millisecond) // looks again: e is due, but three are in flight
			w.runTo(5 * time.Second)
		},
		want: `
			t=300ms..400ms b readiness success => success
			t=0s..2s a readiness success => success
			t=2s e readiness success => success
			t=400ms..2.4s c readiness success => success
			t=700ms..2.7s d readiness success => success`,
	}} {
		t.Run(test.name, func(t *testing.T) {
			if test.limit == (Limit{}) {
				test.limit = ample
			}
			w := newWorld(test.limit, test.answers)
			test.story(w)
			if got, want := w.log.String(), dedent(test.want); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// dedent takes the indentation away that makes a text fit into the code around it.
func dedent(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimLeft(l, "\t") + "\n"
	}
	return strings.Join(lines, "")
}

// TestOffsets reports whether the offsets of many containers are spread over the whole period.
func TestOffsets(t *testing.T) {
	var tenths [10]int
	for i := range 10_000 {
		e := &entry{Container: Container{Key: Key{Pod: fmt.Sprintf("pod-%d", i), Container: "app", ID: "c0ffee"}}}
		tenths[newCheck(e, Liveness, every(10), noAsker{}, network).offset()/time.Second]++
	}
	if least := slices.Min(tenths[:]); least < 900 {
		t.Errorf("offsets by second of the period: %v, want about 1000 each", tenths)
	}
}

func TestState(t *testing.T) {
	w := newWorld(Limit{Slots: 9, Max: 9}, map[Kind]string{Startup: "fail ok", Liveness: "fail", Readiness: "ok"})
	w.set(Container{
		StartedAt: w.epoch, Startup: every(1), Liveness: every(1, thresholds(1, 1)), Readiness: every(3, after(2)),
	}, w.now)
	var got strings.Builder
	for _, at := range []time.Duration{0, 500, 1500, 2500} {
		w.runTo(at * time.Millisecond)
		s := w.entries[Key{}].state()
		kind, failed := s.Failed()
		fmt.Fprintf(&got, "%v startup=%s liveness=%s readiness=%s started=%t ready=%t failed=%t/%s\n",
			w.now.Sub(w.epoch), s.Startup, s.Liveness, s.Readiness, s.Started(), s.Ready(), failed, kind)
	}
	want := dedent(`
		0s startup=unknown liveness=success readiness=failure started=false ready=false failed=false/Liveness
		500ms startup=unknown liveness=success readiness=failure started=false ready=false failed=false/Liveness
		1.5s startup=success liveness=failure readiness=failure started=true ready=false failed=true/Liveness
		2.5s startup=success liveness=failure readiness=success started=true ready=true failed=true/Liveness`)
	if got.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", got.String(), want)
	}
}
