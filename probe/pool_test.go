package probe

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newPool returns a pool on the bubble's time and the results it reports.
func newPool(t *testing.T, change func(*Options)) (*Pool, *reports) {
	got := &reports{}
	o := Options{Clock: clock.RealClock{}, Report: got.add, Version: "1.37"}
	if change != nil {
		change(&o)
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return p, got
}

// start runs a pool and returns what ends it.
func start(t *testing.T, p *Pool) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- p.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

// reports collects results.
type reports struct {
	mu  sync.Mutex
	all []Result
}

func (r *reports) add(result Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, result)
}

func (r *reports) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	for _, x := range r.all {
		fmt.Fprintf(&b, "%s %s %s %q %v %v\n", x.Key.Pod, x.Kind, x.Outcome, x.Message, x.Err, x.Latency)
	}
	return b.String()
}

// execProbe runs a command every period seconds.
func execProbe(period, timeout int32, command ...string) *corev1.Probe {
	return every(period, func(p *corev1.Probe) {
		p.TimeoutSeconds = timeout
		p.Exec = &corev1.ExecAction{Command: command}
	})
}

// sh is a tiny shell: sleep D, exit N, silent N, echo TEXT, break.
func sh(ctx context.Context, command []string) (int, []byte, error) {
	switch verb, arg := command[0], command[1]; verb {
	case "sleep":
		d, _ := time.ParseDuration(arg)
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return 0, nil, ctx.Err()
		}
	case "exit":
		code, _ := strconv.Atoi(arg)
		return code, []byte("code " + arg), nil
	case "silent":
		code, _ := strconv.Atoi(arg)
		return code, nil, nil
	case "break":
		return 0, nil, errors.New(arg)
	case "echo":
		return 0, []byte(arg), nil
	}
	return 0, nil, nil
}

func TestPoolExec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, got := newPool(t, nil)
		for _, c := range []string{"echo hello", "exit 3", "silent 4", "sleep 9s", "sleep 0.5s", "break daemon"} {
			p.Set(Container{Key: Key{Pod: c}, StartedAt: time.Now(), Exec: sh, Readiness: execProbe(60, 1, strings.Fields(c)...)})
		}
		p.Set(Container{Key: Key{Pod: "no exec"}, StartedAt: time.Now(), Readiness: execProbe(60, 1, "true")})
		stop := start(t, p)
		time.Sleep(30 * time.Second)
		stop()
		lines := strings.SplitAfter(got.String(), "\n")
		slices.Sort(lines)
		want := dedent(`
			break daemon Readiness unknown "" daemon 0s
			echo hello Readiness success "hello" <nil> 0s
			exit 3 Readiness failure "code 3" <nil> 0s
			no exec Readiness unknown "" no way to run a command in the container 0s
			silent 4 Readiness failure "command \"silent 4\" exited with code 4 and no output" <nil> 0s
			sleep 0.5s Readiness success "" <nil> 500ms
			sleep 9s Readiness failure "command timed out: \"sleep 9s\" timed out after 1s" <nil> 1s`)
		if s := strings.Join(lines, ""); s != want {
			t.Errorf("got:\n%s\nwant:\n%s", s, want)
		}
	})
}

// TestPoolErrorsAreTriedAgain reports whether a probe that can't be asked is tried three times.
func TestPoolErrorsAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, got := newPool(t, nil)
		tries := 0
		p.Set(Container{StartedAt: time.Now(), Readiness: execProbe(60, 1, "true"), Exec: func(context.Context, []string) (int, []byte, error) {
			tries++
			return 0, nil, fmt.Errorf("try %d", tries)
		}})
		stop := start(t, p)
		time.Sleep(time.Second)
		stop()
		if s, want := got.String(), " Readiness unknown \"\" try 3 0s\n"; s != want {
			t.Errorf("got %q, want %q", s, want)
		}
	})
}

