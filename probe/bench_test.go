//go:build unix

package probe

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/clock"
)

// cpu is the CPU time this process has used, in seconds: the probes' and that of the servers that
// answer them.
func cpu(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// benchmarkAsk asks the same question over and over.
func benchmarkAsk(b *testing.B, ask func() answer) {
	b.Helper()
	b.ReportAllocs()
	runtime.GC()
	before := cpu(b)
	for b.Loop() {
		if a := ask(); a.outcome != Success {
			b.Fatalf("%s: %s %v", a.outcome, a.message, a.err)
		}
	}
	b.ReportMetric((cpu(b)-before)/float64(b.N)*1000, "cpu-s/1000probes")
}

// bareServer answers each connection with the same bytes, for next to no CPU of its own.
func bareServer(b *testing.B, response string) *net.TCPAddr {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var serving sync.WaitGroup
	b.Cleanup(func() { l.Close(); serving.Wait() })
	serving.Go(func() {
		request := make([]byte, 4096)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if response != "" {
				_, _ = conn.Read(request)
				_, _ = conn.Write([]byte(response))
			}
			conn.Close()
		}
	})
	return l.Addr().(*net.TCPAddr)
}

func httpTarget(addr *net.TCPAddr) *Container {
	get := &corev1.HTTPGetAction{Path: "/", Port: intstr.FromInt(addr.Port)}
	return &Container{Host: addr.IP.String(), Liveness: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: get}}}
}

// BenchmarkHTTPProbe asks a Go server, and one that costs next to nothing, over plain HTTP.
func BenchmarkHTTPProbe(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }))
	defer server.Close()
	bare := bareServer(b, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
	for name, addr := range map[string]net.Addr{"go": server.Listener.Addr(), "bare": bare} {
		ask, _ := newBuilder("1.37", nil).build(httpTarget(addr.(*net.TCPAddr)), Liveness)
		b.Run("server="+name, func(b *testing.B) {
			benchmarkAsk(b, func() answer { return ask.ask(b.Context(), time.Second) })
		})
	}
}

func tcpTarget(addr *net.TCPAddr) *Container {
	open := &corev1.TCPSocketAction{Port: intstr.FromInt(addr.Port)}
	return &Container{Host: addr.IP.String(), Liveness: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: open}}}
}

// BenchmarkTCPProbe opens connections to a server that closes them.
func BenchmarkTCPProbe(b *testing.B) {
	ask, _ := newBuilder("1.37", nil).build(tcpTarget(bareServer(b, "")), Liveness)
	benchmarkAsk(b, func() answer { return ask.ask(b.Context(), time.Second) })
}

// BenchmarkGRPCProbe asks grpc-go's health server.
func BenchmarkGRPCProbe(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	defer serving.Wait()
	defer server.Stop()
	addr := l.Addr().(*net.TCPAddr)
	c := &Container{Host: addr.IP.String(), Liveness: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{
		GRPC: &corev1.GRPCAction{Port: int32(addr.Port)}}}}
	ask, _ := newBuilder("1.37", nil).build(c, Liveness)
	benchmarkAsk(b, func() answer { return ask.ask(b.Context(), time.Second) })
}

// instant answers at once.
type instant struct{}

func (instant) ask(context.Context, time.Duration) answer { return answer{outcome: Success} }
func (instant) handler() handler                          { return handlerHTTP }

// stepped is a clock that the benchmark moves.
type stepped struct {
	clock.RealClock
	now time.Time
}

func (s *stepped) Now() time.Time { return s.now }

// benchmarkPool returns a pool of 10,000 containers, due at all ticks of a period of 10 s alike.
func benchmarkPool(b *testing.B) (*Pool, *stepped) {
	c := &stepped{now: time.Now()}
	p, err := New(Options{Clock: c, Report: func(Result) {}, Version: "1.37"})
	if err != nil {
		b.Fatal(err)
	}
	p.schedule.build = func(*Container, Kind) (asker, laneName) { return instant{}, network }
	for i := range 10_000 {
		started := c.now.Add(time.Duration(i) * time.Millisecond)
		p.Set(Container{Key: Key{ID: strconv.Itoa(i)}, StartedAt: started, Readiness: every(10)})
	}
	return p, c
}

// BenchmarkSchedule10000 is the price of one due probe among 10,000 containers, without the asking
// itself: in the schedule alone, and in the pool with its goroutine, lock, context and metrics.
func BenchmarkSchedule10000(b *testing.B) {
	b.Run("schedule", func(b *testing.B) {
		p, c := benchmarkPool(b)
		s := p.schedule
		b.ReportAllocs()
		for asked := 0; b.Loop(); asked++ {
			due := s.take(c.now)
			for due == nil {
				c.now = s.wake(c.now)
				due = s.take(c.now)
			}
			s.answer(due, answer{outcome: Success}, c.now)
			s.again(due, c.now)
		}
	})
	b.Run("pool", func(b *testing.B) {
		p, c := benchmarkPool(b)
		asked := 0
		var mu sync.Mutex
		p.report = func(Result) { mu.Lock(); asked++; mu.Unlock() }
		b.ReportAllocs()
		b.ResetTimer()
		before := cpu(b)
		for asked < b.N {
			var asking sync.WaitGroup
			at := p.askDue(b.Context(), &asking)
			asking.Wait()
			if at.After(c.now) {
				c.now = at
			}
		}
		b.ReportMetric((cpu(b)-before)/float64(asked)*1000, "cpu-s/1000probes")
	})
}

// BenchmarkPool is the price of a probe in the life of a daemon: containers asked once a second,
// nothing else happening, and the processors asleep in between.
func BenchmarkPool(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }))
	defer server.Close()
	web, bare := server.Listener.Addr().(*net.TCPAddr), bareServer(b, "")
	for _, containers := range []int{3, 50, 500} {
		b.Run(fmt.Sprintf("http/%d", containers), func(b *testing.B) {
			benchmarkLife(b, containers, func() *Container { return httpTarget(web) })
		})
		b.Run(fmt.Sprintf("tcp/%d", containers), func(b *testing.B) {
			benchmarkLife(b, containers, func() *Container { return tcpTarget(bare) })
		})
	}
}

func benchmarkLife(b *testing.B, containers int, target func() *Container) {
	results := make(chan Result, containers)
	p, err := New(Options{Clock: clock.RealClock{}, Report: func(r Result) { results <- r }, Version: "1.37"})
	if err != nil {
		b.Fatal(err)
	}
	for i := range containers {
		c := target()
		c.Key, c.StartedAt, c.Started = Key{ID: strconv.Itoa(i)}, time.Now().Add(-time.Hour), true
		c.Liveness.PeriodSeconds = 1
		p.Set(*c)
	}
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = p.Run(ctx) })
	before := cpu(b)
	for b.Loop() {
		if r := <-results; r.Outcome != Success {
			b.Fatal(r)
		}
	}
	b.ReportMetric((cpu(b)-before)/float64(b.N)*1000, "cpu-s/1000probes")
	cancel()
	running.Wait()
}
