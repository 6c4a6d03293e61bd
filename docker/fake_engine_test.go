package docker

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	clocktesting "k8s.io/utils/clock/testing"
)

// fakeEngine answers on a Unix socket as far as a test has told it to, and remembers what it was
// asked.
type fakeEngine struct {
	t      *testing.T
	socket string
	// version is what it says it speaks.
	version string
	server  *http.Server
	served  chan struct{}

	mu      sync.Mutex
	answers map[string]http.HandlerFunc
	asked   []string
}

// newFake is an engine that does not run yet.
func newFake(t *testing.T) *fakeEngine {
	t.Helper()
	dir, err := os.MkdirTemp("", "skiff") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { check(t, os.RemoveAll(dir)) })
	return &fakeEngine{t: t, socket: filepath.Join(dir, "s"), version: "1.41", answers: map[string]http.HandlerFunc{}}
}

func (f *fakeEngine) start() *fakeEngine {
	f.t.Helper()
	listener, err := net.Listen("unix", f.socket)
	if err != nil {
		f.t.Fatal(err)
	}
	f.server = &http.Server{Handler: f}
	f.served = make(chan struct{})
	go func() {
		defer close(f.served)
		_ = f.server.Serve(listener)
	}()
	f.t.Cleanup(f.stop)
	return f
}

// stop ends the engine and breaks its connections.
func (f *fakeEngine) stop() {
	_ = f.server.Close()
	<-f.served
}

// on says how to answer "METHOD /path"; the path is without the version.
func (f *fakeEngine) on(what string, answer http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[what] = answer
}

// onJSON answers with a value.
func (f *fakeEngine) onJSON(what string, value any) {
	f.on(what, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, value) })
}

// onError answers as the engine refuses.
func (f *fakeEngine) onError(what string, status int, message string) {
	f.on(what, func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, status, map[string]string{"message": message})
	})
}

func (f *fakeEngine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Api-Version", f.version)
	w.Header().Set("Ostype", "linux")
	if r.URL.Path == "/_ping" {
		return
	}
	what := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/v"+f.version)
	f.mu.Lock()
	f.asked = append(f.asked, what)
	answer := f.answers[what]
	f.mu.Unlock()
	if answer == nil {
		f.t.Errorf("unexpected request: %s", what)
		writeJSON(w, http.StatusNotImplemented, map[string]string{"message": "unexpected request"})
		return
	}
	answer(w, r)
}

// requests lists what was asked since the last call, one a line.
func (f *fakeEngine) requests() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer func() { f.asked = nil }()
	return strings.Join(f.asked, "\n")
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

// connect makes an Engine of instance "i" that talks to the fake one.
func (f *fakeEngine) connect(o Options) *Engine {
	f.t.Helper()
	o.Instance, o.Host, o.ConfigDir = "i", "unix://"+f.socket, filepath.Dir(f.socket)
	o.Getenv = func(string) string { return "" }
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	e, err := Connect(f.t.Context(), o)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { check(f.t, e.Close()) })
	return e
}

func fakeClock() *clocktesting.FakeClock {
	return clocktesting.NewFakeClock(time.Date(2025, 5, 1, 12, 0, 0, 0, time.UTC))
}

// step waits until something waits for the clock, then moves it.
func step(t *testing.T, clock *clocktesting.FakeClock, d time.Duration) {
	t.Helper()
	eventually(t, clock.HasWaiters)
	clock.Step(d)
}

// eventually waits for what another goroutine is about to do.
func eventually(t *testing.T, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatal("it did not come about")
		case <-tick.C:
		}
	}
}

func TestConnectToEngineThatComesLater(t *testing.T) {
	fake := newFake(t)
	e := fake.connect(Options{})
	err := e.Ping(t.Context())
	wantKind(t, err, ErrUnavailable)
	for _, part := range []string{fake.socket, "systemctl start docker", "DOCKER_HOST"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q lacks %q", err, part)
		}
	}
	fake.start()
	check(t, e.Ping(t.Context()))
	fake.stop()
	wantKind(t, e.Ping(t.Context()), ErrUnavailable)

	// It comes back as another version, and that is the one spoken.
	fake.version = "1.43"
	fake.start()
	fake.onJSON("GET /containers/json", []any{})
	_, err = e.List(t.Context())
	check(t, err)
}

func TestEngineNotSupported(t *testing.T) {
	fake := newFake(t)
	fake.version = "1.40"
	fake.start()
	err := fake.connect(Options{}).Ping(t.Context())
	wantKind(t, err, ErrUnsupported)
	if !strings.Contains(err.Error(), "install Docker Engine 20.10 or later") {
		t.Errorf("error %q does not say what to do", err)
	}
	wantKind(t, supported("1.41", "windows"), ErrUnsupported)
	check(t, supported("1.51", "linux"))
}

func TestConnectRefusesWhatNeverWorks(t *testing.T) {
	for name, o := range map[string]Options{
		"no instance":      {Host: "unix:///x"},
		"bad instance":     {Instance: "a b", Host: "unix:///x"},
		"long instance":    {Instance: strings.Repeat("x", 49), Host: "unix:///x"},
		"no scheme":        {Instance: "i", Host: "/var/run/docker.sock"},
		"IPv6 subnet":      {Instance: "i", Host: "unix:///x", Subnet: netip.MustParsePrefix("fd00::/64")},
		"tiny subnet":      {Instance: "i", Host: "unix:///x", Subnet: netip.MustParsePrefix("10.0.0.0/30")},
		"engine elsewhere": {Instance: "i", Host: "ssh://me@there"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Connect(t.Context(), o)
			wantKind(t, err, ErrInvalid)
		})
	}
}