// TestPoolRemove reports whether a probe in flight is cancelled and its result dropped, and whether
// the end of Run does the same.
func TestPoolRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, got := newPool(t, nil)
		var cancelled atomic.Int32
		hang := func(ctx context.Context, _ []string) (int, []byte, error) {
			<-ctx.Done()
			cancelled.Add(1)
			return 0, nil, ctx.Err()
		}
		stop := start(t, p)
		for _, pod := range []string{"a", "b"} {
			p.Set(Container{Key: Key{Pod: pod}, StartedAt: time.Now(), Exec: hang, Readiness: execProbe(60, 30, "hang")})
		}
		time.Sleep(time.Second)
		p.Remove(Key{Pod: "a"})
		p.Remove(Key{Pod: "nobody"})
		synctest.Wait()
		if n, left := cancelled.Load(), p.Len(); n != 1 || left != 1 {
			t.Errorf("after Remove: %d cancelled, %d containers left, want 1 and 1", n, left)
		}
		if _, ok := p.State(Key{Pod: "a"}); ok {
			t.Error("a removed container still has a state")
		}
		stop()
		if n := cancelled.Load(); n != 2 {
			t.Errorf("after Run: %d cancelled, want 2", n)
		}
		if s := got.String(); s != "" {
			t.Errorf("reported:\n%s", s)
		}
		if s, _ := p.State(Key{Pod: "b"}); s.Readiness != Failure {
			t.Errorf("state %+v, want one that the end of Run did not touch", s)
		}
	})
}

// TestPoolSetWakes reports whether a pool asleep until later asks a new container at once.
func TestPoolSetWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, got := newPool(t, nil)
		stop := start(t, p)
		defer stop()
		p.Set(Container{Key: Key{Pod: "late"}, StartedAt: time.Now(), Exec: sh, Liveness: execProbe(3600, 1, "echo", "1")})
		synctest.Wait()
		p.Set(Container{Key: Key{Pod: "now"}, StartedAt: time.Now(), Exec: sh, Readiness: execProbe(3600, 1, "echo", "2")})
		synctest.Wait()
		if s, want := got.String(), "now Readiness success \"2\" <nil> 0s\n"; s != want {
			t.Errorf("got %q, want %q", s, want)
		}
	})
}

// latecomer measures how late askers are asked.
type latecomer struct {
	worst *atomic.Int64
	due   time.Time
	every time.Duration
	takes time.Duration
}

func (l *latecomer) handler() handler { return handlerHTTP }

func (l *latecomer) ask(ctx context.Context, timeout time.Duration) answer {
	if l.takes > 0 { // hangs
		select {
		case <-time.After(min(l.takes, timeout)):
		case <-ctx.Done():
		}
		return answer{outcome: Failure}
	}
	late := time.Since(l.due)
	for w := l.worst.Load(); int64(late) > w && !l.worst.CompareAndSwap(w, int64(late)); w = l.worst.Load() {
	}
	l.due = l.due.Add(l.every)
	return answer{outcome: Success}
}

// TestPoolHangingTargets asks 10,000 containers, 1,000 of which hang until a timeout longer than
// their period, and tells how late the healthy ones are asked.
func TestPoolHangingTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, func(o *Options) { o.Report = func(Result) {} })
		var worst atomic.Int64
		var made int
		p.schedule.build = func(*Container, Kind) (asker, laneName) {
			a := &latecomer{worst: &worst, due: time.Now(), every: 10 * time.Second}
			if made%10 == 0 {
				a.takes = time.Hour
			}
			made++
			return a, network
		}
		stop := start(t, p)
		defer stop()
		for i := range 10_000 {
			p.Set(Container{Key: Key{ID: strconv.Itoa(i)}, StartedAt: time.Now(), Readiness: execProbe(10, 30)})
			if i%1000 == 999 {
				time.Sleep(time.Second)
			}
		}
		time.Sleep(60 * time.Second)
		if late := time.Duration(worst.Load()); late > 50*time.Millisecond {
			t.Errorf("a healthy container was asked %v late", late)
		}
	})
}

