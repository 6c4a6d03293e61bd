package docker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/pkg/stdcopy"
)

// onHijack switches to a stream and hands the connection to do.
func (f *fakeEngine) onHijack(what string, do func(net.Conn, io.Reader)) {
	f.on(what, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "tcp" {
			f.t.Errorf("upgrade to %q", r.Header.Get("Upgrade"))
		}
		_, _ = io.Copy(io.Discard, r.Body)
		conn, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			f.t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = conn.Write([]byte("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"))
		do(conn, buffered)
	})
}

// onExec makes a process that do plays, and that is seen running inspections times before its exit
// code.
func (f *fakeEngine) onExec(code int, inspections int32, do func(net.Conn, io.Reader)) {
	f.onJSON("POST /containers/c/exec", map[string]string{"Id": "x"})
	f.onHijack("POST /exec/x/start", do)
	var seen atomic.Int32
	f.on("GET /exec/x/json", func(w http.ResponseWriter, _ *http.Request) {
		running := seen.Add(1) <= inspections
		writeJSON(w, http.StatusOK, map[string]any{"ID": "x", "Running": running, "ExitCode": code, "ContainerID": "c", "Pid": 0})
	})
}

func TestExec(t *testing.T) {
	fake := newFake(t).start()
	fake.onExec(7, 2, func(conn net.Conn, from io.Reader) {
		in, err := io.ReadAll(from) // ends with the caller's half
		check(t, err)
		_, _ = stdcopy.NewStdWriter(conn, stdcopy.Stdout).Write(append([]byte("out "), in...))
		_, _ = stdcopy.NewStdWriter(conn, stdcopy.Stderr).Write([]byte("err"))
	})
	clock := fakeClock()
	e := fake.connect(Options{Clock: clock})
	var stdout, stderr bytes.Buffer
	type result struct {
		code int
		err  error
	}
	done := make(chan result, 1)
	go func() {
		code, err := e.Exec(t.Context(), "c", ExecSpec{
			Cmd: []string{"cat"}, Streams: Streams{In: strings.NewReader("hello"), Out: &stdout, Err: &stderr},
		})
		done <- result{code, err}
	}()
	step(t, clock, time.Millisecond)
	step(t, clock, 2*time.Millisecond)
	got := <-done
	check(t, got.err)
	if got.code != 7 || stdout.String() != "out hello" || stderr.String() != "err" {
		t.Errorf("exit code %d, out %q, err %q", got.code, &stdout, &stderr)
	}
	if asked := fake.requests(); asked != "POST /containers/c/exec\nPOST /exec/x/start\nGET /exec/x/json\nGET /exec/x/json\nGET /exec/x/json" {
		t.Errorf("asked\n%s", asked)
	}
}

func TestExecTimesOut(t *testing.T) {
	fake := newFake(t).start()
	fake.onExec(0, 1000, func(_ net.Conn, from io.Reader) { _, _ = io.ReadAll(from) })
	e := fake.connect(Options{})
	_, err := e.Exec(t.Context(), "c", ExecSpec{Cmd: []string{"sleep"}, Timeout: 30 * time.Millisecond})
	wantKind(t, err, ErrTimeout)
	if !strings.Contains(err.Error(), "command timed out after 30ms") {
		t.Errorf("error %q", err)
	}
	check(t, e.Ping(t.Context())) // the engine is not to blame

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err = e.Exec(ctx, "c", ExecSpec{Cmd: []string{"sleep"}})
	wantKind(t, err, context.DeadlineExceeded)
}

// TestHangingHijackTimesOut: a stream that the engine does not begin does not wait for ever.
func TestHangingHijackTimesOut(t *testing.T) {
	fake := newFake(t).start()
	released := make(chan struct{})
	fake.onJSON("POST /containers/c/exec", map[string]string{"Id": "x"})
	fake.on("POST /exec/x/start", func(http.ResponseWriter, *http.Request) { <-released })
	defer close(released)
	e := fake.connect(Options{Timeout: 50 * time.Millisecond})
	_, err := e.Connect(t.Context(), "c", "router", "connect")
	wantKind(t, err, ErrTimeout)
	if !strings.Contains(err.Error(), "has not answered within 50ms") {
		t.Errorf("error %q", err)
	}
}

// TestConnect: a process's output is read, and what it said on its standard error is why that ends.
func TestConnect(t *testing.T) {
	fake := newFake(t).start()
	fake.onExec(1, 0, func(conn net.Conn, from io.Reader) {
		said := make([]byte, 4)
		_, err := io.ReadFull(from, said)
		check(t, err)
		_, _ = stdcopy.NewStdWriter(conn, stdcopy.Stderr).Write([]byte("connect: refused\n"))
		_, _ = stdcopy.NewStdWriter(conn, stdcopy.Stdout).Write(append(said, '!'))
	})
	c, err := fake.connect(Options{Timeout: time.Second}).Connect(t.Context(), "c", "router", "connect")
	check(t, err)
	defer c.Close()
	_, err = c.Write([]byte("ping"))
	check(t, err)
	got, err := io.ReadAll(c)
	if string(got) != "ping!" || !errors.Is(err, io.EOF) && err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "connect: refused") {
		t.Errorf("it ended with %v", err)
	}
}