// TestHangingCallTimesOut: one call that hangs does not mean that the engine is gone.
func TestHangingCallTimesOut(t *testing.T) {
	fake := newFake(t).start()
	released := make(chan struct{})
	fake.on("GET /containers/json", func(http.ResponseWriter, *http.Request) { <-released })
	defer close(released)
	e := fake.connect(Options{Timeout: 20 * time.Millisecond})
	_, err := e.List(t.Context())
	wantKind(t, err, ErrTimeout)
	if errors.Is(err, ErrUnavailable) {
		t.Errorf("error %q is unavailable too", err)
	}
	check(t, e.Ping(t.Context()))
	if !strings.Contains(err.Error(), "has not answered within 20ms") {
		t.Errorf("error %q", err)
	}
}

// TestStartsAreNotAbandoned holds that a start that has been begun is waited for when its context ends,
// and that none is begun afterwards.
func TestStartsAreNotAbandoned(t *testing.T) {
	fake := newFake(t).start()
	begun, released := make(chan struct{}), make(chan struct{})
	fake.on("POST /containers/c/start", func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-released
		w.WriteHeader(http.StatusNoContent)
	})
	e := fake.connect(Options{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	var err error
	go func() { defer close(ended); err = e.Start(ctx, "c") }()
	<-begun
	cancel()
	select {
	case <-ended:
	case <-time.After(50 * time.Millisecond):
	}
	close(released)
	<-ended
	check(t, err)
	fake.requests()
	wantKind(t, e.Start(ctx, "c"), context.Canceled)
	_, err = e.Create(ctx, ContainerSpec{Name: "d", Image: "i", Network: Network{Join: "c"}})
	wantKind(t, err, context.Canceled)
	if after := fake.requests(); after != "" {
		t.Errorf("begun after the end: %s", after)
	}
}

func TestCallsAreCounted(t *testing.T) {
	fake := newFake(t).start()
	fake.onJSON("GET /containers/json", []any{})
	fake.onError("POST /containers/c/kill", http.StatusConflict, "Container c is not running")
	registry := prometheus.NewRegistry()
	e := fake.connect(Options{Metrics: registry})
	fake.connect(Options{Metrics: registry}) // a second one shares the first one's
	_, err := e.List(t.Context())
	check(t, err)
	wantKind(t, e.Kill(t.Context(), "c", "TERM"), ErrNotRunning)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = e.List(canceled)
	wantKind(t, err, context.Canceled)

	families, err := registry.Gather()
	check(t, err)
	counted := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "skiff_engine_calls_total" {
				counted[m.GetLabel()[0].GetValue()+" "+m.GetLabel()[1].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	for what, want := range map[string]float64{"list ok": 1, "list canceled": 1, "kill conflict": 1, "ping ok": 2} {
		if counted[what] != want {
			t.Errorf("%s counted %v times, want %v; all: %v", what, counted[what], want, counted)
		}
	}
}

func TestErrorsByTheEnginesWords(t *testing.T) {
	for _, test := range []struct {
		status  int
		message string
		kind    error
	}{
		{404, "No such image: nope:1", ErrImageNotFound},
		{404, "No such container: x", ErrNotFound},
		{404, "network skiff-i not found", ErrNoNetwork},
		{409, "Conflict. The container name \"/x\" is already in use by container \"y\".", ErrConflict},
		{409, "Container x is not running", ErrNotRunning},
		{409, "cannot join network of a non running container: x", ErrNotRunning},
		{400, "Minimum memory limit allowed is 6MB", ErrInvalid},
		{400, "OCI runtime create failed: exec: \"/nope\": no such file or directory: unknown", ErrInvalid},
		{403, "Address already in use", ErrAddressInUse},
		{500, "driver failed programming external connectivity: Bind for 0.0.0.0:80 failed: port is already allocated", ErrPortInUse},
		{500, "driver failed: listen tcp4 127.0.0.1:80: bind: address already in use", ErrPortInUse},
		{500, "Invalid address 9.9.9.9: It does not belong to any of this network's subnets", ErrInvalid},
	} {
		fake := newFake(t).start()
		fake.onError("POST /containers/c/kill", test.status, test.message)
		err := fake.connect(Options{}).Kill(t.Context(), "c", "TERM")
		wantKind(t, err, test.kind)
		if want := "kill c: " + test.message; err.Error() != want {
			t.Errorf("error %q, want %q", err, want)
		}
		var told *Error
		if !errors.As(err, &told) || told.Op != "kill" || told.Name != "c" {
			t.Errorf("error %#v does not tell what it is about", err)
		}
	}
}

func TestErrorWithoutPermission(t *testing.T) {
	denied := &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", os.ErrPermission)}
	err := fail("ping", "", "unix:///var/run/docker.sock", denied)
	wantKind(t, err, ErrPermission)
	if !strings.Contains(err.Error(), "usermod -aG docker") {
		t.Errorf("error %q does not say what to do", err)
	}
}

func TestErrorIDIsShort(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	err := fail("start", id, "", errors.New("no"))
	if err.Error() != "start 0123456789ab: no" {
		t.Errorf("error %q", err)
	}
}