// TestPoolExecBound reports whether no more than the slots' number of young commands runs at once.
func TestPoolExecBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, got := newPool(t, nil)
		var running, most atomic.Int32
		run := func(context.Context, []string) (int, []byte, error) {
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(40 * time.Millisecond)
			running.Add(-1)
			return 0, nil, nil
		}
		for i := range 40 {
			p.Set(Container{Key: Key{ID: strconv.Itoa(i)}, StartedAt: time.Now(), Exec: run, Readiness: execProbe(60, 1, "true")})
		}
		stop := start(t, p)
		time.Sleep(399 * time.Millisecond)
		synctest.Wait()
		if n := len(got.all); most.Load() != 4 || n != 36 {
			t.Errorf("%d at once and %d done, want 4 and 36", most.Load(), n)
		}
		stop()
	})
}

// TestPoolConcurrently sets and removes containers from several goroutines while they are asked.
func TestPoolConcurrently(t *testing.T) {
	reported := make(chan Key, 1)
	p, _ := newPool(t, func(o *Options) {
		o.Report = func(r Result) {
			select {
			case reported <- r.Key:
			default:
			}
		}
	})
	stop := start(t, p)
	var setting sync.WaitGroup
	for g := range 4 {
		setting.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 1))
			for range 2000 {
				c := Container{Key: Key{ID: strconv.Itoa(r.IntN(50))}, StartedAt: time.Now(), Exec: sh}
				c.Startup, c.Liveness = execProbe(1, 1, "exit", "0"), execProbe(1, 1, "exit", "1")
				c.Readiness = execProbe(1, 1, "sleep", "1us")
				if r.IntN(3) == 0 {
					c.Startup = nil
				}
				p.Set(c)
				p.State(c.Key)
				if r.IntN(2) == 0 {
					p.Remove(c.Key)
				}
			}
		})
	}
	setting.Wait()
	p.Set(Container{Key: Key{ID: "0"}, StartedAt: time.Now(), Exec: sh, Readiness: execProbe(1, 1, "exit", "0")})
	<-reported // it still works
	for i := range 50 {
		p.Remove(Key{ID: strconv.Itoa(i)})
	}
	stop()
	if p.Len() != 0 || len(p.schedule.lanes[execs].waiting) != 0 || p.schedule.lanes[execs].inFlight != 0 {
		t.Errorf("left over: %d containers, lane %+v", p.Len(), p.schedule.lanes[execs])
	}
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		p, _ := newPool(t, func(o *Options) { o.Metrics = registry })
		for _, c := range []string{"echo hello", "exit 3", "break daemon"} {
			p.Set(Container{Key: Key{Pod: c}, StartedAt: time.Now(), Exec: sh, Readiness: execProbe(60, 1, strings.Fields(c)...)})
		}
		stop := start(t, p)
		time.Sleep(time.Second)
		stop()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var asked strings.Builder
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if n := m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount()); n > 0 {
					asked.WriteString(f.GetName())
					for _, l := range m.GetLabel() {
						fmt.Fprintf(&asked, " %s=%s", l.GetName(), l.GetValue())
					}
					fmt.Fprintf(&asked, " %v\n", n)
				}
			}
		}
		want := dedent(`
			skiff_probe_duration_seconds handler=exec kind=readiness 3
			skiff_probe_total handler=exec kind=readiness result=failure 1
			skiff_probe_total handler=exec kind=readiness result=success 1
			skiff_probe_total handler=exec kind=readiness result=unknown 1`)
		if got := asked.String(); got != want {
			t.Errorf("got:\n%s\nwant:\n%s", got, want)
		}
		if _, err := New(Options{Clock: clock.RealClock{}, Metrics: registry}); err == nil {
			t.Error("registering the metrics twice is no error")
		}
	})
}

func TestEvent(t *testing.T) {
	for want, r := range map[string]Result{
		"":                               {Kind: Liveness, Outcome: Success, Message: "ok"},
		"Liveness probe failed: sick":    {Kind: Liveness, Outcome: Failure, Message: "sick"},
		"Readiness probe warning: moved": {Kind: Readiness, Outcome: Warning, Message: "moved"},
		"Startup probe errored and resulted in unknown state: no engine": {Kind: Startup, Err: errors.New("no engine")},
	} {
		if got := r.Event(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