func TestExecRefused(t *testing.T) {
	fake := newFake(t).start()
	fake.onJSON("POST /containers/c/exec", map[string]string{"Id": "x"})
	fake.onError("POST /exec/x/start", http.StatusConflict, "Container c is not running")
	_, err := fake.connect(Options{}).Exec(t.Context(), "c", ExecSpec{Cmd: []string{"true"}})
	wantKind(t, err, ErrNotRunning)
	if err.Error() != "exec_start c: Container c is not running" {
		t.Errorf("error %q: the engine's reason is missing", err)
	}
}

func TestExecResizes(t *testing.T) {
	fake := newFake(t).start()
	resized := make(chan string, 3)
	fake.onExec(0, 0, func(conn net.Conn, _ io.Reader) {
		for range 2 {
			<-resized
		}
		_, _ = conn.Write([]byte("raw"))
	})
	fake.on("POST /exec/x/resize", func(_ http.ResponseWriter, r *http.Request) { resized <- r.URL.RawQuery })
	sizes := make(chan Size, 3)
	sizes <- Size{Width: 80, Height: 24}
	sizes <- Size{}
	sizes <- Size{Width: 120, Height: 40}
	var out bytes.Buffer
	_, err := fake.connect(Options{}).Exec(t.Context(), "c", ExecSpec{
		Cmd: []string{"sh"}, Streams: Streams{Out: &out, TTY: true, Resize: sizes},
	})
	check(t, err)
	if out.String() != "raw" {
		t.Errorf("out %q", &out)
	}
}

func TestAttachNeedsARunningContainer(t *testing.T) {
	fake := newFake(t).start()
	fake.onJSON("GET /containers/c/json", map[string]any{"Id": "c", "State": map[string]any{"Status": "exited"}})
	wantKind(t, fake.connect(Options{}).Attach(t.Context(), "c", Streams{}), ErrNotRunning)
}

func TestAttach(t *testing.T) {
	fake := newFake(t).start()
	fake.onJSON("GET /containers/c/json", map[string]any{"Id": "c", "State": map[string]any{"Running": true}, "Config": map[string]any{"Tty": true}})
	fake.onHijack("POST /containers/c/attach", func(conn net.Conn, from io.Reader) {
		in := make([]byte, 2)
		_, err := io.ReadFull(from, in)
		check(t, err)
		_, _ = conn.Write(append([]byte("raw "), in...))
	})
	var out bytes.Buffer
	// The caller says no terminal, the container has one: its output is not framed.
	check(t, fake.connect(Options{}).Attach(t.Context(), "c", Streams{In: strings.NewReader("hi"), Out: &out}))
	if out.String() != "raw hi" {
		t.Errorf("out %q", &out)
	}
}

func TestLogs(t *testing.T) {
	fake := newFake(t).start()
	fake.onJSON("GET /containers/c/json", map[string]any{"Id": "c", "Config": map[string]any{}})
	fake.on("GET /containers/c/logs", func(w http.ResponseWriter, r *http.Request) {
		want := "follow=1&since=1746100800.000000005&stderr=1&stdout=1&tail=all&timestamps=1&until=1746100801.000000000"
		if r.URL.RawQuery != want {
			t.Errorf("asked %s, want %s", r.URL.RawQuery, want)
		}
		_, _ = stdcopy.NewStdWriter(w, stdcopy.Stdout).Write([]byte("out"))
		_, _ = stdcopy.NewStdWriter(w, stdcopy.Stderr).Write([]byte("err"))
	})
	var stdout, stderr bytes.Buffer
	since := time.Unix(1746100800, 5)
	o := LogOptions{Follow: true, Timestamps: true, Stdout: true, Stderr: true, Since: since, Until: since.Add(time.Second - 5), Tail: -1}
	e := fake.connect(Options{})
	check(t, e.Logs(t.Context(), "c", o, &stdout, &stderr))
	if stdout.String() != "out" || stderr.String() != "err" {
		t.Errorf("out %q, err %q", &stdout, &stderr)
	}
	check(t, e.Logs(t.Context(), "c", o, nil, nil))
}

// brokenPipe is a caller that has gone.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, &net.OpError{Op: "write", Err: syscall.EPIPE} }

func TestLogsForACallerThatHasGone(t *testing.T) {
	fake := newFake(t).start()
	fake.onJSON("GET /containers/c/json", map[string]any{"Id": "c", "Config": map[string]any{}})
	fake.on("GET /containers/c/logs", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = stdcopy.NewStdWriter(w, stdcopy.Stdout).Write([]byte("out"))
	})
	err := fake.connect(Options{}).Logs(t.Context(), "c", LogOptions{Stdout: true, Tail: -1}, brokenPipe{}, nil)
	wantKind(t, err, syscall.EPIPE)
	if errors.Is(err, ErrUnavailable) {
		t.Errorf("error %q blames the engine", err)
	}
}
