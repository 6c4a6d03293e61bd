package docker

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

func TestStartWaitsForAnAddress(t *testing.T) {
	fake := newFake(t).start()
	var refusals atomic.Int32
	refusals.Store(2)
	fake.on("POST /containers/c/start", func(w http.ResponseWriter, _ *http.Request) {
		if refusals.Add(-1) >= 0 {
			writeJSON(w, http.StatusForbidden, map[string]string{"message": "Address already in use"})
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	clock := fakeClock()
	started := make(chan error, 1)
	e := fake.connect(Options{Clock: clock})
	go func() { started <- e.Start(t.Context(), "c") }()
	step(t, clock, minAddressPause)
	step(t, clock, 2*minAddressPause)
	check(t, <-started)

	// One that is really another's is reported in the end.
	refusals.Store(100)
	go func() { started <- e.Start(t.Context(), "c") }()
	for pause := minAddressPause; pause <= maxAddressPause; pause *= 2 {
		step(t, clock, pause)
	}
	wantKind(t, <-started, ErrAddressInUse)
}

func TestStartsAreLimited(t *testing.T) {
	fake := newFake(t).start()
	began, proceed := make(chan struct{}, 10), make(chan struct{})
	fake.on("POST /containers/c/start", func(w http.ResponseWriter, _ *http.Request) {
		began <- struct{}{}
		<-proceed
		w.WriteHeader(http.StatusNoContent)
	})
	e := fake.connect(Options{Starts: 2})
	results := make(chan error, 3)
	for range 3 {
		go func() { results <- e.Start(t.Context(), "c") }()
	}
	<-began
	<-began
	impatient, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	wantKind(t, e.Start(impatient, "c"), context.DeadlineExceeded)
	if len(began) != 0 {
		t.Fatal("more starts than allowed")
	}
	close(proceed)
	for range 3 {
		check(t, <-results)
	}
}

// dying answers for a container that dies of the given signals alone.
func (f *fakeEngine) dying(of ...string) {
	dead := make(chan struct{})
	f.on("POST /containers/c/kill", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.asked[len(f.asked)-1] += " " + r.URL.Query().Get("signal")
		for _, deadly := range of {
			if r.URL.Query().Get("signal") == deadly {
				close(dead)
			}
		}
		w.WriteHeader(http.StatusNoContent)
	})
	f.on("POST /containers/c/wait", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		select {
		case <-dead:
			_, _ = w.Write([]byte(`{"StatusCode":143}`))
		case <-r.Context().Done():
		}
	})
}

// killsOf picks the kills out of what was asked: a wait goes beside them and has no fixed place.
func killsOf(requests string) string {
	var kills []string
	for line := range strings.Lines(requests) {
		if _, signal, found := strings.Cut(strings.TrimSpace(line), "/kill "); found {
			kills = append(kills, signal)
		}
	}
	return strings.Join(kills, " ")
}

// awaitGrace waits until Stop waits for the grace to pass: the end's turn has a timer on the clock
// too, and starts it earlier.
func awaitGrace(t *testing.T, clock *clocktesting.FakeClock) {
	t.Helper()
	eventually(t, func() bool { return clock.Waiters() == 2 })
}

func TestStop(t *testing.T) {
	config := map[string]any{"Id": "c", "Config": map[string]any{"StopSignal": "SIGUSR1"}}
	for _, test := range []struct {
		name   string
		grace  time.Duration
		signal string
		dying  []string
		config map[string]any
		late   bool // the grace passes before it dies
		want   string
	}{
		{name: "no grace", signal: "SIGTERM", dying: []string{"SIGKILL"}, want: "SIGKILL"},
		{name: "signal given", grace: time.Minute, signal: "SIGQUIT", dying: []string{"SIGQUIT"}, want: "SIGQUIT"},
		{name: "signal of the image", grace: time.Minute, config: config, dying: []string{"SIGUSR1"}, want: "SIGUSR1"},
		{name: "no signal named", grace: time.Minute, config: map[string]any{"Id": "c", "Config": map[string]any{}}, dying: []string{"SIGTERM"}, want: "SIGTERM"},
		{name: "grace passes", grace: 1500 * time.Millisecond, signal: "SIGTERM", dying: []string{"SIGKILL"}, late: true, want: "SIGTERM SIGKILL"},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake := newFake(t).start()
			fake.dying(test.dying...)
			fake.onJSON("GET /containers/c/json", test.config)
			clock := fakeClock()
			e := fake.connect(Options{Clock: clock})
			stopped := make(chan error, 1)
			go func() { stopped <- e.Stop(t.Context(), "c", test.grace, test.signal) }()
			if test.late {
				awaitGrace(t, clock)
				clock.Step(test.grace)
			}
			check(t, <-stopped)
			if got := killsOf(fake.requests()); got != test.want {
				t.Errorf("sent %q, want %q", got, test.want)
			}
		})
	}
}

func TestStopEndsWithItsContext(t *testing.T) {
	fake := newFake(t).start()
	fake.dying()
	clock := fakeClock()
	e := fake.connect(Options{Clock: clock})
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- e.Stop(ctx, "c", time.Hour, "SIGTERM") }()
	awaitGrace(t, clock)
	cancel()
	wantKind(t, <-stopped, context.Canceled)
	if got := killsOf(fake.requests()); got != "SIGTERM" {
		t.Errorf("sent %q", got)
	}
}

func TestStopOfTheDead(t *testing.T) {
	for name, refuse := range map[string]func(*fakeEngine){
		"not running": func(f *fakeEngine) {
			f.onError("POST /containers/c/kill", http.StatusConflict, "Container c is not running")
			f.onJSON("POST /containers/c/wait", map[string]int{"StatusCode": 0})
		},
		"gone": func(f *fakeEngine) {
			f.onError("POST /containers/c/kill", http.StatusNotFound, "No such container: c")
			f.onError("POST /containers/c/wait", http.StatusNotFound, "No such container: c")
		},
	} {
		t.Run(name, func(t *testing.T) {
			fake := newFake(t).start()
			refuse(fake)
			e := fake.connect(Options{})
			check(t, e.Stop(t.Context(), "c", time.Minute, "SIGTERM"))
			check(t, e.Stop(t.Context(), "c", 0, ""))
		})
	}
}

func TestRemove(t *testing.T) {
	fake := newFake(t).start()
	e := fake.connect(Options{})
	fake.on("DELETE /containers/c", func(w http.ResponseWriter, r *http.Request) {
		if q := r.URL.Query(); q.Get("force") != "1" || q.Get("v") != "1" {
			t.Errorf("removed with %v", q)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	check(t, e.Remove(t.Context(), "c"))

	fake.onError("DELETE /containers/c", http.StatusNotFound, "No such container: c")
	check(t, e.Remove(t.Context(), "c"))

	fake.onError("DELETE /containers/c", http.StatusConflict, "removal of container c is already in progress")
	waited := make(chan string, 1)
	fake.on("POST /containers/c/wait", func(w http.ResponseWriter, r *http.Request) {
		waited <- r.URL.Query().Get("condition")
		writeJSON(w, http.StatusOK, map[string]int{"StatusCode": 0})
	})
	check(t, e.Remove(t.Context(), "c"))
	if condition := <-waited; condition != "removed" {
		t.Errorf("waited for %q", condition)
	}
}
